"""What entries, user agents and changes are in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import policy
from audit.entry import differences, sentences, user_agents
from audit.models import Entry


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            ("rotate", "key_version", "shop/encryption-key/3"),
            "rotated the key of shop to version 3",
        ),
        (("create", "secret", "shop/web"), "stored the first secret of shop/web"),
        (("create", "environment", "shop/web/dev"), "created environment shop/web/dev"),
        (("purge", "secret_version", "shop/web#12"), "purged version 12 of shop/web"),
        # A name that has no such form, as an older one or another's may, is shown as it is.
        (("rotate", "key_version", "strange"), "rotated encryption key strange"),
        (("brew", "teapot", "t"), "unknown action (brew) unknown type (teapot) t"),
    ],
)
def test_what_was_done_in_words(facts: tuple[str, str, str], words: str) -> None:
    action, type_name, label = facts
    assert str(sentences.phrase(entry(action, type_name, label))) == words


def test_who_joined_or_was_added() -> None:
    facts: dict[str, Any] = {"changes": {"role": [None, "billing_manager"]}}

    def said_of(actor_type: str, actor: str) -> str:
        by = {"actor_type": actor_type, "actor_label": actor}
        return str(sentences.phrase(entry("join", "membership", "ada@example.org", **by, **facts)))

    assert said_of("user", "ada@example.org") == "joined as billing manager"
    added = "added the member ada@example.org as billing manager"
    assert said_of("user", "bo@example.org") == added
    # An API key may be called anything.
    assert said_of("api_key", "ada@example.org") == added


def test_what_was_refused_is_an_attempt() -> None:
    refused = entry("rotate", "key_version", "shop/encryption-key/3", result="denied")
    assert str(sentences.phrase(refused)).startswith("tried to rotate encryption key")


def test_the_sentence_of_an_ended_export_has_its_number() -> None:
    facts: dict[str, Any] = {"context": {"format": "csv", "count": 1930}}
    whole = entry("end_export", "audit_log", "acme", **facts)
    assert str(sentences.phrase(whole)) == "received 1,930 entries of the log of acme as csv"
    cut_off = entry("end_export", "audit_log", "acme", result="failed", **facts)
    assert str(sentences.phrase(cut_off)) == (
        "received at most 1,930 entries of the log of acme as csv, then the export was interrupted"
    )


def entry(action: str, type_name: str, label: str, **facts: Any) -> Entry:
    defaults: dict[str, Any] = {
        "result": "success",
        "context": {},
        "changes": {},
        "actor_label": "x",
    }
    return Entry(action=action, resource_type=type_name, resource_label=label, **(defaults | facts))


SANE = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


PAIRS = st.none() | st.tuples(st.none() | SANE | st.booleans(), st.none() | st.lists(SANE)).map(
    list
)


@given(
    st.sampled_from([*(action.name for action in policy.ACTIONS), "brew"]),
    st.sampled_from([*policy.TYPES, "teapot"]),
    SANE,
    st.dictionaries(st.sampled_from(["role", "permissions", "is_active", "key_version"]), PAIRS),
)
def test_there_is_a_sentence_for_whatever_was_recorded(
    action: str, type_name: str, label: str, changes: dict[str, Any]
) -> None:
    phrase = sentences.phrase(entry(action, type_name, label, changes=changes))
    assert phrase.before


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("dotenv-cli/0.1.0", "dotenv command 0.1.0"),
        ("dotenv-go-sdk/1.0.0", "dotEnv SDK for Go 1.0.0"),
        ("curl/8.5.0", "curl 8.5.0"),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
            "Firefox 144 on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Edge 142 on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
            "Safari 18 on iPhone",
        ),
        ("", ""),
        ("<script>alert(1)</script>", ""),
    ],
)
def test_a_user_agent_in_words(sent: str, words: str) -> None:
    assert user_agents.in_words(sent) == words


@given(SANE, SANE)
def test_the_parts_of_a_difference_are_the_values(before: str, after: str) -> None:
    found = differences.of(before, after)
    if found is not None:
        assert "".join(part.text for part in found.before) == before
        assert "".join(part.text for part in found.after) == after
        kept = [[p.text for p in side if not p.is_changed] for side in (found.before, found.after)]
        assert "".join(kept[0]) == "".join(kept[1])


def test_lists_are_compared_by_their_members() -> None:
    found = differences.of(["a", "b"], ["b", "c"])
    assert found is not None
    assert [(part.text.strip(), part.is_changed) for part in found.before] == [
        ("a", True),
        ("b", False),
    ]
    assert [(part.text.strip(), part.is_changed) for part in found.after] == [
        ("b", False),
        ("c", True),
    ]


@pytest.mark.parametrize(
    "pair", [(None, "x"), (1, 2), (True, False), ("staging", "production"), ({}, [])]
)
def test_what_has_nothing_in_common_is_shown_whole(pair: tuple[Any, Any]) -> None:
    assert differences.of(*pair) is None
