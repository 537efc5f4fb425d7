"""Which questions the index of the log can prove an answer to: by which keys, in which time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import NamedTuple

from audit import policy
from audit.policy import Interface, Result
from audit.questions.filters import EntryFilter
from organizations import ulid

EVER = (0, 2**48)
"""The window of a question without times, in milliseconds."""


class Provable(NamedTuple):
    """keys: texts, any of which an entry has to have; since, until: milliseconds, the latter
    exclusive."""

    keys: tuple[str, ...]
    since: int
    until: int


def provable(asked: EntryFilter) -> Provable | None:
    """The rarest condition of a question, as keys of the index; None if it has none, or one that
    leaf data cannot decide: then only a pack of all leaves shows that nothing was left out."""
    given = {name: _parts(texts) for name, texts in asked.params.items()}
    found: list[tuple[str, ...]] = []
    for name, keys_of in _KEYS.items():
        values = given.pop(name, None)
        if values is None:
            continue
        keys = [keys_of(value) for value in values]
        if any(each is None for each in keys):
            return None
        if all(keys):
            found.append(tuple(key for each in keys if each for key in each))
    if not found or given.keys() - _ASIDE:
        return None
    return Provable(found[0], *window_of(asked))


def window_of(asked: EntryFilter) -> tuple[int, int]:
    """The times that a question asks for, in milliseconds."""
    since, until = asked.period
    return (
        EVER[0] if since is None else _milliseconds(since),
        EVER[1] if until is None else _milliseconds(until),
    )


_ASIDE = {"since", "until", "when", "tz", "views", "order"}


def unprovable(asked: EntryFilter) -> list[str]:
    """The conditions of a question that leaf data does not decide: that no other entry meets them
    is the word of the server."""
    return [
        name
        for name, texts in asked.params.items()
        if name not in _ASIDE
        and (name not in _KEYS or any(_KEYS[name](value) is None for value in _parts(texts)))
    ]


Keys = tuple[str, ...]


def _parts(texts: list[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


# Of each value: its keys; none if leaf data decides it but the index has no key for it; None if
# neither does.


def _of_resource(value: str) -> Keys | None:
    if "*" in value or ulid.parse_or_none(value):
        return None
    return (f"path\n{value.strip('/').lower()}",)


def _of_actor(value: str) -> Keys | None:
    if not ulid.parse_or_none(value):
        return None
    return tuple(f"actor\n{kind}\n{value.upper()}" for kind in ("user", "api_key"))


def _of_action(value: str) -> Keys | None:
    return (f"action\n{value}",) if policy.action(value) else None


def _of_result(value: str) -> Keys | None:
    if value not in set(Result):
        return None
    return () if value == Result.SUCCESS else (f"result\n{value}",)


def _of_interface(value: str) -> Keys | None:
    if value not in set(Interface):
        return None
    is_indexed = value in (Interface.ADMIN, Interface.COMMAND, Interface.DATABASE)
    return (f"interface\n{value}",) if is_indexed else ()


def _of_type(value: str) -> Keys | None:
    return (f"type\n{value}",) if value in policy.TYPES else None


_KEYS: Mapping[str, Callable[[str], Keys | None]] = {
    "resource": _of_resource,
    "actor": _of_actor,
    "result": _of_result,
    "interface": _of_interface,
    "action": _of_action,
    "type": _of_type,
}
"""Those that are rare first."""


def _milliseconds(moment: dt.datetime) -> int:
    return (moment - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(milliseconds=1)
