"""`manage.py audit_witness`: sends checkpoints to witnesses and keeps their cosignatures."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections, transaction

from audit.evidence import notes, reading, sending, stamping, witnesses
from audit.evidence.notes import InvalidKeyError
from audit.questions import tenant_scope
from organizations import clock, ulid
from organizations.models import Organization


class Command(BaseCommand):
    help = (
        "Send the newest checkpoints to witnesses (C2SP tlog-witness) and keep their cosignatures:"
        " of `heads`, the log of all logs' heads, to those of AUDIT_WITNESSES, and of an"
        " organization's log to its witnesses that have a URL. Once, or with --loop until stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", action="store_true", help="go on until stopped")
        parser.add_argument(
            "--interval", type=float, default=30.0, metavar="SECONDS", help="pause between rounds"
        )
        parser.add_argument("--organization", metavar="SLUG", help="whose witness --add adds")
        parser.add_argument(
            "--add", metavar="VKEY", help="add a witness of --organization, and stop"
        )
        parser.add_argument(
            "--url", default="", help="where its checkpoints are sent to, with --add"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["add"]:
            self._add(options["organization"], options["add"], options["url"])
            return
        try:
            heads = [
                sending.Recipient(notes.HEADS, notes.WitnessKey.parse(vkey), url)
                for vkey, url in settings.AUDIT_WITNESSES
            ]
        except InvalidKeyError as error:
            raise CommandError(f"AUDIT_WITNESSES: {error}") from None
        self.failing: dict[str, str] = {}
        stopping = threading.Event()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
        if not options["loop"]:
            kept = self._round(heads)
            self.stdout.write(f"Kept {kept} {'cosignature' if kept == 1 else 'cosignatures'}.")
            if self.failing:
                raise CommandError("Some witnesses did not cosign; see above.")
            return
        self.stdout.write("Sending checkpoints to witnesses; stop with Ctrl-C.")
        while not stopping.is_set():
            try:
                self._round(heads, stopping)
            except OperationalError as error:
                self.stderr.write(f"Waiting for the database: {error}".strip())
                connections["default"].close()
            stopping.wait(options["interval"])

    def _add(self, slug: str | None, vkey: str, url: str) -> None:
        organization = Organization.objects.filter(slug=slug or "").first()
        if organization is None:
            raise CommandError("Name the organization by its slug with --organization.")
        try:
            with transaction.atomic():
                made = witnesses.add(organization, vkey, url)
        except witnesses.RefusedError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{made.name} is a witness of {organization.slug} now.")

    def _round(
        self, heads: list[sending.Recipient], stopping: threading.Event | None = None
    ) -> int:
        """Send what each has not seen yet, that of `heads` first; how many were kept."""
        kept = 0
        self._stamp()
        for recipient in [*heads, *sending.recipients()]:
            if stopping is not None and stopping.is_set():
                break
            name = f"{recipient.key.name} for {ulid.to_text(recipient.log)}"
            try:
                kept += sending.send(recipient, self._entering)
            except sending.WitnessError as error:
                if self.failing.get(name) != str(error):
                    self.stderr.write(f"{name}: {error}")
                self.failing[name] = str(error)
            else:
                self.failing.pop(name, None)
        return kept

    def _stamp(self) -> None:
        """Have `heads` stamped, once a day."""
        if not settings.AUDIT_TSA_URL:
            return
        with transaction.atomic():
            tenant_scope.enter([notes.HEADS])
            last = stamping.last(notes.HEADS)
            checkpoint = reading.newest(notes.HEADS)
        if checkpoint is None or (last is not None and clock.now() - last < stamping.DAY):
            return
        try:
            stamping.stamp(checkpoint)
        except stamping.StampError as error:
            if self.failing.get("stamp") != str(error):
                self.stderr.write(f"No time stamp: {error}")
            self.failing["stamp"] = str(error)
        else:
            self.failing.pop("stamp", None)

    @staticmethod
    def _entering(recipient: sending.Recipient) -> None:
        tenant_scope.enter([recipient.log])
