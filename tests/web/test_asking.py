"""Questions in words on the page: the words stay, chips say what they mean, nothing is guessed."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from organizations.models import User
from tests.web.conftest import Browser
from tests.web.test_accounts import sign_in
from tests.web.test_activity import ACTIVITY, client_of_owner, history, rows

__all__ = ["client_of_owner", "history"]


def removals(text: str) -> list[str]:
    """Where each chip leads that is removed."""
    chips = text.partition('class="chips')[2].partition("</ul>")[0]
    return [html.unescape(link) for link in re.findall(r'<a href="([^"]+)" title="Remove', chips)]


def test_the_words_stay_in_the_bar_and_each_chip_takes_its_own_along(
    client_of_owner: Client, history: None
) -> None:
    asked = "who created the production environment today"
    answer = client_of_owner.get(ACTIVITY, {"ask": asked})
    assert answer.status_code == 200
    text = answer.content.decode()
    assert f'value="{asked}"' in text
    without_time = f"{ACTIVITY}?ask=who+created+the+production+environment"
    assert without_time in removals(text)
    assert rows(client_of_owner.get(without_time)) == rows(answer)


def test_pages_and_exports_keep_the_words(client_of_owner: Client, history: None) -> None:
    text = client_of_owner.get(ACTIVITY, {"ask": "what changed", "per_page": "2"}).content.decode()
    [older] = re.findall(r'href="([^"]*)"[^>]* rel="next"', text)
    assert "ask=what+changed" in older
    assert "ask=what+changed&amp;format=csv" in text.replace("per_page=2&amp;", "")
    exported = client_of_owner.get(f"{ACTIVITY}/export", {"ask": "what changed", "format": "csv"})
    assert b"".join(exported).count(b"rotate") > 1  # type: ignore[arg-type]


def test_where_nothing_is_understood_no_entry_is_shown(
    client_of_owner: Client, history: None
) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": "frobnicate quux"})
    assert rows(answer) == []
    text = answer.content.decode()
    assert "<s>frobnicate quux</s>" in text
    assert "No entries are shown" in text
    exported = client_of_owner.get(f"{ACTIVITY}/export", {"ask": "frobnicate quux"})
    assert exported.status_code == 302


def test_a_slip_is_offered_right_and_one_click_away(client_of_owner: Client, history: None) -> None:
    text = client_of_owner.get(ACTIVITY, {"ask": "who rotatd shop"}).content.decode()
    assert f'href="{ACTIVITY}?ask=who%20rotated%20shop"' in text


def test_a_question_of_state_leads_to_its_page(client_of_owner: Client, history: None) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": "who can read shop now"})
    assert rows(answer) == []
    assert '<a href="/o/acme/members">' in answer.content.decode()


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("can the log be changed", "evidence"),
        ("current key version of shop", "projects/shop/keys"),
        ("which keys were never rotated", "projects"),
        ("what can olivia do", "members"),
        ("list projects", "projects"),
        ("pending invitations", "members"),
    ],
)
def test_a_question_of_what_is_leads_to_the_nearest_page(
    client_of_owner: Client, history: None, words: str, page: str
) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": words})
    assert rows(answer) == []
    assert f'<a href="/o/acme/{page}">' in answer.content.decode()


def test_a_second_list_is_one_click_away(client_of_owner: Client, history: None) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": "created and then deleted"})
    assert f"{ACTIVITY}?ask=action%3Adelete" in answer.content.decode()
    assert all("created" in row for row in rows(answer))


def test_an_event_as_a_time_leads_to_its_entry(client_of_owner: Client, history: None) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": "what changed since production was created"})
    assert re.search(r'<b><a class="wide" href="/o/acme/activity/\w{26}"', answer.content.decode())
    assert len(rows(answer)) == 3


def test_what_is_excluded_is_in_no_row(client_of_owner: Client, history: None) -> None:
    listed = rows(client_of_owner.get(ACTIVITY, {"ask": "changes in shop except rotations"}))
    assert listed
    assert not [row for row in listed if "rotated the key" in row]


def page(answer: Any) -> str:
    return str(answer.content.decode())


def line(answer: Any) -> str:
    """The line that answers."""
    [found] = re.findall(r'<p id="answer"[^>]*>(.*?)</p>', page(answer))
    return html.unescape(found)


def test_a_line_above_the_list_answers(client_of_owner: Client, history: None) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": "what was created in shop"})
    number = len(rows(answer))
    assert line(answer) == f"{number} creations, {number} by system."
    counted = client_of_owner.get(f"{ACTIVITY}/counts", {"ask": "what was created in shop"})
    assert line(counted) == line(answer)


def test_what_came_from_where_is_said_of_one_actor_and_of_refusals(
    client_of_owner: Client, owner: User, browser: Browser
) -> None:
    for ip, times in (("192.0.2.7", 2), ("192.0.2.9", 1)):
        for _ in range(times):
            sign_in(Client(REMOTE_ADDR=ip), owner.email, "wrong")
    assert line(client_of_owner.get(ACTIVITY, {"ask": "failed sign-ins"})) == (
        "3 failed sign-ins, 2 from 192.0.2.7 and 1 from 192.0.2.9."
    )
    once = client_of_owner.get(ACTIVITY, {"ask": "failed sign-ins from 192.0.2.9"})
    assert line(once) == "1 failed sign-in, from 192.0.2.9."


def test_while_only_a_page_is_known_the_line_says_more_than(
    client_of_owner: Client, history: None
) -> None:
    asked = {"ask": "what was created in shop", "per_page": "2"}
    first = client_of_owner.get(ACTIVITY, asked)
    assert line(first) == "More than 2 creations."
    [older] = re.findall(r'href="([^"]*)"[^>]* rel="next"', page(first))
    assert line(client_of_owner.get(html.unescape(older))) == ""
    assert line(client_of_owner.get(f"{ACTIVITY}/counts", asked)).startswith("4 creations")


def test_a_table_keeps_to_what_enough_entries_have(client_of_owner: Client, history: None) -> None:
    shown = client_of_owner.get(ACTIVITY, {"ask": "changes per action"})
    sizes = table(shown)
    asked = f"actions with more than {min(sizes.values())} changes"
    most = client_of_owner.get(ACTIVITY, {"ask": asked})
    assert table(most) == {k: n for k, n in sizes.items() if n > min(sizes.values())}
    assert f"each with at least {min(sizes.values()) + 1} entries" in page(most)
    none = client_of_owner.get(ACTIVITY, {"ask": "actions with more than 4000 changes"})
    assert "No actions with at least 4,001 entries." in page(none)


def table(answer: Any) -> dict[str, int]:
    rows = re.findall(
        r'<bdi>(?:<a [^>]*>)?([^<]*)(?:</a>)?</bdi></th><td class="number">(\d+)', page(answer)
    )
    return {html.unescape(label): int(number) for label, number in rows}


def test_nothing_found_never_reads_as_if_all_had_been_asked(
    client_of_owner: Client, history: None
) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": "failed sign-ins frobnicate"})
    assert "No entries match what was understood" in rows(answer)[0]
    assert line(answer) == (
        "No failed sign-ins match what was understood. Not asked: “frobnicate”."
    )
    assert re.search(r"<strong>0</strong> entries of \d+ match what was understood", page(answer))


def test_a_question_that_counts_is_answered_by_a_table_whose_rows_are_questions(
    client_of_owner: Client, history: None
) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": "changes per action"})
    table = answer.content.decode().partition('id="counted"')[2].partition("</table>")[0]
    found = re.findall(
        r'<a href="([^"]+)">(.*?)</a></bdi></th><td class="number">(\d+)</td>', table
    )
    assert len(found) > 1
    for href, _, number in found:
        assert len(rows(client_of_owner.get(html.unescape(href)))) == int(number)
    by_control = client_of_owner.get(ACTIVITY, {"action": "changes", "by": "action"})
    assert [each[1:] for each in found] == [
        each[1:]
        for each in re.findall(
            r'<a href="([^"]+)">(.*?)</a></bdi></th><td class="number">(\d+)</td>',
            by_control.content.decode(),
        )
    ]


def test_a_file_of_two_lists_is_made_of_each(client_of_owner: Client, history: None) -> None:
    words = {"ask": "created projects and rotated keys", "format": "csv"}
    answer = client_of_owner.get(f"{ACTIVITY}/export", words)
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{ACTIVITY}?ask=action%3Acreate+type%3Aproject")
