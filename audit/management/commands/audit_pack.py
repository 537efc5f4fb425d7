"""`manage.py audit_pack`: compacts past months of the ledger."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.ledger import merging, packing, partitions


class Command(BaseCommand):
    help = (
        "Rebuild the indexes of the ledger's past months, freeze them, and merge months into"
        " quarters and years. Needs the owner's role; run it once a month. It does not block"
        " readers or writers."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--merge",
            action=BooleanOptionalAction,
            default=not settings.RETENTION_MONTHS,
            help="merge past months into quarters and years, which retention can only remove as a"
            " whole (by default, unless RETENTION_MONTHS is set)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        try:
            for packed in packing.pack():
                count += 1
                self.stdout.write(
                    f"{packed.partition}: packed from {_mebibytes(packed.before)} to"
                    f" {_mebibytes(packed.after)}."
                )
            for merged in merging.merge() if options["merge"] else ():
                count += 1
                self.stdout.write(
                    f"{merged.span.merged.table}: merged {merged.entries:,} entries of"
                    f" {len(merged.span.partitions)} partitions; the ledger was locked for"
                    f" {merged.locked * 1000:.0f} ms."
                )
        except partitions.SessionIsSharedError as error:
            raise CommandError(f"{error}.") from None
        except (packing.PackerIsBusyError, partitions.LedgerIsBusyError) as error:
            raise CommandError(f"{error}; wait until it has finished") from None
        if not count:
            self.stdout.write("There are no months to pack.")


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
