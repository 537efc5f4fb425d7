"""Erasing: parts of entries are emptied for good, and all evidence still holds.

The leaf of an entry commits to each of its parts with a salt of its own. When a part is erased, its
commitment takes its place, the salts of the parts that stay are kept one by one, and the salt that
gives all of them is zeroed: nobody can test a guess against what is left. That it was erased has an
entry, which the database makes (`a_erasure.sql`); copies that were given away, backups and archives
keep what they have.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connections, transaction

from audit import policy
from audit.evidence import index, leaf, reading
from audit.evidence.leaf import DETAIL, WITHHELD
from audit.redaction import clean
from audit.retention import RetentionError, erasures_remembered, kept_leaves, months
from audit.retention.erasures_remembered import Remembered
from audit.retention.months import OWNER
from organizations import ulid

AT_ONCE = 2_000
"""Entries of one `erase` entry, which names their numbers."""
LONGEST = 500
_ACTOR, _ORIGIN, _RESOURCE = 0, 1, 2

Wanted = Mapping[int, frozenset[int]]
"""Parts to erase, by the number of the entry."""


class ErasureError(RetentionError):
    """Something cannot be erased; nothing was. The message says why."""


@dataclass(frozen=True)
class Erased:
    """What was done. entries: how many lost something; names: of people, that were erased."""

    entries: int
    names: tuple[str, ...] = ()


class _Name(NamedTuple):
    """A name that was erased from an entry. kind: as in `audit_label`."""

    kind: str
    label: str
    type: str
    id: uuid.UUID


class _Change(NamedTuple):
    """What is erased of one entry, and what is kept of it."""

    number: int
    hash: bytes
    entry: uuid.UUID
    commitments: dict[int, bytes]
    salts: dict[int, bytes]
    data: bytes


def erase(
    organization: uuid.UUID,
    wanted: Wanted,
    reason: str,
    requested_by: str,
    *,
    is_again: bool = False,
) -> Erased:
    """Erase these parts, all or none. Raises ErasureError, and BusyError while retention runs.

    is_again: after a restore; it is in the memory of erasures already.
    """
    reason, requested_by = _said(reason, "reason"), _said(requested_by, "by")
    if not wanted:
        return Erased(0)
    with _alone(), transaction.atomic(using=OWNER):
        _refuse_held(organization)
        _hold_tree(organization, max(wanted))
        changes = list(_changes(organization, wanted))
        if not changes:
            return Erased(0)
        entries = [change.entry for change in changes]
        names = _names(entries, _parts_by_entry(changes))
        people = _people_whose_changes(
            change.entry for change in changes if {DETAIL, WITHHELD} & change.commitments.keys()
        )
        for start in range(0, len(changes), AT_ONCE):
            some = changes[start : start + AT_ONCE]
            _keep(organization, some)
            _enter(organization, some, reason, requested_by)
        _empty(organization, entries, [change.number for change in changes])
        kept_leaves.zero_salts(organization, [change.number for change in changes])
        _forget_names(organization, names, people)
        tables = _tables(entries)
        if not is_again:
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            erasures_remembered.add(
                Remembered(
                    organization,
                    change.number,
                    change.hash,
                    tuple(sorted(change.commitments)),
                    reason,
                    requested_by,
                    now,
                )
                for change in changes
            )
    _vacuum(tables)
    called = {name.label for name in names if name.type in _PERSONAL}
    return Erased(len(changes), tuple(sorted(called)))


def again(
    organization: uuid.UUID | None = None,
) -> Iterator[tuple[uuid.UUID, Erased | RetentionError]]:
    """After a restore: erase what the memory says was erased and the database does not, log by log,
    and say of each what was done or why it was not. An entry is known by the hash of its leaf: a
    number may have another one now."""
    known = sorted(
        (each for each in erasures_remembered.read() if organization in (None, each.organization)),
        key=lambda each: (each.organization, each.reason, each.requested_by),
    )
    for (log, reason, requested_by), group in itertools.groupby(
        known, key=lambda each: (each.organization, each.reason, each.requested_by)
    ):
        wanted: dict[int, frozenset[int]] = {}
        for each in group:
            if _leaf_hash(log, each.number) == each.hash:
                wanted[each.number] = wanted.get(each.number, frozenset()) | {*each.parts}
        found = _not_removed(log, wanted)
        try:
            done: Erased | RetentionError = erase(log, found, reason, requested_by, is_again=True)
        except ErasureError as error:
            done = error
        yield log, done


def undone() -> dict[uuid.UUID, int]:
    """How many entries of each log are there again that the memory says were erased."""
    remembered = list(erasures_remembered.read())
    found: dict[uuid.UUID, set[int]] = {}
    for log in {each.organization for each in remembered}:
        known = {
            (number, part)
            for number, part in _rows(
                "SELECT seq, part FROM audit_erasure WHERE organization_id = %s", [log]
            )
        }
        missing = {
            each.number: frozenset(each.parts)
            for each in remembered
            if each.organization == log
            and any((each.number, part) not in known for part in each.parts)
            and (each.number, WITHHELD) not in known
            and _leaf_hash(log, each.number) == each.hash
        }
        if there := _not_removed(log, missing):
            found[log] = {*there}
    return {log: len(numbers) for log, numbers in found.items()}


def other_logs(organization: uuid.UUID, actor: uuid.UUID) -> list[uuid.UUID]:
    """Other logs that know a person."""
    rows = _rows(
        "SELECT DISTINCT organization_id FROM audit_label"
        " WHERE id = %s AND type = 'user' AND organization_id <> %s ORDER BY 1",
        [actor, organization],
    )
    return [log for (log,) in rows]


def of_actor(organization: uuid.UUID, actor: uuid.UUID) -> dict[int, frozenset[int]]:
    """All entries of somebody: parts 0 and 1 of what they did, 2 and 3 of what is about them, their
    membership, invitations, tokens and views. Raises ErasureError while some are not sealed:
    they would be sealed afterwards with all that they say."""
    [(waiting,)] = _rows(_WAITING, {"log": organization, "actor": actor})
    if waiting:
        raise ErasureError(
            f"{waiting} {'entry' if waiting == 1 else 'entries'} of this person"
            f" {'is' if waiting == 1 else 'are'} not sealed yet. See that manage.py seal runs, and"
            " try again"
        )
    found: dict[int, set[int]] = {}
    for number, is_own, is_about, action, type_name in _rows(
        _OF_ACTOR, {"log": organization, "actor": actor}
    ):
        parts = found.setdefault(number, set())
        if is_own:
            parts |= {_ACTOR, _ORIGIN}
        if is_about:
            parts |= {_RESOURCE}
            if not policy.keeps_detail(action, type_name):
                parts |= {DETAIL}
        if type_name in policy.PATH_TYPES:
            parts -= {_RESOURCE, DETAIL}
    return {number: frozenset(parts) for number, parts in found.items() if parts}


_WAITING = """
SELECT count(*) FROM audit_inbox WHERE organization_id = %(log)s AND (actor_id = %(actor)s
    OR resource_id = %(actor)s OR changes -> 'user_id' @> to_jsonb(ARRAY[audit_ulid(%(actor)s)])
    OR resource_id IN (SELECT id FROM audit_place WHERE organization_id = %(log)s
        AND parent_id = %(actor)s AND type = 'membership'))
