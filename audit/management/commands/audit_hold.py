"""`manage.py audit_hold`: legal holds, which keep an organization's entries from retention."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.management import naming
from audit.retention import holds
from organizations import ulid
from organizations.models import Organization


class Command(BaseCommand):
    help = (
        "Place, lift or list legal holds. Needs the owner's role (DATABASE_OWNER_URL). Each change"
        " is recorded in the organization's log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        does = parser.add_subparsers(dest="does", required=True)
        for name, text in (
            ("place", "keep all entries of an organization, however old"),
            ("lift", "allow retention to remove them again"),
        ):
            command = does.add_parser(name, help=text)
            command.add_argument("organization", help="its slug or id")
            command.add_argument(
                "--reason", required=True, help="the reason, such as a case number"
            )
            command.add_argument("--by", required=True, metavar="WHO", help="who requested it")
        does.add_parser("list", help="list the holds in force")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["does"] == "list":
            return self._list()
        organization = naming.organization(options["organization"])
        change = holds.place if options["does"] == "place" else holds.lift
        try:
            hold = change(organization, options["reason"], options["by"])
        except holds.HoldError as error:
            raise CommandError(str(error)) from None
        if options["does"] == "place":
            self.stdout.write(f"{organization.slug} is under legal hold: {hold.reason}.")
        else:
            self.stdout.write(
                f"Lifted the legal hold on {organization.slug} that {hold.placed_by} requested on"
                f" {hold.placed_at:%Y-%m-%d}: {hold.reason}."
            )

    def _list(self) -> None:
        found = holds.in_force()
        slugs = dict(
            Organization.objects.using("owner").filter(pk__in=found).values_list("pk", "slug")
        )
        for key, hold in found.items():
            self.stdout.write(
                f"{slugs.get(key, ulid.to_text(key))} since {hold.placed_at:%Y-%m-%d %H:%M} UTC, by"
                f" {hold.placed_by}: {hold.reason}"
            )
        if not found:
            self.stdout.write("No organization is under legal hold.")
