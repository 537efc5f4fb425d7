"""Sentences of many shapes, each with what it means as one would type it in qualifiers."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.questions import bar
from audit.questions.bar import vocabulary
from tests.query.questions.acme import LOG, NOW, comparable, for_page, read, summary

_LINES = (Path(__file__).parent / "sentences.txt").read_text(encoding="utf-8").splitlines()
SENTENCES = dict(zip(_LINES[::2], (line.strip() for line in _LINES[1::2]), strict=True))


@pytest.mark.parametrize(("sentence", "means"), SENTENCES.items(), ids=list(SENTENCES))
def test_a_sentence_means_what_the_table_says(sentence: str, means: str) -> None:
    assert summary(read(sentence)) == means


def _further() -> dict[str, str]:
    """What auditors, administrators and developers type, by kinds, which the headings name."""
    text = (Path(__file__).parent / "further.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    return dict(zip(lines[::2], (line.strip() for line in lines[1::2]), strict=True))


FURTHER = _further()


@pytest.mark.parametrize(("question", "means"), FURTHER.items(), ids=list(FURTHER))
def test_a_question_is_read_as_whoever_typed_it_meant_it(question: str, means: str) -> None:
    assert len(FURTHER) > 400
    assert summary(read(question)) == means


@pytest.mark.parametrize(
    "polite", ["show me {}", "please list {}", "can you find {}?", "{} please"]
)
@pytest.mark.parametrize(
    "asked", ["failed sign-ins of jane", "deletions in storefront yesterday", "changes by ci"]
)
def test_a_request_asks_as_a_question_does(polite: str, asked: str) -> None:
    assert read(polite.format(asked)).params == read(asked).params


@pytest.mark.parametrize(
    "orders",
    [
        ("deleted environments by jane yesterday", "yesterday environments deleted by jane"),
        ("sign-ins from 203.0.113.77 in october", "in october from 203.0.113.77 sign-ins"),
        (
            "what did sam change in payments via the cli",
            "via the cli what did sam change in payments",
        ),
        ("denied requests of ci since monday", "since monday denied requests of ci"),
    ],
)
def test_the_order_of_words_does_not_matter(orders: tuple[str, str]) -> None:
    one, other = (comparable(read(text).params) for text in orders)
    assert one == other


def test_a_chip_that_is_removed_takes_its_words_along() -> None:
    question = for_page("failed sign-ins not from 192.0.2.0/24 last month by ci")
    assert {part.parameter: part.without for part in question.parts} == {
        "action": "failed not from 192.0.2.0/24 last month by ci",
        "result": "sign-ins not from 192.0.2.0/24 last month by ci",
        "exclude_ip": "failed sign-ins last month by ci",
        "actor": "failed sign-ins not from 192.0.2.0/24 last month",
        "when": "failed sign-ins not from 192.0.2.0/24 by ci",
    }


@pytest.mark.parametrize("sentence", list(SENTENCES))
def test_a_chip_can_be_removed_and_leaves_the_rest(sentence: str) -> None:
    question = for_page(sentence)
    for part in question.parts:
        whole = {name: values for name, values in question.params.items() if name != "tz"}
        whole.pop(part.parameter, None)
        rest = {name: values for name, values in read(part.without).params.items() if name != "tz"}
        assert {name: sorted(values) for name, values in rest.items()} == {
            name: sorted(values) for name, values in whole.items()
        }, part.without


def test_a_name_of_several_says_so_and_offers_each() -> None:
    [part] = read("what did dev do").parts
    assert [offer.label for offer in part.offers] == [
        "user dev@acme.example",
        "the API key dev@laptop",
    ]
    assert read(part.offers[1].text).params == {"actor": ["dev@laptop"]}


def test_a_person_is_known_by_name() -> None:
    assert read("what did Jane Doe do").params["actor"] == ["jane@acme.example"]
    assert read("changes by Okafor").params["actor"] == ["sam@acme.example"]


def test_values_of_qualifiers_are_words_of_the_page_too() -> None:
    for typed, means in (
        ("action:deleted", {"action": ["delete"]}),
        ("action:sign-ins", {"action": ["sign_in"]}),
        ("action:looks", {"action": ["looks"]}),
        ("interface:browser", {"interface": ["web"]}),
        ("result:refused", {"result": ["denied"]}),
        ('type:"API keys"', {"type": ["api_key"]}),
        ("kind:people", {"actor_type": ["user"]}),
    ):
        assert read(typed).params == means, typed


def test_every_type_field_action_and_interface_of_the_catalogue_is_a_word() -> None:
    from audit import policy

    for label in set(policy.RESOURCE_TYPES.values()) - {"audit log"}:
        found = read(f"{label} changes").params
        assert "type" in found or "field" in found, label
    for action in policy.ACTIONS:
        assert vocabulary.actions_named(action.name) == (action.name,)
        if action.name not in ("access", "hold"):
            assert vocabulary.DEEDS.get(action.name.replace("_", " ")), action.name
    for interface in policy.Interface:
        assert read(f"changes via the {interface.value}").params["interface"] == [interface.value]
    for spec in policy.RESOURCES:
        for field in spec.recorded:
            assert field in {name for names in vocabulary.FIELDS.values() for name in names} or (
                field.removesuffix("_id").replace("_", " ") in vocabulary.TYPES
                or field in ("version", "is_active")
            ), field


def test_reading_is_quick() -> None:
    import time

    begun = time.process_time()
    for sentence in SENTENCES:
        read(sentence)
    assert (time.process_time() - begun) / len(SENTENCES) < 0.005


@pytest.mark.parametrize("text", ["", "   ", "??", "-", "''", '"', ":", "a:", '-"', "x" * 2000])
def test_any_scrap_is_read(text: str) -> None:
    assert not bar.read(text, now=NOW, log=LOG).is_answerable