"""
_OF_ACTOR = """
WITH related AS (
    SELECT %(actor)s AS id
    UNION SELECT id FROM audit_place WHERE organization_id = %(log)s AND parent_id = %(actor)s
        AND type = 'membership'
    UNION SELECT resource_id FROM audit_ledger WHERE organization_id = %(log)s
        AND resource_type IN ('membership', 'access_token', 'saved_view')
        AND (changes -> 'user_id' @> to_jsonb(ARRAY[audit_ulid(%(actor)s)])
            OR resource_type = 'access_token' AND actor_id = %(actor)s)
), name AS (
    SELECT l.label FROM audit_label l JOIN related USING (id) WHERE l.organization_id = %(log)s
        AND l.type IN ('user', 'membership')
), about AS (
    SELECT id FROM related
    UNION SELECT l.id FROM audit_label l JOIN name USING (label) WHERE l.organization_id = %(log)s
        AND l.kind = 'resource' AND l.type = 'invitation'
)
SELECT seq, COALESCE(actor_id = %(actor)s, false), resource_id IN (SELECT id FROM about), action,
    resource_type
FROM audit_ledger WHERE organization_id = %(log)s
    AND (actor_id = %(actor)s OR resource_id IN (SELECT id FROM about))
"""


# -- What is checked first


def _said(text: str, name: str) -> str:
    said = clean(text, LONGEST)
    if not said:
        raise ErasureError(f"--{name} is empty; the log records who requested it and why")
    return said


@contextmanager
def _alone() -> Iterator[None]:
    """While neither retention nor merging copies entries, which would bring back what was erased.
    Raises BusyError."""
    with months.only_run():
        yield


def _refuse_held(organization: uuid.UUID) -> None:
    _execute("LOCK TABLE audit_hold IN SHARE MODE")
    held = _rows(
        "SELECT placed_by, placed_at, reason FROM audit_hold WHERE organization_id = %s",
        [organization],
    )
    for placed_by, placed_at, reason in held:
        raise ErasureError(
            f"{ulid.to_text(organization)} is under legal hold since {placed_at:%Y-%m-%d},"
            f" requested by {placed_by}: {reason}. Nothing can be erased until"
            " `manage.py audit_hold lift`"
        )


def _hold_tree(organization: uuid.UUID, last: int) -> None:
    """Keep the worker from writing salts and blocks meanwhile."""
    head = _rows(
        "SELECT size FROM audit_head WHERE organization_id = %s FOR UPDATE", [organization]
    )
    log = _rows("SELECT size FROM audit_log WHERE organization_id = %s", [organization])
    size, sealed = (found[0][0] if found else 0 for found in (head, log))
    if last > sealed:
        raise ErasureError(f"there is no entry {last:,}; the log has {sealed:,}")
    if last > size:
        raise ErasureError(
            f"entry {last:,} is not in the evidence yet; run `manage.py audit_evidence --once`,"
            " then this command again"
        )


def _leaf_hash(organization: uuid.UUID, number: int) -> bytes | None:
    [(hashes,)] = _rows(
        "SELECT string_agg(hashes, '' ORDER BY first) FROM audit_tile"
        " WHERE organization_id = %s AND level = 0 AND n = %s",
        [organization, (number - 1) // 256],
    )
    at = (number - 1) % 256 * 32
    return bytes(hashes or b"")[at : at + 32] or None


def _not_removed(organization: uuid.UUID, wanted: Wanted) -> dict[int, frozenset[int]]:
    removed = {
        number
        for (number,) in _rows(
            "SELECT number FROM unnest(%s::bigint[]) AS number WHERE EXISTS (SELECT FROM"
            " audit_removal WHERE organization_id = %s AND numbers @> number)",
            [list(wanted), organization],
        )
    }
    return {number: parts for number, parts in wanted.items() if number not in removed}


# -- What changes


def _changes(organization: uuid.UUID, wanted: Wanted) -> Iterator[_Change]:
    """What is to be erased of each entry, without what was erased before."""
    for block, some in itertools.groupby(sorted(wanted), key=lambda number: (number - 1) // 256):
        numbers = [*some]
        withheld = _withheld(organization, numbers)
        for found in reading.leaves(organization, numbers[0] - 1, numbers[-1], OWNER):
            if found.seq not in wanted or found.seq in withheld:
                continue
            if found.data is None or found.parts is None:
                raise ErasureError(
                    f"entry {found.seq:,} left under retention; only its hash is here"
                )
            change = _change(found, found.data, wanted[found.seq])
            if change.commitments:
                yield change
        if any(WITHHELD in wanted[number] for number in numbers):
            kept_leaves.keep_keys(organization, block)


def _change(found: reading.Leaf, data: bytes, parts: frozenset[int]) -> _Change:
    shown = json.loads(data)
    if found.keeps_detail and parts & {DETAIL, WITHHELD}:
        raise ErasureError(
            f"entry {found.seq:,} is about the log itself ({shown['action']}): its detail cannot be"
            " erased, as what it says is part of the evidence"
        )
    if _RESOURCE in parts and shown["resource"]["type"] in policy.PATH_TYPES:
        raise ErasureError(
            f"entry {found.seq:,} is about a {policy.RESOURCE_TYPES[shown['resource']['type']]},"
            " whose path is in the leaf itself; only --leaf withholds it"
        )
    entry = ulid.parse(shown["id"])
    if WITHHELD in parts:
        return _Change(found.seq, found.hash, entry, {WITHHELD: found.hash}, {}, data)
    commitments = {
        number: found.commitment(number) for number in parts if number not in found.erased
    }
    gone = {*commitments, *found.erased}
    salts = {number: salt for number, salt in found.part_salts().items() if number not in gone}
    return _Change(found.seq, found.hash, entry, commitments, salts, data)


def _withheld(organization: uuid.UUID, numbers: Sequence[int]) -> set[int]:
    rows = _rows(
        "SELECT seq FROM audit_erasure WHERE organization_id = %s AND part = %s AND seq = ANY(%s)",
        [organization, WITHHELD, [*numbers]],
    )
    return {number for (number,) in rows}


def _keep(organization: uuid.UUID, changes: Sequence[_Change]) -> None:
    """Keep what the leaves of these entries need from now on."""
    _execute(
        "INSERT INTO audit_salt_kept (organization_id, seq, part, salt)"
        " SELECT %s, * FROM unnest(%s::bigint[], %s::smallint[], %s::bytea[])"
        " ON CONFLICT DO NOTHING",
        [
            organization,
            *_columns(
                (change.number, part, salt)
                for change in changes
                for part, salt in change.salts.items()
            ),
        ],
    )
    # What changed may be where a former path comes from.
    _execute(
        "INSERT INTO audit_leaf_kept (organization_id, seq, leaf)"
        " SELECT %s, * FROM unnest(%s::bigint[], %s::bytea[]) ON CONFLICT DO NOTHING",
        [
            organization,
            *_columns(
                (
                    (change.number, change.data)
                    for change in changes
                    if DETAIL in change.commitments
                ),
                2,
            ),
        ],
    )


def _columns(rows: Any, width: int = 3) -> list[list[Any]]:
    return [[*column] for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _enter(
    organization: uuid.UUID, changes: Sequence[_Change], reason: str, requested_by: str
) -> None:
    """Say what is erased, which makes its entry; and let go what was kept of it."""
    _execute(
        "INSERT INTO audit_erasure (organization_id, seq, part, commitment, reason, requested_by)"
        " SELECT %s, x.*, %s, %s FROM unnest(%s::bigint[], %s::smallint[], %s::bytea[]) AS x",
        [
            organization,
            reason,
            requested_by,
            *_columns(
                (change.number, part, commitment)
                for change in changes
                for part, commitment in sorted(change.commitments.items())
            ),
        ],
    )
    _execute(
        "DELETE FROM audit_salt_kept k USING audit_erasure e WHERE k.organization_id = %s"
        " AND k.seq = ANY(%s) AND e.organization_id = k.organization_id AND e.seq = k.seq"
        " AND e.part IN (k.part, %s)",
        [organization, [change.number for change in changes], WITHHELD],
    )
    withheld = [change for change in changes if WITHHELD in change.commitments]
    _execute(
        "DELETE FROM audit_leaf_kept WHERE organization_id = %s AND seq = ANY(%s)",
        [organization, [change.number for change in withheld]],
    )
    [(size,)] = _rows("SELECT size FROM audit_head WHERE organization_id = %s", [organization])
    for change in withheld:
        if change.number > size - size % index.BLOCK:
            at, subjects = leaf.subjects_of(change.data)
            _execute(
                "INSERT INTO audit_leaf_kept (organization_id, seq, time, keys)"
                " VALUES (%s, %s, %s, %s)",
                [organization, change.number, at, b"".join(index.hashes(subjects))],
            )


_EMPTY = """
UPDATE audit_ledger AS e SET erased_parts = x.parts,
    actor_label = CASE WHEN x.parts & 17 > 0 THEN '' ELSE e.actor_label END,
    ip = CASE WHEN x.parts & 18 = 0 THEN e.ip END,
    request_id = CASE WHEN x.parts & 18 = 0 THEN e.request_id END,
    user_agent = CASE WHEN x.parts & 18 > 0 THEN '' ELSE e.user_agent END,
    resource_label = CASE WHEN x.parts & 20 > 0 THEN '' ELSE e.resource_label END,
    changes = CASE WHEN x.parts & 24 > 0 THEN '{}' ELSE e.changes END,
    context = CASE WHEN x.parts & 24 > 0 THEN '{}' ELSE e.context END
