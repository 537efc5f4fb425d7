"""`manage.py re_encrypt`: moves versions of secrets to the keys that rotations made for them."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, close_old_connections

from keys import reencryption
from keys.errors import RuleError


class Command(BaseCommand):
    help = (
        "Re-encrypt versions of secrets where a rotation asked for it. Runs once; with --loop it "
        "looks again every few seconds until it is stopped. Several may run at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", action="store_true", help="Run until stopped.")
        parser.add_argument(
            "--interval", type=float, default=5.0, help="Seconds between two checks (5)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["loop"]:
            count, failed = self._run_once()
            versions = "version" if count == 1 else "versions"
            self.stdout.write(f"Re-encrypted {count} {versions}.")
            if failed:
                raise CommandError(f"Could not finish {', '.join(failed)}; see above.")
            return
        stopped = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stopped.set())
        self.stdout.write("Re-encrypting in the background; stop with Ctrl-C.")
        while not stopped.is_set():
            try:
                self._run_once()
            except OperationalError:
                self.stderr.write("The database is not responding. Trying again.")
            close_old_connections()
            stopped.wait(options["interval"])

    def _run_once(self) -> tuple[int, list[str]]:
        count, failed = 0, []
        for project in reencryption.projects_to_do():
            try:
                count += reencryption.run(project, self._show(project.slug))
            except RuleError as error:
                failed.append(project.slug)
                self.stderr.write(f"{project.slug}: {error}")
        return count, failed

    def _show(self, slug: str) -> Any:
        def show(so_far: int) -> None:
            self.stderr.write(f"{slug}: {so_far} re-encrypted…")

        return show
