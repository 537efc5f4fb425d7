"""The question bar: a question means what its reader thinks, and says so."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit import question
from audit.policy import ACTIONS, RESOURCE_TYPES, Interface, Result

NOW = dt.datetime(2026, 11, 23, 12, 30, tzinfo=dt.UTC)


def compiled(text: str, tz: str = "UTC") -> question.Question:
    return question.compile(text, tz, now=NOW)


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
            {"action": ["delete"], "type": ["environment"], "q": ["production"]},
        ),
        (
            "deleted by:jane last tuesday",
            {"action": ["delete"], "actor": ["jane"], "when": ["last tuesday"]},
        ),
        (
            "what changed last Tuesday?",
            {"action": list(question.CHANGES), "when": ["last Tuesday"]},
        ),
        (
            "signed in by jane since yesterday",
            {"action": ["sign_in"], "actor": ["jane"], "since": ["yesterday"]},
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
        ("-production", "say what to leave out"),
        ("-request:01JCZ0N5XW8QK3V4T6Y7B9D2FG", "cannot be left out"),
        ("ip:10.0.0", "10.0.0.0/8"),
        ("request:abc", "26 letters and digits"),
        ("yesterday today", "give one when only"),
        ('-"two words"', "say what to leave out"),
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
    looking |= {"reset_password", "decrypt", "first_use", "new_address"}
    assert set(question.CHANGES) == {action.name for action in ACTIONS} - looking


words = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Z"), exclude_characters='"'), min_size=1
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
        "action": st.lists(st.sampled_from([a.name for a in ACTIONS]), min_size=1, unique=True),
        "type": st.lists(st.sampled_from(list(RESOURCE_TYPES)), min_size=1, unique=True),
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
    found = compiled(question.as_text(asked))
    assert found.unknown == []
    found.params.pop("tz", None)
    assert {name: set(each) for name, each in found.params.items()} == {
        name: set(each) for name, each in asked.items()
    }


@given(st.text(max_size=80))
def test_any_text_compiles(text: str) -> None:
    found = compiled(text)
    assert len(found.understood) == len([name for name in found.params if name != "tz"])
