"""An installation begins with a command: its first organization, and who may open the admin."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from audit import context
from audit.models import Entry
from organizations.models import Membership, Organization, User

PASSWORD = "correct horse battery staple"

pytestmark = pytest.mark.django_db(transaction=True)


def manage(monkeypatch: pytest.MonkeyPatch, *arguments: str, stdin: str = PASSWORD) -> str:
    """What the command said."""
    said = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin + "\n"))
    with context.command(["manage.py", *arguments]):
        call_command(*arguments, stdout=said)
    return said.getvalue()


def recorded() -> list[tuple[Any, ...]]:
    """Action and type of every entry, oldest first."""
    organizations = list(Organization.objects.values_list("pk", flat=True))
    with transaction.atomic():
        entries = Entry.objects.visible(organizations).order_by("id")
        return list(entries.values_list("action", "resource_type", "actor_type", "interface"))


def test_the_first_organization_has_an_owner_who_can_sign_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = manage(monkeypatch, "create_organization", "Acme", "--owner", "Olivia@acme.example")
    assert said == "Created Acme (acme), owned by Olivia@acme.example.\n"
    membership = Membership.objects.get()
    assert (membership.organization.slug, membership.role) == ("acme", "owner")
    assert membership.user.check_password(PASSWORD)
    assert ("create", "organization", "system", "command") in recorded()


def test_an_owner_who_exists_is_asked_for_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    manage(monkeypatch, "create_organization", "Acme", "--owner", "olivia@acme.example")
    manage(monkeypatch, "create_organization", "Other", "--owner", "OLIVIA@acme.example", stdin="")
    assert Membership.objects.filter(user=User.objects.get()).count() == 2


@pytest.mark.parametrize(
    ("arguments", "stdin", "why"),
    [
        (("Acme", "--owner", "nobody"), PASSWORD, "valid e-mail address"),
        (("Acme", "--owner", "olivia@acme.example"), "short", "too short"),
        (("Acme", "--owner", "olivia@acme.example", "--slug", "a b"), PASSWORD, "slug|letters"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], stdin: str, why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        manage(monkeypatch, "create_organization", *arguments, stdin=stdin)
    assert not User.objects.exists()
    assert not Organization.objects.exists()


def test_admin_access_is_given_and_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    manage(monkeypatch, "create_organization", "Acme", "--owner", "olivia@acme.example")
    said = manage(monkeypatch, "admin_access", "Olivia@acme.example")
    assert said == "olivia@acme.example may open the admin.\n"
    assert User.objects.get().is_staff

    manage(monkeypatch, "admin_access", "olivia@acme.example", "--withdraw")
    assert not User.objects.get().is_staff


def test_admin_access_for_an_unknown_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="There is no user ghost@acme.example"):
        manage(monkeypatch, "admin_access", "ghost@acme.example")
