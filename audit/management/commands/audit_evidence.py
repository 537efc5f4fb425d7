"""`manage.py audit_evidence`: runs the worker that makes evidence, in a loop or once."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections

from audit.evidence import recalling, signing, writing
from audit.management import locking
from organizations import ulid

SAY_EVERY = 5.0
"""Seconds between two lines of progress."""


class Command(BaseCommand):
    help = (
        "Add sealed entries to the Merkle tree of their log and sign its head, about once a second."
        " Run it beside the sealer. It catches up with whatever is there, so the first run also"
        " makes the evidence of all older entries. Only one can run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once",
            "--backfill",
            action="store_true",
            dest="once",
            help="catch up with all sealed entries and stop",
        )
        parser.add_argument(
            "--interval", type=float, default=0.5, metavar="SECONDS", help="pause between rounds"
        )
        parser.add_argument(
            "--wait",
            action="store_true",
            help="wait while another worker is running, instead of exiting",
        )
        parser.add_argument(
            "--remember",
            action="store_true",
            help="after AUDIT_MEMORY was lost: write it anew from the checkpoints in the database,"
            " and stop. Only if the database was never set back: what was signed since is"
            " forgotten",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopping = threading.Event()
        self.refused: dict[Any, str] = {}
        self.unsigned = ""
        self.set_back: dict[Any, str] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stopping.set())
        if not settings.AUDIT_SIGNING_KEYS:
            self.stderr.write(
                "AUDIT_SIGNING_KEYS is not set: trees are made, and nothing is signed. Set it to"
                " 1:$(openssl rand -base64 32) and keep a copy."
            )
        if options["remember"]:
            self._remember()
            return
        if options["once"]:
            self._lock(wait=False)
            made, signed = self._rounds(writing.Worker())
            self.stdout.write(
                f"Made evidence of {made:,} {'entry' if made == 1 else 'entries'},"
                f" signed {signed:,} {'checkpoint' if signed == 1 else 'checkpoints'}."
            )
            if self.refused:
                raise CommandError("Some logs were left out; see above.")
            if self.set_back or self.unsigned:
                raise CommandError("Not everything was signed; see above.")
            return
        self._loop(options["interval"], options["wait"])

    def _remember(self) -> None:
        if not signing.keys():
            raise CommandError("AUDIT_SIGNING_KEYS is not set: without a key nothing was signed.")
        self._lock(wait=False)
        worker = writing.Worker()
        try:
            count = worker.remember()
        except recalling.UnusableError as error:
            raise CommandError(f"{error}. Move the file away first.") from None
        self.stdout.write(
            f"{settings.AUDIT_MEMORY} now has the last checkpoints of {count:,} more"
            f" {'log' if count == 1 else 'logs'}."
        )

    def _loop(self, interval: float, wait: bool) -> None:
        self._lock(wait, remedy="stop it first, or use --wait")
        if not self.stopping.is_set():
            self.stdout.write("Making evidence; stop with Ctrl-C.")
        worker = writing.Worker()
        while not self.stopping.is_set():
            started = time.monotonic()
            try:
                self._rounds(worker)
            except OperationalError as error:
                # The database went away, or another worker was quicker: go on from where it stands.
                self.stderr.write(f"Waiting for the database: {error}".strip())
                connections["sealer"].close()
                self.stopping.wait(interval)
                self._lock(wait=True)
                # It may be another database, or this one as it was before.
                worker = writing.Worker()
            self.stopping.wait(max(0.0, interval - (time.monotonic() - started)))

    def _lock(self, wait: bool, remedy: str = "stop it first") -> None:
        locking.lock(
            writing.lock, writing.WorkerIsBusyError, self.stopping, wait=wait, remedy=remedy
        )

    def _rounds(self, worker: writing.Worker) -> tuple[int, int]:
        """Work until nothing waits; entries and checkpoints."""
        made = signed = 0
        said_at = time.monotonic()
        while not self.stopping.is_set():
            worked = worker.round()
            made += worked.entries
            signed += worked.signed
            self._say_refused(worked.refused)
            if worked.unsigned != self.unsigned:
                self.stderr.write(f"Nothing is signed: {worked.unsigned}.")
                self.unsigned = worked.unsigned
            for organization, why in worked.set_back.items():
                if organization not in self.set_back:
                    self.stderr.write(f"{why}.")
            self.set_back = worked.set_back
            if time.monotonic() - said_at > SAY_EVERY:
                said_at = time.monotonic()
                self.stdout.write(f"{made:,} entries so far.")
            if not worked.is_behind:
                break
        return made, signed

    def _say_refused(self, refused: dict[Any, str]) -> None:
        for organization, why in refused.items():
            if self.refused.get(organization) != why:
                self.stderr.write(f"Log {ulid.to_text(organization)} is left out: {why}.")
        self.refused = refused
