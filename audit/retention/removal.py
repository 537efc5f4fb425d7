"""Taking a month out: archived, read back, then replaced by what stays of it, in one transaction.

`DETACH PARTITION CONCURRENTLY` is no way: PostgreSQL refuses it beside a default partition. The
plain one locks the ledger for some milliseconds, and gives up quickly while somebody reads it, so
that nobody queues behind; writers do not touch the ledger at all.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from django.db import OperationalError, connections, transaction

from audit.entry import as_json, bulk_json
from audit.models import Entry
from audit.retention import BusyError, archive, holds, kept_rows
from audit.retention.months import OWNER, Month, Prospect
from organizations import ulid

CHUNK = 10_000
"""Entries that are read by one statement."""
PATIENCE = 300.0
"""Seconds of trying to detach, while long transactions read the ledger."""
LOCK_TIMEOUT = "200ms"
"""How long readers and the sealer may queue behind a try."""
STATEMENT_TIMEOUT = "5s"
"""How long they may wait at most, once it holds the lock."""

TRY_AGAIN = {"55P03", "40P01"}  # not available in time, deadlock
_TOOK_TOO_LONG = "57014"

Say = Callable[[str], object]


@dataclass(frozen=True)
class Removed:
    month: Month
    entries: int
    kept: int
    organizations: int
    manifest: str
    directory: Path
    locked: float = 0.0
    """Seconds for which readers and the sealer were kept waiting."""


def remove(prospect: Prospect, directory: Path, say: Say = print) -> Removed | None:
    """Archive what may go of a month, and put what stays in its place. None if all of it stays.

    Killed at any point it has changed nothing, or all: run it again.
    """
    month = prospect.month
    partial = _partial(directory, month)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    try:
        files, kept = _divide(prospect, partial)
        if not files:
            shutil.rmtree(partial)
            return None
        since, until = as_json.rfc3339(month.since), as_json.rfc3339(month.until)
        manifest = archive.write_manifest(partial, since, until, files)
        archive.verify(partial, manifest)
        archive.sync(directory)
        say(f"{month.name}: archived and verified; detaching")
        removed = Removed(
            month,
            entries=sum(file.entries for file in files),
            kept=sum(kept.values()),
            organizations=len(files),
            manifest=manifest,
            directory=directory / _name(month, manifest),
        )
        locked = _replace(prospect, removed, files, kept)
    finally:
        kept_rows.drop(month)
    _name_archive(partial, removed.directory)
    return replace(removed, locked=locked)


def _name(month: Month, manifest: str) -> str:
    return f"{month.name}-{manifest[:12]}"


def _partial(directory: Path, month: Month) -> Path:
    return directory / f"{month.name}.partial"


def _name_archive(partial: Path, final: Path) -> None:
    partial.rename(final)
    archive.sync(final.parent)


def recover(directory: Path) -> None:
    """Finish what a killed run left: archives whose removal had committed get their names, those
    whose had not go away, and so do tables of what stays."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT manifest, name FROM audit_archive")
        names = dict(cursor.fetchall())
    for partial in directory.glob("[0-9][0-9][0-9][0-9]*.partial"):
        name = names.get(archive.manifest_of(partial) or "")
        if name is None:
            shutil.rmtree(partial)
        elif not (directory / name).exists():
            _name_archive(partial, directory / name)
    kept_rows.drop_leftovers()


def _divide(prospect: Prospect, partial: Path) -> tuple[list[archive.File], dict[uuid.UUID, int]]:
    """Write what may go to files, and copy what stays to the table beside the partition; returns
    the files, and how many entries each organization keeps. Many short statements: a transaction
    as long as this would hold back sealing."""
    month = prospect.month
    kept_rows.make(month)
    files, kept = [], {}
    for organization_id in sorted(prospect.sizes):
        if organization_id not in prospect.removable:
            kept[organization_id] = kept_rows.copy_all(month, organization_id)
            continue
        stays = kept_rows.first_and_last_changes(month, organization_id)
        rows = _rows(month, organization_id)
        file = archive.write_file(partial, organization_id, _lines(rows, stays))
        kept[organization_id] = kept_rows.copy(month, stays)
        if file is not None:
            files.append(file)
    return files, kept


def _lines(
    chunks: Iterator[list[bulk_json.Row]], stays: Collection[uuid.UUID]
) -> Iterator[tuple[uuid.UUID, int, str]]:
    number = [*bulk_json.COLUMNS].index("seq")
    for rows in chunks:
        for row, line in zip(rows, bulk_json.canonical(rows), strict=True):
            key = uuid.UUID(row[0])
            if key not in stays:
                yield key, int(row[number] or 0), line


def _rows(month: Month, organization_id: uuid.UUID) -> Iterator[list[bulk_json.Row]]:
    """The organization's entries of the month, oldest first."""
    sealed = Entry.objects.using(OWNER).filter(
        is_sealed=True, organization_id=organization_id, id__lt=month.past
    )
    following = sealed.filter(id__gte=month.first)
    while rows := bulk_json.read(following.order_by("id")[:CHUNK]):
        yield rows
        following = sealed.filter(id__gt=rows[-1][0])


