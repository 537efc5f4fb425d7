"""`manage.py demo`: fills an empty database with two organizations and ninety days of history."""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from audit.ledger import partitions, sealing
from dotenv_cloud.demo import acme, everyday
from dotenv_cloud.demo.acme import Acme
from dotenv_cloud.demo.northwind import Northwind
from dotenv_cloud.demo.stage import Plan, held_by, new_password, owner_connection, person
from keys import api_keys
from organizations import clock
from organizations.models import Organization

ACCOUNTS = (
    ("Owner", acme.OLIVIA),
    ("Developer", acme.DEV),
    ("Auditor", acme.ADA),
    ("Compliance officer", acme.CARL),
)
"""The people who get a password, and how they are introduced."""


class Command(BaseCommand):
    help = "Create the demo organizations, unless the database already has an organization."

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        with owner_connection():
            if Organization.objects.exists():
                self.stdout.write("There is already an organization; nothing was created.")
                return
            now = clock.now()
            partitions.make_ahead(now - dt.timedelta(days=92))
            # One transaction: an interrupted run leaves nothing behind.
            with transaction.atomic():
                _make(now)
        sealed = _seal()
        seconds = time.monotonic() - started
        self.stdout.write(
            f"Created Acme and Northwind Labs: {sealed:,} entries in {seconds:.1f} s."
        )


def _make(now: dt.datetime) -> None:
    passwords = {person.email: new_password() for _, person in ACCOUNTS}
    plan = Plan(now)
    story = Acme(passwords[acme.OLIVIA.email], passwords)
    story.plan(plan)
    everyday.plan_days(plan, story)
    Northwind().plan(plan)
    plan.play()
    with clock.at(now - dt.timedelta(minutes=1)):
        token = _make_key(story)
    demo = {
        "accounts": [
            {"role": role, "email": person.email, "password": passwords[person.email]}
            for role, person in ACCOUNTS
        ],
        "api_key": token,
        "organization": story.organization.slug,
    }
    _write(settings.DATA_DIR / "demo.json", json.dumps(demo, indent=2) + "\n")


def _make_key(story: Acme) -> str:
    with person(acme.OLIVIA) as owner:
        organization = story.organization
        issued = api_keys.create(
            organization,
            "demo",
            ["*"],
            granter=held_by(owner, organization),
            created_by=owner,
        )
    return issued.token


def _write(path: Path, text: str) -> None:
    """Write a file in one step, readable by its user alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".demo-")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(name, path)


def _seal() -> int:
    total = 0
    while True:
        sealed = sealing.seal()
        total += sealed.entries
        if not sealed.is_behind:
            return total
