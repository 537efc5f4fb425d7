"""`manage.py audit_verify`: the service's own check of its evidence, to be run every night."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from audit.capture.events import record
from audit.evidence import verifying
from audit.policy import Result
from audit.retention import RetentionError, erasing
from organizations import clock, ulid
from organizations.models import Organization


class Command(BaseCommand):
    help = (
        "Check that every tree, its signed checkpoints and its index are what they were made of,"
        " and that entries still give their leaves: a thirtieth of each log a night, all of it"
        " with --all. The result is recorded. Needs the owner's database URL."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--all", action="store_true", help="every entry of every log")

    def handle(self, *args: Any, **options: Any) -> None:
        part = None if options["all"] else clock.now().date().toordinal() % verifying.PARTS
        verified = verifying.verify("owner", part)
        verified.findings.extend(self._undone())
        with transaction.atomic():
            self._record(verified)
        verifying.note("owner")
        self.stdout.write(
            f"Checked {verified.logs:,} {'tree' if verified.logs == 1 else 'trees'} and"
            f" {verified.entries:,} {'entry' if verified.entries == 1 else 'entries'}."
        )
        for found in verified.findings:
            self.stderr.write(f"{ulid.to_text(found.organization)}: {found.what}.")
        if verified.findings:
            count = len(verified.findings)
            raise CommandError(
                f"{count:,} {'finding' if count == 1 else 'findings'}. Nothing was repaired;"
                " find out what happened."
            )

    def _undone(self) -> Iterator[verifying.Finding]:
        """Erasures that a restore undid, where the memory of them can be read."""
        try:
            undone = erasing.undone()
        except RetentionError as error:
            self.stderr.write(f"Whether erasures were undone is not known: {error}.")
            return
        for log, count in undone.items():
            what = "1 entry is" if count == 1 else f"{count:,} entries are"
            what += " there again of which parts were erased; run `manage.py audit_erase --again`"
            yield verifying.Finding(log, 0, what)

    @staticmethod
    def _record(verified: verifying.Verified) -> None:
        """In the platform's log what was checked, and in each log what is wrong with it."""
        record(
            "verify",
            resource_type="audit_log",
            resource_label="all",
            organization_id=ulid.NIL,
            result=Result.FAILED if verified.findings else Result.SUCCESS,
            count=verified.entries,
        )
        slugs = dict(
            Organization.objects.filter(
                pk__in={found.organization for found in verified.findings}
            ).values_list("pk", "slug")
        )
        for found in verified.findings:
            if found.organization in slugs:
                record(
                    "verify",
                    resource_type="audit_log",
                    resource_label=slugs[found.organization],
                    organization_id=found.organization,
                    result=Result.FAILED,
                    number=found.number or None,
                    found=found.what,
                )