def _replace(
    prospect: Prospect,
    removed: Removed,
    files: list[archive.File],
    kept: dict[uuid.UUID, int],
) -> float:
    """Detach the partition, put what stays in its place, and enter it, all at once; returns for
    how long it held the ledger."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with transaction.atomic(using=OWNER):
                _check(prospect, removed)
                _enter(prospect, removed, files, kept)
                locked_at = _swap(removed)
            return time.monotonic() - locked_at
        except OperationalError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if state == _TOOK_TOO_LONG:
                raise BusyError(
                    f"taking the month's place took longer than {STATEMENT_TIMEOUT}, for which"
                    " nobody could read the log; try when the machine has less to do, or see"
                    " whether audit_ledger_default holds many entries"
                ) from error
            if state not in TRY_AGAIN:
                raise
            if time.monotonic() > until:
                raise BusyError(f"the ledger is being read all the time{_readers()}") from error
        time.sleep(1.0)


def _check(prospect: Prospect, removed: Removed) -> None:
    """That the archive and what stays are the month still, and nobody placed a hold meanwhile."""
    table = removed.month.table
    with connections[OWNER].cursor() as cursor:
        # Against an entry of that month sealed just now, and a hold placed just now.
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(f'LOCK TABLE "{table}", audit_hold IN SHARE MODE')
        cursor.execute(f'SELECT count(*) FROM "{table}"')
        [count] = cursor.fetchone()
    if count != removed.entries + removed.kept:
        raise BusyError(f"{removed.month.name} got entries while it was archived; run it again")
    if prospect.removable & frozenset(holds.in_force(OWNER)):
        raise BusyError("a legal hold was placed meanwhile; run it again")


def _swap(removed: Removed) -> float:
    """Returns when it got the lock."""
    month = removed.month
    with connections[OWNER].cursor() as cursor:
        cursor.execute("LOCK TABLE ONLY audit_ledger IN ACCESS EXCLUSIVE MODE")
        locked_at = time.monotonic()
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        cursor.execute(f'ALTER TABLE audit_ledger DETACH PARTITION "{month.table}"')
        cursor.execute(f'ALTER TABLE "{month.table}" RENAME TO "{_detached(removed)}"')
        if not removed.kept:
            return locked_at
        cursor.execute(f'ALTER TABLE "{kept_rows.table(month)}" RENAME TO "{month.table}"')
        cursor.execute(
            f'ALTER TABLE audit_ledger ATTACH PARTITION "{month.table}"'
            " FOR VALUES FROM (%s) TO (%s)",
            [month.first, month.past],
        )
        cursor.execute(f'ALTER TABLE "{month.table}" DROP CONSTRAINT audit_in_range')
    return locked_at


def _detached(removed: Removed) -> str:
    return f"audit_removed_{removed.month.since:%Y_%m}_{removed.manifest[:12]}"


_ENTER_REMOVALS = """
WITH removal AS (
    INSERT INTO audit_removal (organization_id, until, manifest, since, entries, kept, numbers)
    SELECT r.organization_id, %(until)s, %(manifest)s, %(since)s, r.entries, r.kept,
        r.numbers::int8multirange
    FROM unnest(%(organizations)s::uuid[], %(entries)s::bigint[], %(kept)s::bigint[],
        %(numbers)s::text[]) AS r (organization_id, entries, kept, numbers)
    RETURNING *
)
INSERT INTO audit_inbox (organization_id, actor_type, actor_label, action, resource_type,
    resource_label, interface, context)
SELECT r.organization_id, 'system', 'system', 'remove', 'audit_log',
    COALESCE(o.slug, audit_ulid(r.organization_id)), 'command',
    jsonb_build_object('since', %(since_text)s, 'until', %(until_text)s, 'count', r.entries,
        'kept', r.kept, 'numbers', lower(r.numbers) || '-' || upper(r.numbers) - 1,
        'manifest', r.manifest, 'command', 'audit_retention')
FROM removal r LEFT JOIN organizations_organization o ON o.id = r.organization_id
UNION ALL
SELECT %(platform)s, 'system', 'system', 'remove', 'audit_log', 'all', 'command',
    jsonb_build_object('since', %(since_text)s, 'until', %(until_text)s, 'count', %(total)s::bigint,
        'kept', %(total_kept)s::bigint, 'organizations', cardinality(%(organizations)s::uuid[]),
        'manifest', %(manifest)s, 'command', 'audit_retention')
"""


def _enter(
    prospect: Prospect,
    removed: Removed,
    files: list[archive.File],
    kept: dict[uuid.UUID, int],
) -> None:
    """Tell what is removed: to retention itself, to every organization concerned, to all."""
    month = removed.month
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_archive (manifest, name, first_id, past_id, entries, kept, held,"
            " detached) VALUES (%s, %s, %s, %s, %s, %s, %s::uuid[], %s)",
            [
                removed.manifest,
                removed.directory.name,
                month.first,
                month.past,
                removed.entries,
                removed.kept,
                list(prospect.held),
                _detached(removed),
            ],
        )
        cursor.execute(
            _ENTER_REMOVALS,
            {
                "since": month.since,
                "until": month.until,
                "since_text": as_json.rfc3339(month.since),
                "until_text": as_json.rfc3339(month.until),
                "manifest": removed.manifest,
                "organizations": [file.organization_id for file in files],
                "entries": [file.entries for file in files],
                "kept": [kept[file.organization_id] for file in files],
                "numbers": [file.multirange for file in files],
                "platform": ulid.NIL,
                "total": removed.entries,
                "total_kept": removed.kept,
            },
        )


def _readers() -> str:
    """Who holds the ledger the longest, for the message."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT a.pid, a.usename, date_trunc('second', now() - a.xact_start)::text"
            " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.relation = 'public.audit_ledger'::regclass AND l.granted"
            " AND a.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT 1"
        )
        found = cursor.fetchone()
    return f" (process {found[0]} of {found[1]}, for {found[2]})" if found else ""
