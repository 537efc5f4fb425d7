"""`manage.py audit_retention`: archives and removes old months of the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.retention import BusyError, RetentionError, dropping, months, removal
from audit.retention.archive import ArchiveError
from audit.retention.months import Prospect

TRY_AGAIN = 75
"""The exit code (EX_TEMPFAIL) when another run is in progress; nothing was changed."""


class Command(BaseCommand):
    help = (
        "List the months of the audit log that are older than the retention period. With --apply,"
        " archive and remove them. Needs the owner's role (DATABASE_OWNER_URL)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--apply",
            action="store_true",
            help="remove entries; without this, only show what would be removed",
        )
        parser.add_argument(
            "--drop",
            action="store_true",
            help="with --apply: also drop detached tables whose archive is complete",
        )
        parser.add_argument(
            "--months",
            type=int,
            default=settings.RETENTION_MONTHS,
            metavar="N",
            help="keep this month and the N before it (default: RETENTION_MONTHS)",
        )
        parser.add_argument(
            "--directory",
            type=Path,
            default=settings.RETENTION_DIRECTORY,
            metavar="DIR",
            help="where to write archives (default: RETENTION_DIRECTORY)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["months"]:
            self.stdout.write("RETENTION_MONTHS is not set: all entries are kept.")
            return
        try:
            with months.only_run():
                self._run(
                    options["months"], options["directory"], options["apply"], options["drop"]
                )
        except BusyError as error:
            raise CommandError(f"{error}.", returncode=TRY_AGAIN) from None
        except (RetentionError, ArchiveError, OSError) as error:
            raise CommandError(f"{error}.") from error

    def _run(self, period: int, directory: Path | None, apply: bool, drop: bool) -> None:
        found = months.prospects(period)
        self.stdout.write(
            f"Entries before {months.cutoff(period):%Y-%m-%d} can be removed:"
            f" {_months(len(found))}."
        )
        if unreached := months.beyond_partitions(period):
            self.stderr.write(
                f"{unreached:,}{'+' if unreached == 1000 else ''} older entries are in the default"
                " partition and are kept: their month had no partition when they were sealed."
            )
        if not apply:
            self._list(found, drop)
            return
        if directory is None:
            raise RetentionError(
                "give a directory for archives: --directory or RETENTION_DIRECTORY"
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        removal.recover(directory)
        for prospect in found:
            self._remove(prospect, directory)
        if drop:
            self._drop(directory)

    def _list(self, found: list[Prospect], drop: bool) -> None:
        for prospect in found:
            self.stdout.write(f"{prospect.month.name}: {_extent(prospect)}")
        if drop:
            for gone in dropping.detached():
                self.stdout.write(
                    f"{gone.table}: {gone.entries:,} entries detached, not dropped yet"
                )
        self.stdout.write("Nothing was changed. Add --apply to remove these entries.")

    def _remove(self, prospect: Prospect, directory: Path) -> None:
        self.stdout.write(f"{prospect.month.name}: {_extent(prospect)}; archiving")
        removed = removal.remove(prospect, directory, self.stdout.write)
        if removed is None:
            self.stdout.write(f"{prospect.month.name}: nothing can be removed")
            return
        self.stdout.write(
            f"{prospect.month.name}: removed {removed.entries:,} entries, kept {removed.kept:,};"
            f" {removed.directory}, manifest {removed.manifest}; the ledger was locked for"
            f" {removed.locked * 1000:.0f} ms"
        )

    def _drop(self, directory: Path) -> None:
        for gone in dropping.detached():
            dropping.drop(gone, directory)
            self.stdout.write(f"{gone.name}: the archive is complete; dropped {gone.table}")


def _months(count: int) -> str:
    return "none" if count == 0 else "1 month" if count == 1 else f"{count} months"


def _extent(prospect: Prospect) -> str:
    text = f"{prospect.may_go:,} entries in {len(prospect.removable):,} logs"
    if prospect.held:
        count = sum(prospect.sizes.get(key, 0) for key in prospect.held)
        text += f" ({count:,} more under legal hold)"
    return text
