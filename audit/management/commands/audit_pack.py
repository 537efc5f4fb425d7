"""`manage.py audit_pack`: make the months of the ledger that are over small."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import packing


class Command(BaseCommand):
    help = (
        "Rebuild the indexes of the ledger's past months and freeze them, as the owner role;"
        " to be run once a month. Nobody waits for it."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        try:
            for packed in packing.pack():
                count += 1
                self.stdout.write(
                    f"{packed.partition}: {_mebibytes(packed.before)} are now"
                    f" {_mebibytes(packed.after)}."
                )
        except packing.PackerIsBusyError as error:
            raise CommandError(f"{error}; wait until it has ended") from None
        if not count:
            self.stdout.write("No month to pack.")


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
