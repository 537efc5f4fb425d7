"""A log filled in one go: rows as sealing leaves them, put there by the owner's role."""

from __future__ import annotations

import datetime as dt
import json
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import psycopg

from organizations import ulid


@dataclass(frozen=True)
class Row:
    """An entry, column by column."""

    id: uuid.UUID
    organization_id: uuid.UUID
    actor_id: uuid.UUID | None
    resource_id: uuid.UUID | None
    request_id: uuid.UUID | None
    ip: str | None
    actor_type: str
    actor_label: str
    action: str
    resource_type: str
    resource_label: str
    result: str
    interface: str
    user_agent: str
    changes: dict[str, Any]
    context: dict[str, Any]


_COLUMNS = [field.name for field in fields(Row)]

ACTIONS = {
    "project": ("create", "update", "update", "delete"),
    "target": ("create", "update", "update", "delete"),
    "environment": ("create", "update", "update", "update", "delete"),
    "key_version": ("rotate", "retrieve", "retrieve", "retrieve", "retrieve"),
    "api_key": ("create", "rotate", "delete"),
    "membership": ("join", "leave", "update"),
    "user": ("sign_in", "sign_in", "sign_in", "sign_out", "grant"),
    "invitation": ("invite",),
    "secret_version": ("create", "create", "purge"),
}
USER_AGENTS = ("Mozilla/5.0 Firefox/144.0", "curl/8.5.0", "dotenv-cli/1.4.0 (linux)", "")
FIELDS = ("name", "slug", "description", "status", "is_production")


class Organization:
    """People and things of a made-up organization, and what they did, all from one seed."""

    def __init__(self, key: uuid.UUID, seed: int, projects: int = 6) -> None:
        self.key = key
        self.random = random.Random(seed)
        people = ("jane", "john", "Mary.Jane", "ali", "zoë", "o'neil", "100%_sure")
        self.actors: list[tuple[str, uuid.UUID | None, str]] = [
            ("user", self._id(), f"{name}@example.org") for name in people
        ]
        self.actors += [("api_key", self._id(), name) for name in ("ci-deploy", "backup, nightly")]
        self.actors += [("system", None, "system"), ("anonymous", None, "anonymous")]
        self.resources: list[tuple[str, uuid.UUID | None, str]] = []
        for number in range(projects):
            project = f"app-{number}"
            self.resources.append(("project", self._id(), project))
            self.resources.append(("key_version", self._id(), f"{project}/encryption-key/1"))
            for target in ("backend", "production"):
                self.resources.append(("target", self._id(), f"{project}/{target}"))
                for environment in ("production", "staging", "local"):
                    path = f"{project}/{target}/{environment}"
                    self.resources.append(("environment", self._id(), path))
        self.resources += [("user", key, label) for _, key, label in self.actors[:7]]
        self.resources += [("membership", self._id(), label) for _, _, label in self.actors[:7]]
        self.resources += [("api_key", key, label) for _, key, label in self.actors[7:9]]
        self.resources.append(("invitation", self._id(), "new@example.org"))
        self.resources += [
            ("secret_version", self._id(), f"{path}#{number}")
            for number, path in enumerate(("app-1", "app-2/backend", "app-3/production/staging"))
        ]

    def _id(self) -> uuid.UUID:
        return uuid.UUID(int=self.random.getrandbits(128))

    def rows(self, count: int, since: dt.datetime, until: dt.datetime) -> list[Row]:
        choose, number = self.random.choice, self.random.random
        span = until - since
        moments = sorted(since + span * number() for _ in range(count))
        return [self._row(moment, choose, number) for moment in moments]

    def _row(self, moment: dt.datetime, choose: Any, number: Any) -> Row:
        actor_type, actor_id, actor_label = choose(self.actors)
        chance = number()
        changes: dict[str, Any] = {}
        context: dict[str, Any] = {}
        result = "success"
        if chance < 0.02:
            resource_type, resource_id, resource_label = "endpoint", None, "GET /{organization}"
            action, result = "access", "denied"
            context = {"status": 403, "reason": "insufficient_permissions"}
        else:
            resource_type, resource_id, resource_label = choose(self.resources)
            action = choose(ACTIONS[resource_type])
            if action == "sign_in" and chance > 0.9:
                result, context = "failed", {"reason": "wrong_password"}
            if action == "update":
                changes = {choose(FIELDS): ["älter", 'new "name"\n'], "updated_by": None}
        if chance > 0.97 and "/" in resource_label:
            resource_label = resource_label.replace("app-", "old-")
        return Row(
            id=ulid.at(moment),
            organization_id=self.key,
            actor_id=actor_id,
            resource_id=resource_id,
            request_id=ulid.at(moment) if actor_type != "system" else None,
            ip=choose(("10.0.0.1", "10.0.7.9", "203.0.113.7", "2001:db8::7", None)),
            actor_type=actor_type,
            actor_label=actor_label,
            action=action,
            resource_type=resource_type,
            resource_label=resource_label,
            result=result,
            interface=choose(("web", "web", "api", "cli", "admin", "command")),
            user_agent=USER_AGENTS[int(moment.timestamp()) % len(USER_AGENTS)],
            changes=changes,
            context=context,
        )


