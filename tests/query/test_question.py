"""The question bar: a question means what its reader thinks, and says so."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit.policy import ACTIONS, RESOURCE_TYPES, Interface, Result
from audit.questions import bar, periods
from audit.questions.bar.phrases import FORMS, Form
from audit.questions.bar.phrases import read as read_form
from audit.questions.bar.tokens import read

NOW = dt.datetime(2026, 11, 23, 12, 30, tzinfo=dt.UTC)


def compiled(text: str, tz: str = "UTC") -> bar.Question:
    return bar.read(text, tz, now=NOW)


def params(text: str) -> dict[str, list[str]]:
    found = compiled(text)
    assert found.unknown == []
    return {name: values for name, values in found.params.items() if name != "tz"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'actor:jane action:delete type:environment production since:"last tuesday"'
            " -interface:admin",
            {
                "actor": ["jane"],
                "action": ["delete"],
                "type": ["environment"],
                "since": ["last tuesday"],
                "exclude_interface": ["admin"],
                "q": ["production"],
            },
        ),
        (
            "Who deleted the production environment?",
            {"action": ["delete"], "type": ["environment"], "resource": ["production"]},
        ),
        (
            "deleted by:jane last tuesday",
            {"action": ["delete"], "actor": ["jane"], "when": ["last tuesday"]},
        ),
        (
            "what changed last Tuesday?",
            {"action": list(bar.CHANGES), "when": ["last Tuesday"]},
        ),
        (
            "signed in by jane since yesterday",
            {
                "action": ["sign_in"],
                "result": ["success"],
                "actor": ["jane"],
                "since": ["yesterday"],
            },
        ),
        ("since:last week until:yesterday", {"since": ["last week"], "until": ["yesterday"]}),
        (
            "rotated encryption keys 7d",
            {"action": ["rotate"], "type": ["key_version"], "when": ["7d"]},
        ),
        ("action:create,delete action:rotate", {"action": ["create", "delete", "rotate"]}),
        ('actor:"CI, nightly"', {"actor": ['"CI, nightly"']}),
        (
            "ip:2001:db8::/32 -action:view,export",
            {"ip": ["2001:db8::/32"], "exclude_action": ["view", "export"]},
        ),
        (
            "2026-11-01..2026-11-07 denied",
            {"when": ["2026-11-01..2026-11-07"], "result": ["denied"]},
        ),
        ('my-app/production "deleted"', {"q": ["my-app/production deleted"]}),
        ("release 2026", {"q": ["release 2026"]}),
        ("", {}),
        ("  ?? ", {}),
    ],
)
def test_questions_become_parameters(text: str, expected: dict[str, list[str]]) -> None:
    assert params(text) == expected


READ = {"action": ["read", "decrypt", "retrieve", "view"], "type": ["secret", "secret_version"]}
KEYS = ["key_version", "api_key"]
SPOKEN: list[tuple[str, dict[str, list[str]]]] = [
    ("who deleted production", {"action": ["delete"], "resource": ["production"]}),
    ('who deleted "the one"', {"action": ["delete"], "resource": ["the one"]}),
    ("Who last changed my-app?", {"action": list(bar.CHANGES), "resource": ["my-app"]}),
    (
        "who deleted the production environment of my-app",
        {
            "action": ["delete"],
            "type": ["environment"],
            "resource": ["my-app"],
            "q": ["production"],
        },
    ),
    (
        "who deleted projects or targets",
        {"action": ["delete"], "type": ["project", "target"]},
    ),
    ("what did jane do yesterday?", {"actor": ["jane"], "when": ["yesterday"]}),
    ("what did jane and john do this week", {"actor": ["jane", "john"], "when": ["this week"]}),
    ("who failed to sign in", {"result": ["failed", "denied"], "action": ["sign_in"]}),
    ("who tried to sign in in vain", {"result": ["failed", "denied"], "action": ["sign_in"]}),
    ("what did jane and dev do in shop", {"actor": ["jane", "dev"], "resource": ["shop"]}),
    ("what has the API key ci been doing", {"actor": ["ci"]}),
    ("jane's activity last week", {"actor": ["jane"], "when": ["last week"]}),
    ("everything Jane did", {"actor": ["Jane"]}),
    (
        "what did jane delete in my-app/backend?",
        {"actor": ["jane"], "action": ["delete"], "resource": ["my-app/backend"]},
    ),
    ("what has jane deleted", {"actor": ["jane"], "action": ["delete"]}),
    (
        "when did jane last sign in?",
        {"actor": ["jane"], "action": ["sign_in"], "result": ["success"]},
    ),
    ("did jane delete anything", {"actor": ["jane"], "action": ["delete"]}),
    ("what happened to my-app/backend/production", {"resource": ["my-app/backend/production"]}),
    ("what happened on 2026-11-17", {"when": ["2026-11-17"]}),
    ("what's happened", {}),
    ("history of the project my-app", {"resource": ["my-app"]}),
    ("when was my-app last rotated?", {"action": ["rotate"], "resource": ["my-app"]}),
    ("when was the last rotation of my-app", {"action": ["rotate"], "resource": ["my-app"]}),
    ("when was the my-app project rotated", {"action": ["rotate"], "resource": ["my-app"]}),
    ("who rotated the key of my-app", {"action": ["rotate"], "type": KEYS, "resource": ["my-app"]}),
    ("who read the secrets of my-app?", {**READ, "resource": ["my-app"]}),
    ("who read my-app's secrets?", {**READ, "resource": ["my-app"]}),
    ("which secrets did jane read?", {**READ, "actor": ["jane"]}),
    ("who invited bob?", {"action": ["invite"], "resource": ["bob"]}),
    (
        "who removed bob@acme.example",
        {"action": ["delete", "leave"], "resource": ["bob@acme.example"]},
    ),
    (
        "who changed jane's role?",
        {"action": ["update"], "type": ["membership"], "field": ["role"], "resource": ["jane"]},
    ),
    (
        "who changed the role of jane",
        {"action": ["update"], "type": ["membership"], "field": ["role"], "resource": ["jane"]},
    ),
    (
        "failed sign-ins this week",
        {"result": ["failed"], "action": ["sign_in"], "when": ["this week"]},
    ),
    (
        "failed logins of jane from 203.0.113.0/24",
        {
            "result": ["failed"],
            "action": ["sign_in"],
            "resource": ["jane"],
            "ip": ["203.0.113.0/24"],
        },
    ),
    (
        "who signed in from 203.0.113.7",
        {"action": ["sign_in"], "result": ["success"], "ip": ["203.0.113.7"]},
    ),
    ("who exported the audit log", {"action": ["export"], "type": ["audit_log"]}),
    ("what was deleted via the API", {"action": ["delete"], "interface": ["api"]}),
    (
        "which api keys were created in the last 7 days",
        {
            "action": ["create"],
            "type": ["api_key"],
            "when": ["last 7 days"],
        },
    ),
    ("who used the API key ci", {"actor": ["ci"]}),
    ("what changed not by jane", {"action": list(bar.CHANGES), "exclude_actor": ["jane"]}),
    ("created or deleted", {"action": ["create", "delete"]}),
    ("what did I do today", {"actor": ["me@acme.example"], "when": ["today"]}),
    ("deleted by me", {"action": ["delete"], "actor": ["me@acme.example"]}),
    (
        "what changed between monday and tuesday",
        {"action": list(bar.CHANGES), "since": ["monday"], "until": ["tuesday"]},
    ),
    (
        "deleted from 2026-11-01 to 2026-11-07",
        {
            "action": ["delete"],
            "since": ["2026-11-01"],
            "until": ["2026-11-07"],
        },
    ),
    (
        "what changed before 2026-11-07",
        {
            "action": list(bar.CHANGES),
            "until": ["2026-11-07T00:00:00.000+00:00"],
        },
    ),
    (
        "changed after 2026-11-07",
        {
            "action": list(bar.CHANGES),
            "since": ["2026-11-08T00:00:00.000+00:00"],
        },
    ),
    ("what did jane do 3 days ago", {"actor": ["jane"], "when": ["3 days ago"]}),
    ("deleted in november", {"action": ["delete"], "when": ["november"]}),
    ("actor: jane action: delete", {"actor": ["jane"], "action": ["delete"]}),
    ('actor:jane,"CI, nightly",bob', {"actor": ["jane", '"CI, nightly"', "bob"]}),
    ("actor:“CI, nightly”", {"actor": ['"CI, nightly"']}),
    (
        '-staging -"two words" -type:api*',
        {
            "exclude_q": ["staging", "two words"],
            "exclude_type": ["api*"],
        },
    ),
    ("resource:api* -resource:api-old", {"resource": ["api*"], "exclude_resource": ["api-old"]}),
    ("from 2001:db8::/32", {"ip": ["2001:db8::/32"]}),
]


@pytest.mark.parametrize(("text", "expected"), SPOKEN, ids=[text for text, _ in SPOKEN])
def test_a_person_may_ask_in_words(text: str, expected: dict[str, list[str]]) -> None:
    found = bar.read(text, now=NOW, reader="me@acme.example")
    assert found.unknown == []
    found.params.pop("tz", None)
    assert found.params == expected


@pytest.mark.parametrize("asked", ["show me", "list", "give me", "tell me", "find"])
def test_a_request_asks_as_a_question_does(asked: str) -> None:
    assert compiled(f"{asked} failed sign-ins of jane").params == (
        compiled("failed sign-ins of jane").params
    )


@pytest.mark.parametrize("words", ["who viewed the log", "who accessed the audit log"])
def test_who_looked_at_the_log_is_no_question_about_a_name(words: str) -> None:
    assert params(words) == {"action": READ["action"], "type": ["audit_log"]}
    assert params("log-shipper")["q"] == ["log-shipper"]


def test_what_is_called_revoked_was_deleted_but_permissions() -> None:
    assert params("which api keys were revoked") == {"action": ["delete"], "type": ["api_key"]}
    assert "not a known form of question" in str(compiled("revoked access tokens").unknown)
    assert params("who revoked permissions of jane")["action"] == ["revoke"]


def test_anybody_is_no_name() -> None:
    assert params("who invited people") == {"action": ["invite"]}
    assert params("who deleted anything") == {"action": ["delete"]}


def test_the_kind_of_a_key_may_stand_behind_its_name() -> None:
    assert params("who used the ci key") == {"actor": ["ci"]}
    assert params("what did the ci api key delete") == {"action": ["delete"], "actor": ["ci"]}


@pytest.mark.parametrize("text", ["who is an owner?", "who my-app"])
def test_a_question_of_no_known_form_says_so_even_with_one_name(text: str) -> None:
    assert "not a known form of question" in str(compiled(text).unknown)


def test_who_granted_what_is_no_question_about_a_project() -> None:
    assert compiled("who granted permissions to jane?").params == {
        "action": ["grant"],
        "type": ["user"],
        "resource": ["jane"],
    }


@pytest.mark.parametrize(
    ("words", "since", "until"),
    [
        ("day before yesterday", 2, 1),
        ("the day before yesterday", 2, 1),
        ("yesterday", 1, 0),
    ],
)
def test_days_are_counted_back(words: str, since: int, until: int) -> None:
    at = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    [asked] = params(f"who deleted my-app {words}")["when"]
    found = periods.resolve(asked, NOW, dt.UTC)
    assert found == periods.Period(at - dt.timedelta(since), at - dt.timedelta(until))


def test_a_short_month_needs_a_day_or_a_year() -> None:
    assert params("what did jan do")["actor"] == ["jan"]
    assert params("what did jan do since 3 jan 2026")["since"] == ["3 jan 2026"]
    for words, long in (("17 nov", "17 november"), ("sept 2026", "september 2026")):
        assert periods.resolve(words, NOW, dt.UTC) == periods.resolve(long, NOW, dt.UTC)


@pytest.mark.parametrize("clock", ["2:30pm", "14:30", "5pm", "1/11/2026", "01.11.26"])
def test_a_time_that_is_not_understood_is_no_name(clock: str) -> None:
    found = compiled(f"who deleted my-app at {clock}")
    [said] = found.unknown
    assert said.startswith(f"{clock}: give the date as well")
    assert found.params == compiled("who deleted my-app").params


def test_words_of_a_sentence_are_not_looked_for_in_silence() -> None:
    found = bar.read("strange attempts", now=NOW)
    assert "not a known form of question" in str(found.unknown)
    assert bar.read('my-app "night"', now=NOW).unknown == []


def test_every_form_is_documented_with_what_it_means() -> None:
    page = (Path(__file__).parents[2] / "docs" / "review.md").read_text(encoding="utf-8")
    for form in FORMS:
        means = bar.as_text(compiled(form.example).params)
        means = means.replace(",".join(bar.CHANGES), "…")
        assert f"| {form.example} | `{means}` |" in page


@pytest.mark.parametrize("form", FORMS, ids=[form.example for form in FORMS])
def test_each_form_reads_its_own_example(form: Form) -> None:
    reading = read_form([(token.value, token.is_quoted) for token in read(form.example)])
    assert reading is not None
    assert reading.form == form
    found = compiled(form.example)
    assert found.unknown == []
    assert found.params
    assert "q" not in found.params


def test_times_are_told_as_exact_instants_of_the_readers_zone() -> None:
    found = compiled("deleted last tuesday", "Europe/Berlin")
    assert found.understood == [
        "action delete",
        "from Tue 17 Nov 2026 00:00:00 +01:00 to before Wed 18 Nov 2026 00:00:00 +01:00"
        " (Europe/Berlin)",
    ]
    assert found.params["tz"] == ["Europe/Berlin"]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("actoin:delete", "Did you mean action?"),
        ("action:delte", "Did you mean delete?"),
        ("type:spaceship", "Use one of organization"),
        ("since:someday", "try today, yesterday"),
        ("which keys were never used", "what happened, not what did not"),
        ("who can delete my-app", "pages Members and API keys"),
        ("created my-app or my-web", "separate alternatives with commas"),
        (
            "who frobnicated the shop",
            "not a known form of question; names were searched for frobnicated shop",
        ),
        ("deleted by me", "name the actor"),
        ("deleted before someday", "try today, yesterday"),
        ("actor:", "add a value after the colon"),
        ("-request:01JCZ0N5XW8QK3V4T6Y7B9D2FG", "cannot be excluded"),
        ("ip:10.0.0", "10.0.0.0/8"),
        ("request:abc", "26 letters and digits"),
        ("yesterday today", "give one when only"),
    ],
)
def test_what_is_not_understood_is_named_with_a_remedy(text: str, remedy: str) -> None:
    found = compiled(text)
    assert len(found.unknown) == 1
    assert remedy in found.unknown[0]


def test_the_rest_of_a_question_counts_though_a_part_is_not_understood() -> None:
    found = compiled("action:delete colour:blue")
    assert found.params == {"action": ["delete"]}
    assert found.understood == ["action delete"]
    assert "colour:blue" in found.unknown[0]


def test_what_changed_leaves_out_mere_looking() -> None:
    looking = {"read", "retrieve", "view", "export", "sign_in", "sign_out", "access", "seal"}
    looking |= {"reset_password", "decrypt", "first_use", "new_address", "end_export"}
    assert set(bar.CHANGES) == {action.name for action in ACTIONS} - looking


words = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Z"), exclude_characters='"'),
    min_size=1,
    max_size=12,  # the longest question has a thousand characters, a value two hundred
).filter(lambda text: text.strip() == text)
phrases = st.lists(words, min_size=1, max_size=3).map(" ".join)
# A value that would need both quotes and a comma has no spelling in a query string either.
values = phrases.map(lambda text: f'"{text}"' if "," in text else text)
questions = st.fixed_dictionaries(
    {},
    optional={
        "actor": st.lists(values, min_size=1, max_size=3, unique=True),
        "exclude_actor": st.lists(values, min_size=1, max_size=2, unique=True),
        "resource": st.lists(values, min_size=1, max_size=3, unique=True),
        "action": st.lists(
            st.sampled_from([a.name for a in ACTIONS]), min_size=1, max_size=9, unique=True
        ),
        "type": st.lists(
            st.sampled_from(list(RESOURCE_TYPES)), min_size=1, max_size=9, unique=True
        ),
        "exclude_interface": st.lists(
            st.sampled_from([i.value for i in Interface]), min_size=1, unique=True
        ),
        "result": st.lists(st.sampled_from([r.value for r in Result]), min_size=1, unique=True),
        "ip": st.just(["10.0.0.0/8", "2001:db8::1"]),
        "field": st.just(["is_production"]),
        "q": phrases.map(lambda text: [text]),
        "since": st.sampled_from(["7d", "last tuesday", "2026-11-01T14:30"]).map(lambda t: [t]),
        "until": st.sampled_from(["yesterday", "2026-11-20"]).map(lambda t: [t]),
    },
)


@given(questions)
@example({"actor": ['","']})
def test_parameters_survive_being_written_as_a_question(asked: dict[str, Any]) -> None:
    found = compiled(bar.as_text(asked))
    assert found.unknown == []
    found.params.pop("tz", None)
    assert {name: set(each) for name, each in found.params.items()} == {
        name: set(each) for name, each in asked.items()
    }


@given(st.text(max_size=80))
def test_any_text_compiles(text: str) -> None:
    found = compiled(text)
    assert len(found.understood) == len([name for name in found.params if name != "tz"])
