"""`manage.py rewrap_keys`: after a new master key came first in MASTER_KEYS."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from keys import crypto, master_key


class Command(BaseCommand):
    help = (
        "Re-wrap every server-managed key under the current master key (the first of MASTER_KEYS). "
        "Keep the old one in MASTER_KEYS until this has finished; safe to run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = master_key.rewrap_all(progress=self._show)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except crypto.UnwrapError:
            raise CommandError(
                "A master key in MASTER_KEYS is not the one that wrapped the keys of its version; "
                "put the right one there. Nothing was lost; run this again."
            ) from None
        keys = "key" if count == 1 else "keys"
        current = settings.MASTER_KEY_CURRENT
        self.stdout.write(f"Re-wrapped {count} {keys}; all are under master key {current} now.")

    def _show(self, so_far: int) -> None:
        self.stderr.write(f"{so_far} re-wrapped…")
