"""`dotenv audit follow`: the log as it grows, by number: nothing is missed, nothing comes twice."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dotenv_cloud.cli import files, output
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure

_A_PAGE = 200
_WAIT = 20
"""Seconds that the server holds an answer back; the client gives up after 30."""
_LONGEST_PAUSE = 60.0
_PASSING = frozenset({Exit.ERROR, Exit.CONFLICT})
"""How requests fail that may succeed later: the network, the server, too many at once."""

Query = Sequence[tuple[str, str]]


@dataclass
class State:
    """How far one question to one log was followed."""

    organization: str
    question: list[list[str]]
    after_seq: int

    @classmethod
    def read(cls, path: Path) -> State | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(content["organization"]), content["question"], int(content["after_seq"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Failure(f"Cannot read {path}: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(
                f"{path} does not say how far the log was followed.",
                Exit.USAGE,
                "Name another file, or remove it to begin anew.",
            ) from error

    def write(self, path: Path) -> None:
        try:
            with files.replacing(path) as file:
                file.write(json.dumps(asdict(self)).encode() + b"\n")
        except OSError as error:
            raise Failure(f"Cannot write {path}: {error.strerror}.") from error


def follow(
    api: Api, query: Query, state_path: Path | None, after_seq: int | None, *, once: bool
) -> None:
    """Print entries until stopped, or with `once` until there is nothing new."""
    state = _begin(api, query, state_path, after_seq)
    for body in _answers(api, query, state, once=once):
        _refuse_gap(body, query, state)
        for item in body["data"]:
            output.as_json_line({"id": item["id"], **item["attributes"]})
        # Printed first, then stored: a repeated entry can be recognized, a missing one cannot.
        sys.stdout.flush()
        has_moved = body["meta"]["reached"] != state.after_seq
        state.after_seq = body["meta"]["reached"]
        if state_path is not None and has_moved:
            state.write(state_path)


def _begin(api: Api, query: Query, path: Path | None, after_seq: int | None) -> State:
    question = [list(pair) for pair in query]
    state = State.read(path) if path else None
    if state is None:
        if after_seq is None:
            after_seq = 0 if path else _sealed_to(api)
        return State(api.organization, question, after_seq)
    if (state.organization, state.question) != (api.organization, question):
        raise Failure(
            f"{path} is of another question, or another organization.",
            Exit.USAGE,
            "Keep a file for each question.",
        )
    if after_seq is not None:
        raise Failure(
            f"{path} says where to go on: after {state.after_seq}.",
            Exit.USAGE,
            "Leave out --after-seq, or remove the file.",
        )
    return state


def _sealed_to(api: Api) -> int:
    answer = api.get(api.of_organization("audit", "entries"), [("per_page", "1")])
    return int(answer["meta"]["sealed_to"])


def _answers(api: Api, query: Query, state: State, *, once: bool) -> Iterator[dict[str, Any]]:
    """What the server answers from `state` on. Failures that may pass are waited out."""
    address, pause = api.of_organization("audit", "entries"), 1.0
    wait = [] if once else [("wait", str(_WAIT))]
    said: list[str] = []
    while True:
        place = [("after_seq", str(state.after_seq)), ("per_page", str(_A_PAGE)), *wait]
        try:
            body = api.get(address, [*query, *place])
        except Failure as failure:
            if once or failure.code not in _PASSING:
                raise
            output.warn(f"{failure.message} Trying again in {pause:.0f} s.")
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            continue
        pause = 1.0
        if body["meta"]["notes"] != said:
            said = body["meta"]["notes"]
            for text in said:
                output.warn(text)
        yield body
        if once and body["meta"]["reached"] >= body["meta"]["sealed_to"]:
            return


def _refuse_gap(body: dict[str, Any], query: Query, state: State) -> None:
    """All of a log has every number, but for those that retention removed, which is said."""
    if any(name != "tz" for name, _ in query) or body["meta"]["retention_boundary"]:
        return
    numbers = [item["attributes"]["seq"] for item in body["data"]]
    expected = list(range(state.after_seq + 1, state.after_seq + 1 + len(numbers)))
    if numbers != expected:
        missing = next(n for n, got in zip(expected, numbers, strict=True) if n != got)
        raise Failure(f"The server left out the entry with number {missing}.")
