"""Every filter over again, in plain Python that reads all entries; and questions to try it with."""

from __future__ import annotations

import csv
import datetime as dt
import ipaddress
import json
import re
import unicodedata
import uuid
import zoneinfo
from collections.abc import Iterable
from functools import cache, cached_property
from typing import Any

from hypothesis import strategies as st

from audit.policy import ACTION_GROUPS, ACTIONS, RESOURCE_TYPES, ActorType
from audit.questions import periods
from audit.questions.filters import TYPE_ALIASES
from organizations import ulid
from tests.query.seeding import Row


def each(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    return [part.strip() for row in csv.reader(texts, skipinitialspace=True) for part in row]


OWN_NAMES = {
    "membership": "",
    "target": "/[^/]+$",
    "environment": "/[^/]+$",
    "key_version": "/encryption-key/[0-9]+$",
    "secret": "",
    "secret_version": "#[0-9]+$",
}
"""What the label of a thing that lies below another adds to the label of that."""
BELOW = {
    "membership": ["user_id"],
    "target": ["project_id"],
    "environment": ["target_id"],
    "key_version": ["project_id"],
    "secret": ["environment_id", "target_id", "project_id"],
    "secret_version": ["environment_id", "target_id", "project_id"],
}
NAMING = {"slug", "name", "email", "version", *(name for names in BELOW.values() for name in names)}


def folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


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
        self.parents: dict[uuid.UUID, set[uuid.UUID]] = {}
        self.own_names: dict[uuid.UUID, set[str]] = {}
        for row in rows:
            self.names.setdefault(("actor", row.actor_id), set()).add(row.actor_label)
            self.names.setdefault(("resource", row.resource_id), set()).add(row.resource_label)
            self.types[row.resource_id] = row.resource_type
            if row.resource_id and row.resource_type in BELOW and NAMING & row.changes.keys():
                self._place(row, row.resource_id)

    def _place(self, row: Row, key: uuid.UUID) -> None:
        own = OWN_NAMES[row.resource_type]
        found = re.search(own, row.resource_label) if own else None
        if own and not found:
            return
        self.own_names.setdefault(key, set()).add(found[0] if found else "")
        for column in BELOW[row.resource_type]:
            values = [value for value in row.changes.get(column) or () if value]
            if values:
                self.parents.setdefault(key, set()).add(ulid.parse(values[-1]))
                return

    def paths(self, key: uuid.UUID) -> set[str]:
        """All that a thing is or was called, by whatever names of what it lies below."""
        called = {folded(label) for label in self.names.get(("resource", key), ())}
        return called | {
            path + folded(own)
            for parent in self.parents.get(key, ())
            for path in self.paths(parent)
            for own in self.own_names[key]
        }

    def lineage(self, key: uuid.UUID) -> set[uuid.UUID]:
        """The thing, and all that it lies below."""
        above = (self.lineage(parent) for parent in self.parents.get(key, ()))
        return {key}.union(*above)

    def project_of(self, row: Row) -> str:
        """The id of the project that an entry is about, or that what it is about lies below."""
        if row.resource_id is None:
            return ""
        above = [key for key in self.lineage(row.resource_id) if self.types.get(key) == "project"]
        return ulid.to_text(above[0]) if above else ""

    def find(self, data: dict[str, Any]) -> set[uuid.UUID]:
        fitting = [
            row
            for row in self.rows
            if all(
                self.fits(row, name, value, data)
                for name, value in data.items()
                if name not in ("order", "limit")
            )
            and (row.action != "view" or self.is_looking_asked_for(data))
        ]
        fitting.sort(key=lambda row: row.id, reverse=data.get("order") != "oldest")
        return {row.id for row in fitting[: int(data.get("limit", len(fitting)))]}

    def is_looking_asked_for(self, data: dict[str, Any]) -> bool:
        return (
            data.get("views") == "true"
            or bool(data.keys() & {"action", "id", "request"})
            or "audit_log" in words(data.get("type", ""), RESOURCE_TYPES)
        )

    def fits(self, row: Row, name: str, value: Any, data: dict[str, Any]) -> bool:
        bare = name.removeprefix("exclude_")
        if bare == "resource":
            # A name is looked for among things of the types asked for.
            fits = self.is_resource(row, value, tuple(words(data.get("type", ""), RESOURCE_TYPES)))
        elif name == "exclude_q":
            fits = any(self.is_q(row, text) for text in each(value))
        elif bare in ("hours", "days"):
            zone = zoneinfo.ZoneInfo(data.get("tz", "UTC"))
            fits = getattr(self, f"is_{bare}")(ulid.time_of(row.id).astimezone(zone), value)
        elif name in ("since", "until", "when"):
            zone = zoneinfo.ZoneInfo(data.get("tz", "UTC"))
            fits = getattr(self, f"is_{bare}")(row, value, zone)
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
                label.startswith(folded(text).rstrip("*")) for label in self.everybody[row.actor_id]
            )
        return row.actor_id is not None and row.actor_id in self.called(folded(text))

    @cached_property
    def everybody(self) -> dict[uuid.UUID, set[str]]:
        """People and keys, with what they are or were called: as who did something, and as what
        something was done to."""
        found: dict[uuid.UUID, set[str]] = {}
        for (kind, key), labels in self.names.items():
            if key and (kind == "actor" or self.types[key] in ("user", "api_key")):
                found.setdefault(key, set()).update(map(folded, labels))
        return found

    @cache  # noqa: B019
    def called(self, text: str) -> set[uuid.UUID]:
        everybody = self.everybody.items()
        exact = {key for key, labels in everybody if text in labels}
        partly = {k for k, labels in everybody if any(text in label for label in labels)}
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
        if key := ulid.parse_or_none(text.removesuffix("/")):
            return {
                thing
                for kind, thing in self.names
                if kind == "resource" and thing and key in self.lineage(thing)
                if not types or self.types[thing] in types
            }
        path = folded(text.strip("/").rstrip("*").strip("/"))
        things = {key: self.paths(key) for kind, key in self.names if kind == "resource" and key}
        if text.endswith("*"):
            looks = [lambda called: called.startswith(path)]
        else:
            looks = [
                lambda called: called == path or called.startswith((f"{path}/", f"{path}#")),
                lambda called: f"/{path}/" in f"/{called.translate(SLASHES)}/",
                lambda called: f"/{path}" in f"/{called.translate(SLASHES)}/",
            ]
        for fits in looks:
            starts = {key for key, paths in things.items() if any(map(fits, paths))}
            found = {
                key
                for key in things
                if self.lineage(key) & starts and (not types or self.types[key] in types)
            }
            if found:
                return found
        return set()

    def is_q(self, row: Row, value: str) -> bool:
        return all(
            row.actor_id in self.with_word(word)[0] for word in folded(value).split()
        ) or all(row.resource_id in self.with_word(word)[1] for word in folded(value).split())

    @cache  # noqa: B019
    def with_word(self, word: str) -> tuple[set[Any], set[Any]]:
        """The actors and the resources that have it in a name, or lie below what has."""
        actors = {
            key
            for key, labels in self.everybody.items()
            if any(self._has(label, word) for label in labels)
        }
        things = {key for kind, key in self.names if kind == "resource" and key}
        starts = {key for key in things if any(self._has(path, word) for path in self.paths(key))}
        return actors, {key for key in things if self.lineage(key) & starts}

    def _has(self, label: str, word: str) -> bool:
        if word.endswith("*"):
            return f"/{word.rstrip('*')}" in f"/{label.translate(SLASHES)}/"
        return word in label

    def is_actor_type(self, row: Row, value: Any) -> bool:
        return row.actor_type in words(value, ActorType)

    def is_action(self, row: Row, value: Any) -> bool:
        actions = words(value, [action.name for action in ACTIONS])
        deeds = [deeds for group in ACTION_GROUPS if group.name in actions for deeds in group.deeds]
        return row.action in actions or any(
            row.action in one.actions and (not one.types or row.resource_type in one.types)
            for one in deeds
        )

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

    def is_since(self, row: Row, value: str, zone: dt.tzinfo) -> bool:
        return ulid.time_of(row.id) >= periods.resolve_since(value, self.now, zone)

    def is_until(self, row: Row, value: str, zone: dt.tzinfo) -> bool:
        return ulid.time_of(row.id) < periods.resolve_until(value, self.now, zone)

    def is_when(self, row: Row, value: str, zone: dt.tzinfo) -> bool:
        since, until = periods.resolve(value, self.now, zone)
        time = ulid.time_of(row.id)
        return (since is None or time >= since) and (until is None or time < until)

    def is_views(self, row: Row, value: str) -> bool:
        return True

    def is_severity(self, row: Row, value: Any) -> bool:
        return severity_of(row) in words(value, ["info", "notice", "warning"])

    def is_reason(self, row: Row, value: Any) -> bool:
        reason = row.context.get("reason", "").lower().replace("_", " ")
        return any(has(reason, text.replace("_", " ")) for text in each(value))

    def is_user_agent(self, row: Row, value: Any) -> bool:
        return any(has(row.user_agent, text) for text in each(value))

    def is_became(self, row: Row, value: Any) -> bool:
        return any(self._had(row, text, after=True) for text in each(value))

    def is_was(self, row: Row, value: Any) -> bool:
        return any(self._had(row, text, after=False) for text in each(value))

    def _had(self, row: Row, text: str, *, after: bool) -> bool:
        field, _, wanted = text.partition(":")
        if field not in FIELDS:
            field, wanted = "", text
        for name, pair in row.changes.items():
            if pair is None or (field and name != field):
                continue
            before, since = pair
            this, other = (since, before) if after else (before, since)
            if isinstance(this, list):
                known = other if isinstance(other, list) else []
                found = [item for item in this if item not in known]
            else:
                found = [this]
            for item in found:
                said = item if isinstance(item, str) else json.dumps(item)
                if said.lower().startswith(wanted.lower().rstrip("*")) and (
                    "*" in wanted or said.lower() == wanted.lower()
                ):
                    return True
        return False

    def is_hours(self, moment: dt.datetime, value: Any) -> bool:
        for text in each(value):
            if text == "office":
                if moment.weekday() < 5 and 9 <= moment.hour < 17:
                    return True
                continue
            since, _, until = text.partition("-")
            start = dt.timedelta(hours=int(since.split(":")[0]))
            start += dt.timedelta(minutes=int(since.partition(":")[2] or 0))
            hour, _, minute = until.partition(":")
            hours = dt.timedelta(hours=int(hour), minutes=int(minute or 0)) if until else start
            end = hours if until else start + dt.timedelta(hours=1)
            clock = moment.replace(tzinfo=None) - dt.datetime.combine(moment.date(), dt.time())
            if start < end and start <= clock < end:
                return True
            if start > end and (clock >= start or clock < end):
                return True
        return False

    def is_days(self, moment: dt.datetime, value: Any) -> bool:
        several = {"mon": [0], "tue": [1], "fri-sun": [4, 5, 6], "weekday": [0, 1, 2, 3, 4]}
        several |= {"weekend": [5, 6], "sat-mon": [5, 6, 0], "sun": [6]}
        return any(moment.weekday() in several[text.lower()] for text in each(value))

    def is_actor_role(self, row: Row, value: Any) -> bool:
        role = None
        for entry, before, after in self._roles.get(row.actor_label, ()):
            if entry <= row.id:
                role = before if after is None and entry == row.id else after
        return role in [text.replace("administrator", "admin") for text in each(value)]

    @cached_property
    def _roles(self) -> dict[str, list[tuple[uuid.UUID, Any, Any]]]:
        """By address, in order: the entry that says so, the role before it and after it."""
        found: dict[str, list[tuple[uuid.UUID, Any, Any]]] = {}
        for row in sorted(self.rows, key=lambda each: each.id):
            if row.resource_type == "membership" and "role" in row.changes:
                change = (row.id, *row.changes["role"])
                found.setdefault(row.resource_label, []).append(change)
        return found


def severity_of(row: Row) -> str:
    severities = {action.name: action.severity.value for action in ACTIONS}
    return severities.get(row.action, "warning") if row.result == "success" else "warning"


def has(text: str, part: str) -> bool:
    text, part = text.lower(), part.lower()
    return text.startswith(part.rstrip("*")) if part.endswith("*") else part in text


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


FIELDS = ("status", "name", "role", "expires_at", "permissions")
GROUPS = [group.name for group in ACTION_GROUPS]
VALUES = ["älter", "status:Älter", "name:new*", "audit:read", "audit*", "null"]
VALUES += ["role:developer", "auditor", "true", "expires_at:null", "permissions:audit:export"]
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