FROM (
    SELECT seq, bit_or(1 << part)::smallint AS parts FROM audit_erasure
    WHERE organization_id = %s AND seq = ANY(%s) GROUP BY seq
) AS x
WHERE e.id = ANY(%s) AND e.organization_id = %s AND e.seq = x.seq
"""


def _empty(organization: uuid.UUID, entries: Sequence[uuid.UUID], numbers: Sequence[int]) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(_EMPTY, [organization, [*numbers], [*entries], organization])
        if cursor.rowcount != len(entries):
            raise ErasureError("some of these entries are not in the ledger")


# -- Names


def _parts_by_entry(changes: Sequence[_Change]) -> dict[uuid.UUID, set[int]]:
    return {change.entry: {*change.commitments} for change in changes}


def _names(entries: Sequence[uuid.UUID], parts: Mapping[uuid.UUID, Collection[int]]) -> set[_Name]:
    """The names that are erased."""
    found = set()
    for entry, *row in _rows(
        "SELECT id, actor_label, actor_type, actor_id, resource_label, resource_type, resource_id"
        " FROM audit_ledger WHERE id = ANY(%s)",
        [[*entries]],
    ):
        gone = parts[entry]
        for part, kind, (label, type_name, key) in (
            (_ACTOR, "actor", row[:3]),
            (_RESOURCE, "resource", row[3:]),
        ):
            if key is not None and label and ({part, WITHHELD} & {*gone}):
                found.add(_Name(kind, label, type_name, key))
    return found


def _people_whose_changes(entries: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    """Whom these entries say a change of: the names of `kind = 'person'` are of what changed."""
    rows = _rows(
        "SELECT DISTINCT resource_id FROM audit_ledger WHERE id = ANY(%s)"
        " AND resource_type = 'user' AND resource_id IS NOT NULL",
        [[*entries]],
    )
    return [key for (key,) in rows]


_FORGET = """
WITH gone AS (
    SELECT * FROM unnest(%(kinds)s::text[], %(labels)s::text[], %(types)s::text[], %(ids)s::uuid[])
        AS g (kind, label, type, id)
    WHERE g.kind = 'actor' AND NOT EXISTS (SELECT FROM audit_entry e
            WHERE e.organization_id = %(log)s AND e.actor_id = g.id AND e.actor_type = g.type
            AND e.actor_label = g.label)
        OR g.kind = 'resource' AND NOT EXISTS (SELECT FROM audit_entry e
            WHERE e.organization_id = %(log)s AND e.resource_id = g.id AND e.resource_type = g.type
            AND e.resource_label = g.label)
), place AS (
    DELETE FROM audit_place p USING gone g WHERE p.organization_id = %(log)s AND g.kind = 'resource'
        AND p.id = g.id AND p.name = audit_own_name(g.type, g.label)
        AND NOT EXISTS (SELECT FROM audit_entry e WHERE e.organization_id = %(log)s
            AND e.resource_id = g.id AND e.resource_type = g.type
            AND audit_own_name(e.resource_type, e.resource_label) = p.name)
)
DELETE FROM audit_label l USING gone g WHERE l.organization_id = %(log)s
    AND (l.kind, l.label, l.type, l.id) = (g.kind, g.label, g.type, g.id)
