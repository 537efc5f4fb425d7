"""Questions that people really ask, and what each of them means: `asked.json` was collected from
public pages, `questions.json` was made of the faults of an earlier reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.query.questions.acme import comparable, read

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = [
    case
    for name in ("asked.json", "questions.json")
    for case in json.loads((HERE / name).read_text(encoding="utf-8"))["questions"]
]

OTHER_READINGS: dict[str, dict[str, list[str]]] = {
    # A secret that the server decrypted was read; leaving that out would hide readers.
    "secrets read not via cli": {
        "type": ["secret"],
        "action": ["read", "decrypt", "retrieve", "view"],
        "exclude_interface": ["cli"],
    },
    # The note of the case says so: changes only.
    "what changed on 3 November between 2 and 4 pm": {
        "action": ["changes"],
        "since": ["2026-11-03T14:00"],
        "until": ["2026-11-03T16:00"],
    },
    # Nothing in this log is called stripe: the word is struck out rather than searched for.
    "who touched the stripe secrets last month": {"type": ["secret"], "when": ["last month"]},
    # The log was exported, and so it is an entry about the log.
    "who exported the log and then deleted something?": {
        "action": ["export"],
        "type": ["audit_log"],
    },
}
OTHER_SECONDS: dict[str, dict[str, list[str]]] = {
    # What was deleted and tried again are secrets.
    "attempts to read secrets after they were deleted": {
        "action": ["read", "decrypt", "retrieve", "view"],
        "result": ["denied", "failed"],
        "type": ["secret"],
    },
}
PAGES = {
    "integrity check of the log; said that entries cannot tell": "integrity",
    "none: sessions are on no page an auditor sees": "",
    "Members": "members",
    "Access, as of a date": "access",
    "encryption keys / API keys with age": "keys",
    "API keys (last used)": "api_keys",
}
STRUCK = {
    "generate SOC 2 evidence": "exports",
    "unusual access patterns": "unusual",
    "was the API key ci compromised?": "compromised",
    "did olivia receive the password reset mail?": "receive",
    "sign-ins without MFA": "without MFA",
    "when did the server slow down?": "server slow",
    "where is the record that olivia signed off the access list?": "signed off",
}


@pytest.mark.parametrize("case", CASES, ids=[case["ask"] for case in CASES])
def test_a_question_is_read_as_it_is_meant(case: dict[str, Any]) -> None:
    asked = case["ask"]
    question = read(asked)
    wanted = [want for want in (case.get("want"), *case.get("also", ())) if want is not None]
    if asked in OTHER_READINGS:
        wanted = [OTHER_READINGS[asked]]
    if wanted:
        assert comparable(question.params) in [comparable(want) for want in wanted]
    if "group" in case:
        assert question.by == case["group"]
    if "then" in case:
        assert question.then is not None
        then = OTHER_SECONDS.get(asked, case["then"])
        assert comparable(question.then.params) == comparable(then)
    if "page" in case:
        assert question.page is not None
        assert question.page.name == PAGES[case["page"]]
        assert not question.is_answerable
    if "says" in case:
        labels = [offer.label for part in question.parts for offer in part.offers]
        assert case["says"] in " / ".join(
            [*(each.words for each in question.struck), *question.notes, *labels]
        )
    if "suggests" in case:
        assert case["suggests"] in [offer.text for offer in question.offers]
        assert not question.is_answerable
    if case.get("count"):
        assert question.is_count
    if case.get("per_page"):
        assert question.limit == case["per_page"]
    if asked in STRUCK and question.page is None:
        assert STRUCK[asked] in " ".join(each.words for each in question.struck)
    elif asked in STRUCK:
        assert question.page is not None
        assert question.page.name == STRUCK[asked]


@pytest.mark.parametrize(
    ("asked", "page"),
    [
        ("who can read payments/gateway/production now", "access"),
        ("which keys were never rotated", "keys"),
    ],
)
def test_a_question_of_state_leads_to_the_page_that_answers_it(asked: str, page: str) -> None:
    question = read(asked)
    assert question.page is not None
    assert question.page.name == page
    assert not question.is_answerable


def test_where_access_is_asked_for_the_page_is_prefilled() -> None:
    page = read("who could read storefront/backend/production on November 1?").page
    assert page is not None
    assert (page.about, page.at) == ("storefront/backend/production", "2026-11-01")


def test_a_minute_is_meant_and_said() -> None:
    [part] = read("last tuesday at 11:42").parts
    assert part.exact == (
        "from Tue 24 Nov 2026 11:42:00 +00:00 to before Tue 24 Nov 2026 11:43:00 +00:00 (UTC)"
    )


def test_outside_office_hours_says_which_and_where() -> None:
    question = read("changes to production outside office hours")
    assert question.params["exclude_hours"] == ["office"]
    [hours] = [part for part in question.parts if part.parameter == "exclude_hours"]
    assert hours.exact == "09:00-17:00, Monday to Friday (UTC)"


def test_what_happened_before_an_event_ends_with_it() -> None:
    question = read("what did bill do before he left")
    assert comparable(question.params) == {"actor": {"bill"}}
    [moment] = question.moments
    assert (moment.parameter, moment.words) == ("until", "before he left")
    assert comparable(moment.question.params) == {"action": {"leave"}, "actor": {"bill"}}


def test_an_event_of_somebody_unknown_is_struck_out() -> None:
    question = read("what did bob do before he left")
    assert not question.is_answerable
    assert [each.words for each in question.struck] == ["bob", "before he left"]


def test_what_did_not_follow_is_said_and_shown_beside() -> None:
    question = read("deleted but not restored")
    assert comparable(question.params) == {"action": {"delete"}}
    assert [each.words for each in question.struck] == ["not restored"]
    assert question.then is not None
    assert comparable(question.then.params) == {"action": {"restore"}}


@pytest.mark.parametrize(
    "asked",
    [
        "wer hat die production umgebung gelöscht",
        "qui a supprimé l'environnement",
        "誰が削除しましたか",
    ],
)
def test_other_languages_are_named_and_not_searched(asked: str) -> None:
    question = read(asked)
    assert not question.is_answerable
    assert "English" in question.notes[0]


def test_a_pasted_id_is_looked_for_whatever_it_is() -> None:
    assert read("01JD5A0000000000000000000A").params == {"id": ["01JD5A0000000000000000000A"]}
    assert read("3f9ac1d277e041b8").params == {"id": ["3f9ac1d277e041b8"]}
