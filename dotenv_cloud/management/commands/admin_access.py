"""`manage.py admin_access`: gives compliance staff access to the read-only admin."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from organizations.emails import canonical
from organizations.models import User


class Command(BaseCommand):
    help = (
        "Give a person access to the read-only admin, or withdraw it. The admin shows only"
        " organizations whose audit log the person may read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the person's sign-in address")
        parser.add_argument("--withdraw", action="store_true", help="withdraw the access")

    def handle(self, *args: Any, **options: Any) -> None:
        allowed = not options["withdraw"]
        with transaction.atomic():
            user = (
                User.objects.select_for_update()
                .filter(canonical_email=canonical(options["email"]))
                .first()
            )
            if user is None:
                raise CommandError(f"There is no user {options['email']}. Invite them first.")
            if user.is_staff != allowed:
                user.is_staff = allowed
                user.save(update_fields={"is_staff"})
        self.stdout.write(f"{user.email} {'may' if allowed else 'may not'} open the admin.")
