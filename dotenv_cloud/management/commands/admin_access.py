"""`manage.py admin_access`: who of the compliance staff may open the read-only admin."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from organizations.emails import canonical
from organizations.models import User


class Command(BaseCommand):
    help = (
        "Let a person open the admin, or no longer. It shows them only the organizations whose"
        " audit log they may read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address that the person signs in with")
        parser.add_argument("--withdraw", action="store_true", help="take the access away")

    def handle(self, *args: Any, **options: Any) -> None:
        allowed = not options["withdraw"]
        with transaction.atomic():
            user = (
                User.objects.select_for_update()
                .filter(canonical_email=canonical(options["email"]))
                .first()
            )
            if user is None:
                raise CommandError(f"Nobody signs in with {options['email']}; invite them first.")
            if user.is_staff != allowed:
                user.is_staff = allowed
                user.save(update_fields={"is_staff"})
        self.stdout.write(f"{user.email} {'may' if allowed else 'may not'} open the admin.")