def renamed(log: Organization, made: dt.datetime, renamed: dt.datetime) -> list[Row]:
    """That a project with everything below it was made, and that it, a target of it, a key and a
    person were renamed since: by entries that say so, as the triggers write them."""
    keys = {(type_name, label): key for type_name, key, label in log.resources}
    project = keys["project", "app-1"]
    assert project is not None
    rows = []

    def enter(
        moment: dt.datetime,
        action: str,
        type_name: str,
        name: str,
        label: str,
        changes: dict[str, Any],
    ) -> None:
        template = log._row(moment, log.random.choice, log.random.random)
        rows.append(
            replace(
                template,
                action=action,
                resource_type=type_name,
                resource_id=keys[type_name, name],
                resource_label=label,
                result="success",
                changes=changes,
                context={},
            )
        )

    def make(type_name: str, label: str, **parent: uuid.UUID) -> None:
        changes: dict[str, Any] = {
            column: [None, ulid.to_text(key)] for column, key in parent.items()
        }
        changes |= {"slug": [None, label.rpartition("/")[2]]}
        enter(made, "create", type_name, label, label, changes)

    make("project", "app-1")
    make("key_version", "app-1/encryption-key/1", project_id=project)
    for target in ("backend", "production"):
        path = f"app-1/{target}"
        make("target", path, project_id=project)
        key = keys["target", path]
        assert key is not None
        for environment in ("production", "staging", "local"):
            make("environment", f"{path}/{environment}", target_id=key)
    for type_name, name, label, field in (
        ("project", "app-1", "shop-1", "slug"),
        ("target", "app-1/backend", "shop-1/server", "slug"),
        ("api_key", "ci-deploy", "CI-Prod", "name"),
        ("user", "jane@example.org", "jane.doe@example.com", "email"),
    ):
        before, after = name.rpartition("/")[2], label.rpartition("/")[2]
        enter(renamed, "update", type_name, name, label, {field: [before, after]})
    return rows


def held(log: Organization, since: dt.datetime, until: dt.datetime) -> list[Row]:
    """That people got roles, other ones and none; that permissions were given to one of them and
    partly taken, a key changed its state; and that the log was looked at."""
    third = (until - since) / 3
    people = [actor for actor in log.actors if actor[0] == "user"][:4]
    members = {label: key for type_name, key, label in log.resources if type_name == "membership"}
    rows = []

    def enter(moment: dt.datetime, action: str, changes: dict[str, Any], **columns: Any) -> None:
        template = log._row(moment, log.random.choice, log.random.random)
        plain: dict[str, Any] = {"result": "success", "context": {}, "changes": changes}
        rows.append(replace(template, action=action, **{**plain, **columns}))

    for number, (_, key, label) in enumerate(people):
        assert key is not None
        member = {
            "resource_type": "membership",
            "resource_id": members[label],
            "resource_label": label,
        }
        by_themselves = {"actor_type": "user", "actor_id": key, "actor_label": label}
        person, role = ulid.to_text(key), ROLES[number]
        joined: dict[str, Any] = {"user_id": [None, person], "role": [None, role]}
        enter(since, "join", joined, **member)
        if number % 2:
            enter(since + third, "update", {"role": [role, "auditor"]}, **member)
            left: dict[str, Any] = {"user_id": [person, None], "role": ["auditor", None]}
            enter(since + 2 * third, "leave", left, **by_themselves, **member)
        user = {"resource_type": "user", "resource_id": key, "resource_label": label}
        given: dict[str, Any] = {"permissions": [["audit:read"], ["audit:export", "audit:read"]]}
        enter(since + third, "grant", given, **user)
        taken: dict[str, Any] = {"permissions": [["audit:export", "audit:read"], []]}
        enter(since + 2 * third, "revoke", taken, **user)
        viewed = {"resource_type": "audit_log", "resource_id": None, "resource_label": "acme"}
        seen = {"filters": "action=delete"}
        enter(until, "view", {}, context=seen, **by_themselves, **viewed)
    _, key, label = log.actors[7]
    api_key = {"resource_type": "api_key", "resource_id": key, "resource_label": label}
    states: dict[str, Any] = {"inherit_parents": [False, True], "expires_at": ["2027-01-01", None]}
    enter(until, "update", states, **api_key)
    return rows


