"""`dotenv audit follow`: nothing missed, whatever is stopped or breaks."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.recorder import ACME, Run, Server

PATH = f"/api/v1/organizations/{ACME}/audit/entries"


def answer(
    *numbers: int, sealed_to: int, reached: int | None = None, **meta: Any
) -> dict[str, Any]:
    return {
        "data": [
            {"type": "audit-entries", "id": f"{number:026}", "attributes": {"seq": number}}
            for number in numbers
        ],
        "meta": {
            "reached": numbers[-1] if reached is None else reached,
            "sealed_to": sealed_to,
            "notes": [],
            "retention_boundary": None,
            **meta,
        },
        "links": {"prev": None, "next": "…"},
    }


def printed(text: str) -> list[int]:
    return [json.loads(line)["seq"] for line in text.splitlines()]


def asked(server: Server) -> list[dict[str, str]]:
    return [dict(request.query) for request in server.requests]


def test_it_continues_where_it_was_stopped(signed_in: Server, dotenv: Run, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    signed_in.answer("GET", PATH, answer(1, 2, sealed_to=3))
    signed_in.answer("GET", PATH, answer(3, sealed_to=3))
    first = dotenv("audit", "follow", "--once", "--state", str(state))
    assert (first.code, printed(first.out)) == (0, [1, 2, 3]), first.err
    assert json.loads(state.read_text())["after_seq"] == 3
    signed_in.answer("GET", PATH, answer(4, sealed_to=4))
    signed_in.answer("GET", PATH, answer(4, sealed_to=4))
    dotenv("audit", "follow", "--once", "--state", str(state))
    assert [query["after_seq"] for query in asked(signed_in)][:2] == ["0", "2"]
    assert asked(signed_in)[2]["after_seq"] == "3"
    assert all("wait" not in query for query in asked(signed_in))


def test_without_a_state_it_begins_now_or_where_asked(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", PATH, {"data": [], "meta": {"sealed_to": 40}, "links": {}})
    signed_in.answer("GET", PATH, answer(sealed_to=40, reached=40))
    assert dotenv("audit", "follow", "--once").out == ""
    assert asked(signed_in)[1]["after_seq"] == "40"
    dotenv("audit", "follow", "--once", "--after-seq", "7")
    assert asked(signed_in)[2]["after_seq"] == "7"


def test_a_state_is_of_one_question(signed_in: Server, dotenv: Run, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    signed_in.answer("GET", PATH, answer(1, sealed_to=1))
    arguments = ("audit", "follow", "--once", "--state", str(state))
    assert dotenv(*arguments, "--action", "delete").code == 0
    assert asked(signed_in)[0]["action"] == "delete"
    count = len(signed_in.requests)
    for others in (("--action", "create"), (), ("--action", "delete", "--after-seq", "0")):
        assert dotenv(*arguments, *others).code == 2
    state.write_text("{}")
    assert dotenv(*arguments, "--action", "delete").code == 2
    assert len(signed_in.requests) == count


def test_a_number_that_is_missing_is_an_error(
    signed_in: Server, dotenv: Run, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    signed_in.answer("GET", PATH, answer(1, 3, sealed_to=3))
    result = dotenv("audit", "follow", "--once", "--state", str(state))
    assert result.code == 1
    assert "number 2" in result.err
    assert not state.exists()


def test_what_retention_removed_is_said_and_no_error(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer(
        "GET",
        PATH,
        answer(5, 9, sealed_to=9, retention_boundary={"before": "…"}, notes=["Removed."]),
    )
    result = dotenv("audit", "follow", "--once", "--after-seq", "0")
    assert (result.code, printed(result.out)) == (0, [5, 9])
    assert "Removed." in result.err


def test_failures_that_pass_are_waited_out(
    signed_in: Server, dotenv: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    broken = {"error": "server_error", "message": "Something went wrong."}
    signed_in.answer("GET", PATH, broken, status=500)
    signed_in.answer("GET", PATH, broken, status=500)
    signed_in.answer("GET", PATH, answer(1, sealed_to=1))
    signed_in.answer("GET", PATH, {"error": "not_found", "message": "Gone."}, status=404)
    result = dotenv("audit", "follow", "--after-seq", "0")
    assert (result.code, printed(result.out)) == (4, [1])
    assert pauses == [1, 2]
    assert [query["wait"] for query in asked(signed_in)] == ["20"] * 4


def test_a_list_is_printed_as_json(signed_in: Server, dotenv: Run) -> None:
    meta: dict[str, Any] = {"next_cursor": None, "notes": []}
    signed_in.answer("GET", PATH, {**answer(1, sealed_to=1), "meta": meta})
    assert dotenv("audit", "list", "--json").json == [{"id": f"{1:026}", "seq": 1}]


@pytest.mark.parametrize(
    ("complete_to", "is_short"),
    [("2026-11-01T00:00:00.000Z", False), ("2026-10-31T23:59:59.000Z", True)],
)
def test_an_export_of_a_day_waits_and_says_when_it_is_short(
    signed_in: Server, dotenv: Run, tmp_path: Path, complete_to: str, is_short: bool
) -> None:
    headers = {"Audit-Until": "2026-11-01T00:00:00.000Z", "Audit-Complete-To": complete_to}
    signed_in.answer("GET", f"{PATH}/export", b"{}\n", headers=headers)
    file = str(tmp_path / "day.ndjson")
    result = dotenv("audit", "export", "--when", "2026-10-31", "-o", file)
    assert result.code == 0, result.err
    assert asked(signed_in)[0]["wait"] == "20"
    assert ("may be incomplete" in result.err) is is_short
    dotenv("audit", "export", "--since", "2026-10-31")
    assert "wait" not in asked(signed_in)[1]
