"""`manage.py audit_fork`: signs on a log that was set back, under another origin."""

from __future__ import annotations

import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.evidence import forking, recalling, signing, writing
from audit.management import locking, naming
from audit.redaction import clean
from organizations import ulid


class Command(BaseCommand):
    help = (
        "After a restore or a failover that lost what was signed: sign the log on under another"
        " origin, its own with /1 (/2, …) added. It has the same tree up to what both have, and an"
        " entry that shows how much was lost. Only if the database cannot be brought up to what was"
        " signed. Run it while the evidence worker is stopped, with its environment and"
        " DATABASE_OWNER_URL."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--organization", metavar="NAME", help="the slug or id of one log")
        which.add_argument(
            "--all", action="store_true", help="all logs that are not signed because of it"
        )
        parser.add_argument("--reason", default="", help="what happened, for the log")
        parser.add_argument("--by", default="", metavar="WHO", help="who decided it")

    def handle(self, *args: Any, **options: Any) -> None:
        if not signing.keys():
            raise CommandError("AUDIT_SIGNING_KEYS is not set: without a key nothing was signed.")
        chosen = None
        if options["organization"]:
            chosen = naming.organization(options["organization"]).pk
        locking.lock(writing.lock, writing.WorkerIsBusyError, threading.Event(), wait=False)
        count = 0
        try:
            for made in forking.fork(
                chosen, clean(options["reason"], 500), clean(options["by"], 500)
            ):
                count += 1
                self.stdout.write(_described(made))
        except (forking.NotForkedError, recalling.UnusableError) as error:
            name = ulid.to_text(chosen) if chosen else "a log"
            raise CommandError(f"{name} is not forked: {error}.") from None
        if not count:
            self.stdout.write("No log was set back: nothing to fork.")
            return
        self.stdout.write(
            "Start the evidence worker, tell those who keep checkpoints, and run"
            " `manage.py audit_erase --again`."
        )


def _described(made: forking.Fork) -> str:
    name, lost = signing.origin(made.organization, made.number), made.last - made.common
    said = f"{name}: the same up to entry {made.common:,}"
    if lost > 0:
        what = "1 entry that was" if lost == 1 else f"{lost:,} entries that were"
        said += f"; {what} signed after it may be lost"
    return f"{said}."
