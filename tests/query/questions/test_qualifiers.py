"""Qualifiers: what is typed becomes parameters, and parameters can be written as a question."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit.policy import ACTIONS, RESOURCE_TYPES, Interface, Result
from audit.questions import bar
from tests.query.questions.acme import LOG, NOW, read


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
                "resource": ["production"],
            },
        ),
        ("since:last week until:yesterday", {"since": ["last week"], "until": ["yesterday"]}),
        ("action:create,delete action:rotate", {"action": ["create", "delete", "rotate"]}),
        ('actor:jane,"CI, nightly",bob', {"actor": ["jane", '"CI, nightly"', "bob"]}),
        ("actor:“CI, nightly”", {"actor": ['"CI, nightly"']}),
        (
            "ip:2001:db8::/32 -action:view,export",
            {"ip": ["2001:db8::/32"], "exclude_action": ["view", "export"]},
        ),
        (
            "2026-11-01..2026-11-07 denied",
            {"when": ["2026-11-01..2026-11-07"], "result": ["denied"]},
        ),
        ("actor: jane action: delete", {"actor": ["jane"], "action": ["delete"]}),
        ('-"two words" -type:api*', {"exclude_q": ["two words"], "exclude_type": ["api*"]}),
        ('"two words"', {"q": ["two words"]}),
        (
            "resource:api* -resource:api-old",
            {"resource": ["api*"], "exclude_resource": ["api-old"]},
        ),
        ("from 2001:db8::/32", {"ip": ["2001:db8::/32"]}),
    ],
)
def test_qualifiers_become_parameters(text: str, expected: dict[str, list[str]]) -> None:
    question = read(text)
    assert question.struck == ()
    assert {name: values for name, values in question.params.items() if name != "tz"} == expected


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("actoin:delete", "Did you mean action?"),
        ("action:delte", "Did you mean delete?"),
        ("type:spaceship", "Use one of organization"),
        ("since:someday", "Try today, yesterday"),
        ("actor:", "Add a value after the colon"),
        ("-request:01JCZ0N5XW8QK3V4T6Y7B9D2FG", "cannot be excluded"),
        ("ip:10.0.0", "10.0.0.0/8"),
        ("request:abc", "26 letters and digits"),
        ("yesterday and last tuesday", "One when is enough"),
        ("who deleted storefront at 1/11/2026", "Write it like 2026-11-01"),
        ("actor:jane why", "Entries do not say why"),
    ],
)
def test_what_is_not_understood_is_struck_out_with_a_remedy(text: str, remedy: str) -> None:
    [struck] = read(text).struck
    assert remedy in struck.why


def test_a_wrong_word_is_offered_right() -> None:
    [struck] = read("actoin:delete yesterday").struck
    assert [offer.text for offer in struck.offers] == ["action:delete yesterday"]


def test_i_am_nobody_where_the_reader_is_not_known() -> None:
    question = bar.read("deleted by me", now=NOW, log=LOG)
    assert question.params == {"action": ["delete"]}
    assert "name the actor" in question.struck[0].why


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
    question = read(bar.as_text(asked))
    assert question.struck == ()
    found = {name: set(values) for name, values in question.params.items() if name != "tz"}
    assert found == {name: set(values) for name, values in asked.items()}


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    question = read(text)
    assert {part.parameter for part in question.parts} >= question.params.keys() - {
        "tz",
        "order",
        "limit",
    }


def test_every_example_is_documented_with_what_it_means() -> None:
    from pathlib import Path

    from audit.questions.bar.names import Listed

    log = Listed(
        actors=[("user", "jane@acme.example"), ("user", "bob@acme.example"), ("api_key", "ci")],
        things=[("project", "my-app"), ("target", "my-app/backend")]
        + [("environment", "my-app/backend/production"), ("membership", "bob@acme.example")]
        + [("user", "jane@acme.example"), ("user", "bob@acme.example"), ("api_key", "ci")],
    )
    page = (Path(__file__).parents[3] / "docs" / "review.md").read_text(encoding="utf-8")
    for text in bar.examples():
        question = bar.read(text, now=NOW, log=log)
        assert question.struck == (), text
        means = bar.as_text(question.params)
        assert f"| {text} | `{means}`" in page, f"| {text} | `{means}`"
