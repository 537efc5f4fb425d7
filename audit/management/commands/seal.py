"""`manage.py seal`: runs the sealer, in a loop or once."""

from __future__ import annotations

import datetime as dt
import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections

from audit.ledger import partitions, sealing
from audit.management import locking
from organizations import clock


class Command(BaseCommand):
    help = (
        "Move entries from the inbox to the ledger, about once a second. Only one sealer can run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="seal the settled entries and stop")
        parser.add_argument(
            "--interval", type=float, default=1.0, metavar="SECONDS", help="pause between rounds"
        )
        parser.add_argument(
            "--wait",
            action="store_true",
            help="wait while another sealer is running, instead of exiting",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopping = threading.Event()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stopping.set())
        if options["once"]:
            self._lock(wait=False)
            sealed = self._round()
            self.stdout.write(f"Sealed {sealed} {'entry' if sealed == 1 else 'entries'}.")
            return
        self._loop(options["interval"], options["wait"])

    def _loop(self, interval: float, wait: bool) -> None:
        self._lock(wait, remedy="stop it first, or use --wait")
        if self.stopping.is_set():
            return
        sealing.record_start("started")
        self.stdout.write("Sealing; stop with Ctrl-C.")
        while not self.stopping.is_set():
            started = time.monotonic()
            try:
                self._round()
            except OperationalError as error:
                # The database went away: wait until it is back.
                self.stderr.write(f"Waiting for the database: {error}".strip())
                connections["sealer"].close()
                self.stopping.wait(interval)
                self._lock(wait=True)
            self.stopping.wait(max(0.0, interval - (time.monotonic() - started)))

    def _lock(self, wait: bool, remedy: str = "stop it first") -> None:
        locking.lock(
            sealing.lock, sealing.SealerIsBusyError, self.stopping, wait=wait, remedy=remedy
        )

    def _round(self) -> int:
        partitions.make_ahead(clock.now() - dt.timedelta(days=1))
        sealing.flush_repeats()
        total = 0
        while not self.stopping.is_set():
            try:
                sealed = sealing.seal()
            except sealing.NoStateError as error:
                raise CommandError(str(error)) from None
            total += sealed.entries
            if not sealed.is_behind:
                break
        return total
