"""Dropping the tables that were partitions, once their archives are safe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.db import connections, transaction

from audit.retention import archive
from audit.retention.months import OWNER
from organizations import ulid


@dataclass(frozen=True)
class Detached:
    """A table that was a partition, and its archive."""

    table: str
    name: str
    manifest: str
    entries: int


def detached() -> list[Detached]:
    """What was removed and not dropped yet, oldest first."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT detached, name, manifest, entries FROM audit_archive"
            " WHERE dropped_at IS NULL ORDER BY first_id, removed_at"
        )
        return [Detached(*row) for row in cursor.fetchall()]


def drop(gone: Detached, directory: Path) -> None:
    """Drop a detached partition, if its archive is there and whole. Raises ArchiveError if not."""
    archive.verify(directory / gone.name, gone.manifest)
    with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        cursor.execute(f'DROP TABLE "{gone.table}"')
        cursor.execute(
            "UPDATE audit_archive SET dropped_at = now() WHERE manifest = %s", [gone.manifest]
        )
        cursor.execute(
            "INSERT INTO audit_inbox (organization_id, actor_type, actor_label, action,"
            " resource_type, resource_label, interface, context) VALUES (%s, 'system', 'system',"
            " 'drop', 'audit_log', 'all', 'command', jsonb_build_object('count', %s::bigint,"
            " 'manifest', %s, 'command', 'audit_retention'))",
            [ulid.NIL, gone.entries, gone.manifest],
        )