"""
_FORGET_PEOPLE = """
DELETE FROM audit_label l WHERE l.organization_id = %(log)s AND l.kind = 'person'
    AND l.id = ANY(%(ids)s) AND NOT EXISTS (
        SELECT FROM audit_entry e WHERE e.organization_id = %(log)s AND e.resource_id = l.id
        AND e.resource_type = 'user' AND e.changes -> 'name' @> to_jsonb(ARRAY[l.label]))
"""


def _forget_names(
    organization: uuid.UUID, names: Collection[_Name], people: Sequence[uuid.UUID]
) -> None:
    """Take the names that no entry has any more out of the dictionary and the places of things.

    people: those of whom changes were erased."""
    kinds, labels, types, ids = _columns(names, 4)
    # So that nobody names anything meanwhile, and the names that go are those that nobody has.
    _execute("SELECT FROM audit_sealing FOR UPDATE")
    _execute(
        _FORGET,
        {"log": organization, "kinds": kinds, "labels": labels, "types": types, "ids": ids},
    )
    _execute(_FORGET_PEOPLE, {"log": organization, "ids": [*people]})


def still_named(organization: uuid.UUID, labels: Sequence[str]) -> list[int]:
    """Numbers of entries that have an erased name of a person in another place, such as the filters
    of a question: the first hundred. Reads the log to its end."""
    if not labels:
        return []
    rows = _rows(
        "SELECT seq FROM audit_ledger WHERE organization_id = %s AND EXISTS (SELECT FROM"
        " unnest(%s::text[]) AS label WHERE strpos(concat_ws(' ', actor_label, resource_label,"
        " changes::text, context::text), label) > 0) ORDER BY seq LIMIT 100",
        [organization, [*labels]],
    )
    return [number for (number,) in rows]


_PERSONAL = frozenset({"user", "membership", "invitation"})


# -- The database


def _tables(entries: Sequence[uuid.UUID]) -> list[str]:
    rows = _rows(
        "SELECT DISTINCT tableoid::regclass::text FROM audit_ledger WHERE id = ANY(%s)",
        [[*entries]],
    )
    return [name for (name,) in rows]


def _vacuum(tables: Sequence[str]) -> None:
    """Take what was erased out of the files too, where it lies until then as a dead row; out of the
    indexes as well, which a large table with few dead rows is otherwise left with."""
    for table in (
        *tables,
        "audit_salt",
        "audit_salt_kept",
        "audit_leaf_kept",
        "audit_label",
        "audit_place",
    ):
        _execute(f"VACUUM (INDEX_CLEANUP ON) {table}")


def _execute(sql: str, parameters: Any = None) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(sql, parameters)


def _rows(sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(sql, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
