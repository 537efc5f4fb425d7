"""The review page: asking, narrowing, paging, exporting, and what reading leaves behind."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from keys import rotation
from organizations import hierarchy
from organizations.models import Organization, User
from tests.factories import ApiKeyFactory, EnvironmentFactory, ProjectFactory, TargetFactory
from tests.web.conftest import Browser, Entries

ACTIVITY = "/o/acme/activity"


@pytest.fixture
def client_of_owner(owner: User, acme: Organization, browser: Browser) -> Client:
    return browser(owner)


@pytest.fixture
def history(acme: Organization) -> None:
    """A project made, its environment made and changed, its key rotated."""
    project = ProjectFactory.create(organization=acme, name="Shop")
    target = TargetFactory.create(project=project, name="Web")
    environment = EnvironmentFactory.create(target=target, name="Production", status="staging")
    hierarchy.update_node(environment, {"status": "production"})
    rotation.rotate(project)


def rows(answer: Any) -> list[str]:
    """The lines of the list, as a person reads them."""
    table = answer.content.decode().partition('id="entries"')[2].partition("</table>")[0]
    entries = [row for row in table.split("<tr")[2:] if "rowgroup" not in row]
    whole = (re.sub(r"</?(wbr|bdi)>", "", row) for row in entries)
    texts = (re.sub(r"<[^>]+>|^[^<]*>", " ", row) for row in whole)
    return [" ".join(html.unescape(text).split()) for text in texts]


def links(answer: Any, text: str) -> list[str]:
    found = re.findall(rf'<a href="([^"]+)"[^>]*>{text}</a>', answer.content.decode())
    return [html.unescape(link) for link in found]


def test_entries_are_listed_newest_first_with_who_what_and_from_where(
    client_of_owner: Client, history: None
) -> None:
    listed = rows(client_of_owner.get(ACTIVITY, {"exclude_action": "sign_in"}))
    assert "rotated the key of shop to version 2" in listed[0]
    assert listed[-1].endswith("created organization acme System: System command")


def test_the_question_bar_narrows_to_what_it_understood(
    client_of_owner: Client, history: None
) -> None:
    question = "who created the production environment today?"
    answer = client_of_owner.get(ACTIVITY, {"ask": question, "tz": "Europe/Berlin"}, follow=True)
    [row] = rows(answer)
    assert "created environment shop/web/production" in row
    page = answer.content.decode()
    assert re.search(r"from \w{3} \d+ \w{3} \d{4} 00:00:00 \+0[12]:00", page)
    assert "Europe/Berlin" in page
    assert "<strong>1</strong> entry of" in page


def test_what_changed_is_asked_in_spoken_words(client_of_owner: Client, history: None) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": "what changed in shop today?"}, follow=True)
    assert len(rows(answer)) == 7
    assert all("shop" in row for row in rows(answer))
    assert "<span>action</span> <b>changes</b>" in answer.content.decode()


def test_what_was_not_understood_is_said_and_links_keep_what_was(
    client_of_owner: Client, history: None
) -> None:
    answer = client_of_owner.get(ACTIVITY, {"ask": "action:create colour:blue"})
    assert "<s>colour:blue</s> was left out" in answer.content.decode()
    assert all(" created " in row for row in rows(answer))
    [export] = links(answer, "CSV")
    assert "ask=action%3Acreate" in export


def test_a_wrong_value_is_answered_with_its_remedy(client_of_owner: Client) -> None:
    answer = client_of_owner.get(ACTIVITY, {"action": "delet"})
    assert answer.status_code == 422
    assert "Did you mean delete?" in answer.content.decode()


@pytest.mark.parametrize(
    "params",
    [
        {"tz": "Mars/Olympus"},
        {"since": "the other day"},
        {"ip": "not-an-address"},
        {"cursor": "not-an-id"},
        {"per_page": "0"},
        {"nonsense": "1"},
        {"ask": "x" * 5000},
        {"ask": "who", "tz": "Mars/Olympus"},
    ],
)
def test_nonsense_in_the_address_is_an_answer_not_a_failure(
    params: dict[str, str], client_of_owner: Client
) -> None:
    answer = client_of_owner.get(ACTIVITY, params, follow=True)
    assert answer.status_code in (200, 422)
    assert 'role="alert"' in answer.content.decode()


def test_what_is_asked_for_by_its_id_is_called_by_its_name(
    client_of_owner: Client, acme: Organization, owner: User, history: None
) -> None:
    project = acme.projects.get()
    client_of_owner.get(ACTIVITY)  # so that there is something that the owner did
    for name, label, value, key in (
        ("actor", "by", rf"{owner.email} \(user\)", owner.ulid),
        ("resource", "resource", project.slug, project.ulid),
    ):
        told = client_of_owner.get(ACTIVITY, {name: key}).content.decode()
        chip = rf"<span>{label}</span> <b>{value}</b> <span class=\"exact\">{key}</span>"
        assert re.search(chip, told)
    # Where nothing answers, nothing says what it is called.
    nobody = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    assert f"<span>by</span> <b>{nobody}</b>" in (
        client_of_owner.get(ACTIVITY, {"actor": nobody}).content.decode()
    )


def test_a_filter_is_removed_by_its_chip(client_of_owner: Client, history: None) -> None:
    answer = client_of_owner.get(ACTIVITY, {"action": "rotate", "type": "key_version"})
    assert len(rows(answer)) == 1
    chips = re.findall(r'<a href="([^"]+)" title="Remove this filter">', answer.content.decode())
    without_action = client_of_owner.get(html.unescape(chips[0]))
    assert len(rows(without_action)) == 3
    without_both = re.findall(
        r'<a href="([^"]+)" title="Remove this filter">', without_action.content.decode()
    )
    assert len(without_both) == 2
    # What is left out by itself, once no action is asked for, can be dropped too.
    [with_views] = [href for href in without_both if "views=true" in href]
    assert len(rows(client_of_owner.get(html.unescape(with_views)))) == 3


def test_older_and_newer_lead_through_every_entry_once(
    client_of_owner: Client, acme: Organization, history: None, entries: Entries
) -> None:
    params: dict[str, str] = {"exclude_action": "view", "per_page": "7"}
    answer = client_of_owner.get(ACTIVITY, params)
    seen = rows(answer)
    while older := links(answer, "Older →"):
        answer = client_of_owner.get(older[0])
        seen += rows(answer)
    assert len(seen) == len([e for e in entries(acme) if e.action != "view"])
    [newer] = links(answer, "← Newer")
    assert rows(client_of_owner.get(newer)) == seen[-7 - len(rows(answer)) :][:7]


def test_times_are_the_readers_and_utc_is_in_the_title(
    client_of_owner: Client, acme: Organization, entries: Entries
) -> None:
    moment = entries(acme, resource_type="organization")[0].time
    page = client_of_owner.get(ACTIVITY, {"type": "organization", "tz": "Asia/Kolkata"})
    shown = re.findall(
        r'<time datetime="[^"]+" title="([^"]+)">([^<]+)</time>', page.content.decode()
    )
    [(title, text)] = shown
    assert title == f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
    assert text != f"{moment:%Y-%m-%d %H:%M}"


def test_a_browser_s_time_zone_is_that_of_every_page_and_of_the_links_it_hands_out(
    client_of_owner: Client, acme: Organization, entries: Entries
) -> None:
    client_of_owner.cookies["time_zone"] = "Asia/Kolkata"
    page = client_of_owner.get(ACTIVITY, {"when": "today"}).content.decode()
    assert "Times are in Asia/Kolkata." in page
    assert "+05:30 (Asia/Kolkata)" in page
    exports = re.findall(r'<a href="([^"]+)" data-download>(?:CSV|NDJSON|OCSF)</a>', page)
    assert [("tz=Asia%2FKolkata" in export) for export in exports] == [True, True, True]
    first = entries(acme)[0].ulid
    for address in ("/o/acme/members", "/o/acme/projects", f"{ACTIVITY}/{first}"):
        assert "Times are in Asia/Kolkata." in client_of_owner.get(address).content.decode()
    # What the address names wins: a link means the same to everybody.
    page = client_of_owner.get(ACTIVITY, {"tz": "Asia/Tokyo"}).content.decode()
    assert "Times are in Asia/Tokyo." in page


def test_a_time_zone_chosen_with_a_question_is_remembered_and_nonsense_is_not(
    client_of_owner: Client,
) -> None:
    client_of_owner.get(ACTIVITY, {"ask": "today", "tz": "Europe/Athens"})
    assert client_of_owner.cookies["time_zone"].value == "Europe/Athens"
    client_of_owner.get(ACTIVITY, {"ask": "today", "tz": "Nowhere/Else"})
    assert client_of_owner.cookies["time_zone"].value == "Europe/Athens"
    client_of_owner.cookies["time_zone"] = "../../etc/passwd"
    assert "Times are in UTC." in client_of_owner.get(ACTIVITY).content.decode()


def test_the_filters_lead_to_an_address_without_their_empty_fields(client_of_owner: Client) -> None:
    answer = client_of_owner.get(
        ACTIVITY, {"when": "", "actor": "olga", "action": "create", "q": "", "ip": ""}
    )
    assert answer.headers["Location"] == f"{ACTIVITY}?actor=olga&action=create"


def charted(answer: Any) -> int:
    counts = re.findall(r"<title>[^<]*: (\d+)</title>", answer.content.decode())
    return sum(map(int, counts))


def test_the_chart_counts_what_the_list_shows(client_of_owner: Client, history: None) -> None:
    answer = client_of_owner.get(ACTIVITY, {"type": "key_version", "counts": "1"})
    assert charted(answer) == len(rows(answer)) == 3


def test_a_list_leads_to_its_counts_with_and_without_script(
    client_of_owner: Client, history: None
) -> None:
    answer = client_of_owner.get(ACTIVITY, {"type": "key_version", "tz": "Europe/Berlin"})
    assert charted(answer) == 0
    page = answer.content.decode()
    found = re.search(r'<a [^>]*href="([^"]+)" hx-get="([^"]+)" hx-trigger="load"', page)
    assert found
    whole, part = (html.unescape(link) for link in found.groups())
    whole_page, fragment = (client_of_owner.get(link) for link in (whole, part))
    assert charted(whole_page) == charted(fragment) == 3
    assert rows(whole_page) == rows(answer)
    assert rows(fragment) == []
    for place in ('<div id="chart">', '<div id="facets">'):
        told = [each.content.decode().partition(place)[2] for each in (whole_page, fragment)]
        first = [re.sub(r"\s+", " ", text.partition("</div>")[0]) for text in told]
        assert first[0].strip() == first[1].strip() != ""
    assert "tz=Europe" in fragment.content.decode()
    assert 'hx-trigger="load"' not in whole_page.content.decode()


def test_counts_of_a_page_are_not_entered_beside_it_but_alone_they_are(
    client_of_owner: Client, acme: Organization, history: None, entries: Entries
) -> None:
    counts = f"{ACTIVITY}/counts"
    client_of_owner.get(ACTIVITY, {"action": "rotate"})
    client_of_owner.get(counts, {"action": "rotate"})
    for _ in range(2):
        client_of_owner.get(counts, {"action": "create"})
    views = [entry.context["filters"] for entry in entries(acme) if entry.action == "view"]
    assert sorted(views) == ["action=create", "action=rotate"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(repeats) FROM audit_repeat")
        assert cursor.fetchone() == (0,)


def test_counts_of_what_is_no_question_are_refused(client_of_owner: Client) -> None:
    answer = client_of_owner.get(f"{ACTIVITY}/counts", {"action": "delet"})
    assert answer.status_code == 422


def test_an_entry_shows_before_and_after_and_leads_to_what_is_related(
    client_of_owner: Client, acme: Organization, history: None, entries: Entries
) -> None:
    [entry] = entries(acme, action="update", resource_type="environment")
    page = client_of_owner.get(f"{ACTIVITY}/{entry.ulid}").content.decode()
    assert '<td class="before" data-name="before">staging</td>' in page
    assert '<td class="after" data-name="after">production</td>' in page
    assert "not sealed yet" in page
    [related] = re.findall(r'<a href="([^"]+)">(?:<svg.*?</svg>)?History of', page)
    assert len(rows(client_of_owner.get(related))) == 2


def test_the_way_from_an_entry_leads_back_to_the_question(
    client_of_owner: Client, history: None
) -> None:
    question = {"type": "environment", "tz": "Europe/Berlin"}
    listed = client_of_owner.get(ACTIVITY, question).content.decode()
    link = html.unescape(
        re.findall(r'<td class="when"><a class="[^"]+" href="([^"]+)">', listed)[0]
    )
    page = client_of_owner.get(link).content.decode()
    assert (
        'href="/o/acme/activity?type=environment&amp;tz=Europe%2FBerlin" data-key="u">← Activity'
        in page
    )
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} CES?T", page)


def test_no_entry_there_is_not_found(client_of_owner: Client) -> None:
    for key in ("01JCZ0N5XW8QK3V4T6Y7B9D2FG", "nonsense"):
        assert client_of_owner.get(f"{ACTIVITY}/{key}").status_code == 404


def test_reading_is_entered_with_its_question_but_not_its_words(
    client_of_owner: Client, owner: User, acme: Organization, entries: Entries
) -> None:
    client_of_owner.get(ACTIVITY, {"action": "create", "q": "somebody's secret"})
    [entry] = entries(acme, action="view")
    assert entry.actor_id == owner.pk
    assert "action=create" in entry.context["filters"]
    assert "secret" not in str(entry.context)


def test_names_are_shown_as_text_whatever_they_hold(
    client_of_owner: Client, acme: Organization
) -> None:
    ApiKeyFactory.create(organization=acme, name="<script>alert(1)</script>")
    page = client_of_owner.get(ACTIVITY).content.decode().replace("<wbr>", "")
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


# -- Export


def test_an_export_holds_the_answers_to_the_same_question_and_is_entered_first(
    client_of_owner: Client, owner: User, acme: Organization, history: None, entries: Entries
) -> None:
    page = client_of_owner.get(ACTIVITY, {"type": "key_version"})
    listed = rows(page)
    ndjson = client_of_owner.get(links(page, "NDJSON")[0])
    assert ndjson.headers["Content-Disposition"] == 'attachment; filename="acme-audit.ndjson"'
    lines = [json.loads(line) for line in b"".join(ndjson).splitlines()]
    table = b"".join(client_of_owner.get(links(page, "CSV")[0])).decode()
    cells = list(csv.DictReader(io.StringIO(table)))
    assert len(listed) == len(lines) == len(cells) == 3
    assert [line["id"] for line in lines] == [row["id"] for row in cells]
    ocsf = client_of_owner.get(links(page, "OCSF")[0])
    assert ocsf.headers["Content-Disposition"] == 'attachment; filename="acme-audit.ocsf.ndjson"'
    events = [json.loads(line) for line in b"".join(ocsf).splitlines()]
    assert [event["metadata"]["uid"] for event in events] == [row["id"] for row in cells]
    exports = entries(acme, action="export")
    assert [entry.context["format"] for entry in exports] == ["ndjson", "csv", "ocsf"]
    assert all("type=key_version" in entry.context["filters"] for entry in exports)


def test_who_may_not_export_sees_no_link(
    acme: Organization, browser_as: Callable[[str], Client]
) -> None:
    answer = browser_as("admin").get(ACTIVITY)
    assert answer.status_code == 200
    assert "activity/export" not in answer.content.decode()


def test_a_wrong_question_exports_nothing(
    client_of_owner: Client, acme: Organization, entries: Entries
) -> None:
    for params in ({"action": "delet"}, {"format": "xml"}):
        answer = client_of_owner.get(f"{ACTIVITY}/export", params, follow=True)
        assert answer.headers["Content-Type"].startswith("text/html")
    assert not entries(acme, action="export")