ROLES = ("owner", "developer", "admin", "developer")


def seal(connection: psycopg.Connection, rows: Sequence[Row]) -> None:
    """Put `rows` into the ledger, numbered, with the names and counts that the sealer keeps."""
    if not rows:
        return
    times = [ulid.time_of(row.id) for row in rows]
    connection.execute("SELECT audit_ensure_partitions(%s, %s)", [min(times), max(times)])
    numbers: dict[Any, int] = {}

    def following(*subject: Any) -> int:
        numbers[subject] = numbers.get(subject, 0) + 1
        return numbers[subject]

    numbered = (
        (
            *_values(row),
            following(row.organization_id),
            following(row.organization_id, "r", row.resource_type, row.resource_id),
            following(row.organization_id, "a", row.actor_type, row.actor_id),
        )
        for row in rows
    )
    _copy(connection, "audit_ledger", [*_COLUMNS, "seq", "resource_seq", "actor_seq"], numbered)
    connection.execute(_NOTE_FIELDS, [list({row.organization_id for row in rows})])
    connection.execute(_NOTE_PLACES, [list({row.organization_id for row in rows})])
    names = {
        (row.organization_id, kind, label, type_name, key)
        for row in rows
        for kind, label, type_name, key in (
            ("resource", row.resource_label, row.resource_type, row.resource_id),
            ("actor", row.actor_label, row.actor_type, row.actor_id),
        )
        if key is not None
    }
    _copy(connection, "audit_label", ["organization_id", "kind", "label", "type", "id"], names)
    sizes = [(key[0], size) for key, size in numbers.items() if len(key) == 1]
    _copy(connection, "audit_log", ["organization_id", "size"], sizes)


_NOTE_FIELDS = """
INSERT INTO audit_field AS f (organization_id, field, block, first_id, last_id)
SELECT organization_id, name, seq / 1024, (array_agg(id ORDER BY id))[1],
    (array_agg(id ORDER BY id DESC))[1]
FROM audit_ledger CROSS JOIN LATERAL (
    SELECT jsonb_object_keys(changes) AS name UNION ALL SELECT '') AS each
WHERE organization_id = ANY(%s) GROUP BY 1, 2, 3
ON CONFLICT (organization_id, field, block) DO UPDATE SET
    first_id = least(f.first_id, EXCLUDED.first_id),
    last_id = greatest(f.last_id, EXCLUDED.last_id)
"""


_NOTE_PLACES = """
WITH naming AS (
    SELECT organization_id, resource_id, audit_parent_of(resource_type, changes) AS parent_id,
        audit_own_name(resource_type, resource_label) AS name, resource_type, id
    FROM audit_ledger WHERE organization_id = ANY(%s) AND audit_is_naming(changes)
        AND resource_id IS NOT NULL AND resource_label <> ''
), placed AS (
    SELECT organization_id, resource_id, COALESCE(parent_id,
        (SELECT known.parent_id FROM naming known WHERE known.resource_id = n.resource_id
            AND known.organization_id = n.organization_id AND known.parent_id IS NOT NULL
            ORDER BY id DESC LIMIT 1), '00000000-0000-0000-0000-000000000000') AS parent_id,
        name, resource_type, id
    FROM naming n WHERE name IS NOT NULL
)
INSERT INTO audit_place AS p (organization_id, id, parent_id, name, type, named_by)
SELECT organization_id, resource_id, parent_id, name, resource_type,
    (array_agg(id ORDER BY id DESC))[1]
FROM placed GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (organization_id, id, name, parent_id) DO UPDATE SET named_by = EXCLUDED.named_by
"""


def receive(connection: psycopg.Connection, rows: Sequence[Row]) -> None:
    """Put `rows` into the inbox, as if their changes had just committed."""
    _copy(connection, "audit_inbox", _COLUMNS, map(_values, rows))


def _values(row: Row) -> list[Any]:
    values = (getattr(row, name) for name in _COLUMNS)
    return [json.dumps(value) if isinstance(value, dict) else value for value in values]


def _copy(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)
