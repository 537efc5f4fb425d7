"""Every filter over again, in plain Python that reads all entries; and questions to try it with."""

from __future__ import annotations

import csv
import datetime as dt
import ipaddress
import uuid
from collections.abc import Iterable
from functools import cache
from typing import Any

from hypothesis import strategies as st

from audit.policy import ACTIONS, RESOURCE_TYPES, ActorType
from audit.questions import periods
from audit.questions.filters import TYPE_ALIASES
from organizations import ulid
from tests.query.seeding import Row


def each(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    return [part.strip() for row in csv.reader(texts, skipinitialspace=True) for part in row]


SLASHES = str.maketrans("@#", "//")
"""What else stands between the parts of a path."""


def words(value: Any, known: Iterable[str]) -> list[str]:
    """Words of a catalogue; `re*` is every word that begins so."""
    found = []
    for text in each(value) if value else []:
        beginning = text.rstrip("*")
        fitting = [word for word in known if word.startswith(beginning)]
        found += fitting if text.endswith("*") else [TYPE_ALIASES.get(text, text)]
    return found


class Naive:
    """Every filter, written for reading rather than for speed."""

    def __init__(self, rows: list[Row], now: dt.datetime) -> None:
        self.rows = rows
        self.now = now
        self.names: dict[tuple[str, Any], set[str]] = {}
        self.types: dict[Any, str] = {}
        for row in rows:
            self.names.setdefault(("actor", row.actor_id), set()).add(row.actor_label)
            self.names.setdefault(("resource", row.resource_id), set()).add(row.resource_label)
            self.types[row.resource_id] = row.resource_type

    def find(self, data: dict[str, Any]) -> set[uuid.UUID]:
        return {
            row.id
            for row in self.rows
            if all(self.fits(row, name, value, data) for name, value in data.items())
        }

    def fits(self, row: Row, name: str, value: Any, data: dict[str, Any]) -> bool:
        bare = name.removeprefix("exclude_")
        if bare == "resource":
            # A name is looked for among things of the types asked for.
            fits = self.is_resource(row, value, tuple(words(data.get("type", ""), RESOURCE_TYPES)))
        elif name == "exclude_q":
            fits = any(self.is_q(row, text) for text in each(value))
        else:
            fits = getattr(self, f"is_{bare}")(row, value)
        return fits == (bare == name)

    def is_actor(self, row: Row, value: Any) -> bool:
        return any(self._is_actor(row, text) for text in each(value))

    def _is_actor(self, row: Row, text: str) -> bool:
        if text in ("system", "anonymous", "database"):
            return row.actor_type == text
        if ulid.parse_or_none(text):
            return row.actor_id == ulid.parse(text)
        if text.endswith("*"):
            return row.actor_id is not None and any(
                label.lower().startswith(text.lower().rstrip("*"))
                for label in self.names["actor", row.actor_id]
            )
        return row.actor_id is not None and row.actor_id in self.called(text.lower())

    @cache  # noqa: B019
    def called(self, text: str) -> set[uuid.UUID]:
        everybody = {
            key: [label.lower() for label in labels]
            for (kind, key), labels in self.names.items()
            if kind == "actor" and key is not None
        }
        exact = {key for key, labels in everybody.items() if text in labels}
        partly = {k for k, labels in everybody.items() if any(text in label for label in labels)}
        return exact or partly

    def is_resource(self, row: Row, value: Any, types: tuple[str, ...]) -> bool:
        return row.resource_id is not None and any(
            row.resource_id in self.things(text, types) for text in each(value)
        )

    @cache  # noqa: B019
    def things(self, text: str, types: tuple[str, ...]) -> set[uuid.UUID]:
        """The resources that `text` names."""
        if ulid.parse_or_none(text):
            return {ulid.parse(text)}
        paths = {text.strip("/"), text.strip("/").lower()}
        labels = {
            (key, label)
            for (kind, key), called in self.names.items()
            if kind == "resource" and key is not None
            for label in called
            if not types or self.types[key] in types
        }
        if text.endswith("*"):
            starts = tuple(path.rstrip("*") for path in paths)
            return {key for key, label in labels if label.startswith(starts)}
        exact = {
            key
            for key, label in labels
            if label in paths
            or label.startswith(tuple(f"{path}{end}" for path in paths for end in "/#"))
        }
        parts = [(key, f"/{label.lower().translate(SLASHES)}/") for key, label in labels]
        path = text.strip("/").lower()
        whole = {key for key, label in parts if f"/{path}/" in label}
        return exact or whole or {key for key, label in parts if f"/{path}" in label}

    def is_q(self, row: Row, value: str) -> bool:
        words = value.lower().split()
        return any(
            all(self._has(label.lower(), word) for word in words)
            for kind, key in (("actor", row.actor_id), ("resource", row.resource_id))
            if key is not None
            for label in self.names[kind, key]
        )

    def _has(self, label: str, word: str) -> bool:
        if word.endswith("*"):
            return f"/{word.rstrip('*')}" in f"/{label.translate(SLASHES)}/"
        return word in label

    def is_actor_type(self, row: Row, value: Any) -> bool:
        return row.actor_type in words(value, ActorType)

    def is_action(self, row: Row, value: Any) -> bool:
        return row.action in words(value, [action.name for action in ACTIONS])

    def is_type(self, row: Row, value: Any) -> bool:
        return row.resource_type in words(value, RESOURCE_TYPES)

    def is_result(self, row: Row, value: Any) -> bool:
        return row.result in each(value)

    def is_interface(self, row: Row, value: Any) -> bool:
        return row.interface in each(value)

    def is_ip(self, row: Row, value: Any) -> bool:
        return row.ip is not None and any(
            ipaddress.ip_address(row.ip) in ipaddress.ip_network(text, strict=False)
            for text in each(value)
        )

    def is_request(self, row: Row, value: Any) -> bool:
        return row.request_id in [ulid.parse(text) for text in each(value)]

    def is_field(self, row: Row, value: Any) -> bool:
        return any(name in row.changes for name in each(value))

    def is_tz(self, row: Row, value: Any) -> bool:
        return True

    def is_since(self, row: Row, value: str) -> bool:
        return ulid.time_of(row.id) >= periods.resolve_since(value, self.now, dt.UTC)

    def is_until(self, row: Row, value: str) -> bool:
        return ulid.time_of(row.id) < periods.resolve_until(value, self.now, dt.UTC)

    def is_when(self, row: Row, value: str) -> bool:
        since, until = periods.resolve(value, self.now, dt.UTC)
        time = ulid.time_of(row.id)
        return (since is None or time >= since) and (until is None or time < until)


# -- What to ask


def few_of(filters: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Up to four filters at once: of more, next to nothing is left to find."""
    names = st.lists(st.sampled_from(sorted(filters)), unique=True, max_size=4)
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries({name: filters[name] for name in chosen})
    )


def some(values: list[str]) -> st.SearchStrategy[Any]:
    """One value, several with commas, or repeated parameters."""
    lists = st.lists(st.sampled_from(values), min_size=1, max_size=3)
    return st.one_of(st.sampled_from(values), lists.map(",".join), lists)


PEOPLE = ["jane", "JANE@example.org", "mary", "zoë", "ZOË", "o'neil", "100%", "ci-deploy", "system"]
PEOPLE += ["anonymous", "database", '"backup, nightly"', "nobody", "e", "_", "@example.org"]
PEOPLE += ["ja*", "MARY.*", "nobody*"]
THINGS = ["app-1", "old-1", "app-2/production", "/App-2/backend/", "app-3/production/staging"]
THINGS += [
    "jane@example.org",
    "ci-deploy",
    "app",
    "app-1/encryption-key",
    "app%",
    "new@example.org",
    "production",
    "STAGING",
    "backend/stag",
    "jane",
    "app-1/back*",
    "old*",
]
