"""`manage.py rewrap_keys`: to be run after a new master key was put first in MASTER_KEYS."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from keys import crypto, master_key


class Command(BaseCommand):
    help = (
        "Re-wrap all server-managed keys with the current master key (the first of MASTER_KEYS). "
        "Keep the old one in MASTER_KEYS until this has finished. Safe to run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = master_key.rewrap_all(progress=self._show)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except crypto.UnwrapError:
            raise CommandError(
                "A key in MASTER_KEYS is not the one that wrapped the keys of its version. "
                "Nothing was lost: put the right one there and run this again."
            ) from None
        keys = "key" if count == 1 else "keys"
        current = settings.MASTER_KEY_CURRENT
        self.stdout.write(f"Re-wrapped {count} {keys}. All are now under master key {current}.")

    def _show(self, so_far: int) -> None:
        self.stderr.write(f"{so_far} re-wrapped…")
