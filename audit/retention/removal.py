"""Taking a month out: archived, read back, then replaced by what stays of it, all at once."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from django.db import connections

from audit.entry import as_json, bulk_json
from audit.evidence import reading
from audit.ledger import partitions
from audit.ledger.partitions import LedgerIsBusyError, Swap
from audit.models import Entry
from audit.retention import BusyError, archive, dropping, holds, kept_leaves, kept_rows
from audit.retention.months import OWNER, Month, Prospect
from organizations import ulid

CHUNK = 10_000
"""Entries that are read by one statement."""

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
    """Archive what may be removed of a month, and put the rest in its place. None if all stays.

    Killed at any point, it has changed either nothing or everything: run it again.
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
    kept_leaves.forget(manifest)
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
    for gone in dropping.detached():
        kept_leaves.forget(gone.manifest)
    kept_rows.drop_leftovers()


def _divide(prospect: Prospect, partial: Path) -> tuple[list[archive.File], dict[uuid.UUID, int]]:
    """Write what may be removed to files, and copy what stays to the table beside the partition;
    returns the files, and how many entries each organization keeps. Many short statements: a
    transaction as long as this would hold back sealing."""
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
            files.append(_with_evidence(partial, file))
    return files, kept


def _with_evidence(partial: Path, file: archive.File) -> archive.File:
    """With the lines of its evidence, and what the index needs of the blocks that they are in; as
    it is, of a log that has none, or not of all of these entries yet."""
    log = file.organization_id
    if not 0 < file.numbers[-1][1] <= reading.size(log, OWNER):
        return file
    lines = archive.write_beside(
        partial, log, "lines", (each.line() for each in kept_leaves.leaves(log, file.numbers))
    )
    whole, cut = kept_leaves.blocks(log, file.numbers)
    keys = archive.write_beside(partial, log, "keys", kept_leaves.key_lines(log, whole))
    for block in cut:
        kept_leaves.keep_keys(log, block)
    return replace(file, lines=lines, keys=keys)


def _lines(
    chunks: Iterator[list[bulk_json.Row]], stays: Collection[uuid.UUID]
) -> Iterator[tuple[uuid.UUID, int, str]]:
    for rows in chunks:
        for row, line in zip(rows, bulk_json.canonical(rows), strict=True):
            key = uuid.UUID(row.id)
            if key not in stays:
                yield key, int(row.seq or 0), line


def _rows(month: Month, organization_id: uuid.UUID) -> Iterator[list[bulk_json.Row]]:
    """The organization's entries of the month, oldest first."""
    sealed = Entry.objects.using(OWNER).filter(
        is_sealed=True, organization_id=organization_id, id__lt=month.past
    )
    following = sealed.filter(id__gte=month.first)
    while rows := bulk_json.read(following.order_by("id")[:CHUNK]):
        yield rows
        following = sealed.filter(id__gt=rows[-1].id)


def _replace(
    prospect: Prospect,
    removed: Removed,
    files: list[archive.File],
    kept: dict[uuid.UUID, int],
) -> float:
    """Detach the partition, put what stays in its place, and record it, all at once; returns for
    how long it held the ledger."""
    month = removed.month

    def check_and_record() -> None:
        _check(prospect, removed)
        kept_leaves.keep({file.organization_id: file.multirange for file in files})
        _record(prospect, removed, files, kept)

    exchange = Swap(
        {month.table: _detached(removed)},
        (kept_rows.table(month), month) if removed.kept else None,
    )
    try:
        return partitions.swap(exchange, OWNER, before=check_and_record)[1]
    except LedgerIsBusyError as error:
        raise BusyError(str(error)) from error


def _check(prospect: Prospect, removed: Removed) -> None:
    """Check that archive and kept rows still are the whole month, and that nobody placed a hold."""
    # Against an entry of that month sealed just now, and a hold placed just now.
    partitions.lock_against_entries([removed.month.table, "audit_hold"], OWNER)
    count = partitions.count([removed.month.table], OWNER)
    if count != removed.entries + removed.kept:
        raise BusyError(
            f"{removed.month.name} received entries while it was being archived; run the command"
            " again"
        )
    if prospect.removable & frozenset(holds.in_force(OWNER)):
        raise BusyError("a legal hold was placed in the meantime; run the command again")


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


def _record(
    prospect: Prospect,
    removed: Removed,
    files: list[archive.File],
    kept: dict[uuid.UUID, int],
) -> None:
    """Record the removal: for retention itself, in organizations' logs and in the platform's."""
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
