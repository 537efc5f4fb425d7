"""`manage.py create_organization`: the first organization of an installation, and its owner."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from organizations import creation, emails
from organizations.models import User


class Command(BaseCommand):
    help = "Create an organization and its owner. Everyone else is invited in the web interface."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help='its name, such as "Acme"')
        parser.add_argument(
            "--owner", required=True, metavar="EMAIL", help="the owner's e-mail address"
        )
        parser.add_argument("--slug", help="its name in URLs (default: derived from the name)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            email = emails.valid(options["owner"])
            owner = User.objects.with_email(email)
            password = _password(email) if owner is None else None
            with transaction.atomic():
                owner = owner or User.objects.create_user(email, password)
                made = creation.create_organization(
                    options["name"], owner=owner, slug=options["slug"]
                )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self.stdout.write(f"Created {made.name} ({made.slug}), owned by {owner.email}.")


def _password(email: str) -> str:
    """Prompted for on a terminal, otherwise read from standard input; never an argument."""
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {email}: ")
        if getpass.getpass("Again: ") != password:
            raise CommandError("The passwords do not match. Nothing was created.")
    else:
        password = sys.stdin.readline().rstrip("\n")
    validate_password(password, User(email=email))
    return password
