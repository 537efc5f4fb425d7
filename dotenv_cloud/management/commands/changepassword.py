"""`manage.py changepassword`: Django's, recorded, and ending the person's access tokens."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.db import transaction

from keys import access_tokens
from organizations.models import User
from organizations.signals import Verb, act


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> str:
        with transaction.atomic(using=options["database"]):
            with act(Verb.CHANGE_PASSWORD):
                said = str(super().handle(*args, **options))
            access_tokens.end_all(User.objects.get_by_natural_key(options["username"]))
        return said
