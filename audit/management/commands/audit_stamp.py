"""`manage.py audit_stamp`: has a checkpoint stamped by the authority of AUDIT_TSA_URL."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from audit.evidence import notes, reading, stamping
from audit.questions import tenant_scope
from organizations.models import Organization


class Command(BaseCommand):
    help = (
        "Have the newest checkpoint stamped by a time-stamping authority (RFC 3161): that of"
        " `heads`, or of an organization's log. `audit_witness --loop` does it once a day for"
        " `heads`. Packs with a stamped checkpoint have the stamp."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", metavar="SLUG", help="whose log; default: heads")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.AUDIT_TSA_URL:
            raise CommandError("AUDIT_TSA_URL is not set: there is no authority to ask.")
        log, slug = notes.HEADS, options["organization"]
        if slug is not None:
            organization = Organization.objects.filter(slug=slug).first()
            if organization is None:
                raise CommandError(f"There is no organization {slug}.")
            log = organization.pk
        with transaction.atomic():
            tenant_scope.enter([log])
            checkpoint = reading.newest(log)
            if checkpoint is None:
                raise CommandError("Nothing of this log was signed yet.")
            reading.keep(checkpoint)
        try:
            at = stamping.stamp(checkpoint)
        except stamping.StampError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"The checkpoint of size {checkpoint.size} was stamped at {at:%F %T} UTC."
        )
