"""`dotenv audit ask`: a question in words, and what the server says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.recorder import Run, Server
from tests.cli.test_audit import COUNTS, ENTRIES, entry, page

FACETS = COUNTS.replace("counts", "facets")


def understood(**more: Any) -> dict[str, Any]:
    return {
        "text": "who deleted production",
        "is_answerable": True,
        "parts": [
            {
                "parameter": "when",
                "label": "when",
                "shown": "today",
                "exact": "from Tue 24 Nov 2026",
                "offers": [{"text": "actor:dev@laptop", "label": "the API key dev@laptop"}],
            }
        ],
        "struck": [{"words": "frobnicate", "why": "No name is so.", "offers": []}],
        "notes": [],
        "offers": [{"text": "a", "label": "Did you mean: who deleted production?"}],
        "by": None,
        "page": None,
        **more,
    }


@pytest.mark.parametrize(
    "words",
    [
        ("ask", "who deleted production?"),
        ("ask", "who", "deleted", "production?"),
        ("list", "who deleted production?"),
    ],
)
def test_a_question_is_sent_as_it_is(
    signed_in: Server, dotenv: Run, words: tuple[str, ...]
) -> None:
    signed_in.answer("GET", ENTRIES, page(entry(), understood=understood()))
    result = dotenv("audit", *words, "--tz", "UTC")
    assert ("ask", "who deleted production?") in signed_in.last.query
    assert "my-app/backend/production" in result.out
    assert "when: today (from Tue 24 Nov 2026)" in result.err
    assert "or the API key dev@laptop: actor:dev@laptop" in result.err
    assert "Left out: 'frobnicate'. No name is so." in result.err
    assert "Did you mean: who deleted production?" in result.err
    assert result.code == 0


def test_a_minus_leaves_out(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page(understood=understood()))
    dotenv("audit", "ask", "--", "deletions", "-environment")
    assert ("ask", "deletions -environment") in signed_in.last.query


def test_a_path_stays_a_path(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page())
    dotenv("audit", "list", "my-app/backend")
    assert ("resource", "my-app/backend") in signed_in.last.query


def test_nothing_understood_is_no_answer(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page(understood=understood(is_answerable=False)))
    result = dotenv("audit", "ask", "frobnicate")
    assert result.code == 1
    assert result.out == ""
    assert "no entries are listed" in result.err


def test_counts_are_a_table(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page(entry(), understood=understood(by="ip")))
    rows = [{"value": "203.0.113.77", "label": "203.0.113.77", "count": 9, "params": {}}]
    signed_in.answer("GET", COUNTS, {"data": rows, "meta": {"by": "ip"}})
    result = dotenv("audit", "ask", "failed sign-ins by address")
    assert [line.split() for line in result.out.splitlines()] == [
        ["ENTRIES", "IP"],
        ["9", "203.0.113.77"],
    ]


@pytest.mark.parametrize("command", ["ask", "list"])
def test_the_answer_comes_first(signed_in: Server, dotenv: Run, command: str) -> None:
    line = "1 deletion of environments, by jane@acme.example."
    signed_in.answer("GET", ENTRIES, page(entry(), understood=understood(), answer=line))
    result = dotenv("audit", command, "who deleted the production environment")
    assert result.out.splitlines()[0] == line
    assert "my-app/backend/production" in result.out
    as_json = json.loads(dotenv("audit", "ask", "who deleted production", "--json").out)
    assert as_json["answer"] == line


def test_the_answer_is_of_all_entries_and_not_of_a_page(signed_in: Server, dotenv: Run) -> None:
    more = {"following": "01JD5A0000000000000000000A", "answer": "More than 1 deletion."}
    first = page(entry(), understood=understood(), **more)
    signed_in.answer("GET", ENTRIES, first)
    signed_in.answer("GET", FACETS, {"data": {}, "meta": {"answer": "1,234 deletions."}})
    result = dotenv("audit", "ask", "--limit", "1", "how many deletions")
    assert result.out.splitlines()[0] == "1,234 deletions."


def test_json_has_how_it_was_read(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page(entry(), understood=understood()))
    result = dotenv("audit", "ask", "who deleted production", "--json")
    found = json.loads(result.out)
    assert found["understood"]["text"] == "who deleted production"
    assert len(found["entries"]) == 1
