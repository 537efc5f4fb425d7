"""Events that are not row changes: auditors read the log, and requests are denied.

Each is recorded at once and on its own: the service counts repeats within a minute by the
database's clock, which the demo cannot shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from django.urls import resolve

from audit.capture import refusals
from audit.capture.events import record
from audit.coverage.routes import readable
from audit.policy import Interface, Result
from audit.questions import reading
from dotenv_cloud.demo.stage import Person, person
from organizations import ulid
from organizations.models import Organization


class Story(Protocol):
    @property
    def organization(self) -> Organization: ...


def view(
    who: Person, story: Story, filters: Mapping[str, str], interface: Interface = Interface.WEB
) -> None:
    """A person views the log."""
    with person(who, interface):
        organization = story.organization
        record(
            "view",
            resource_type="audit_log",
            resource_label=organization.slug,
            organization_id=organization.pk,
            filters=reading.describe(filters),
        )


def export(who: Person, story: Story, filters: Mapping[str, str], format: str) -> None:
    """A person exports the log."""
    with person(who):
        reading.record_export(story.organization, filters, format)


def refuse(
    organization: Organization | None,
    method: str,
    path: str,
    *,
    status: int = 403,
    reason: str = "insufficient_permissions",
    repeats: int = 0,
) -> None:
    """The current actor is denied a request; `repeats`: how many more times within the minute."""
    match = resolve(path)
    for count in (0, repeats) if repeats else (0,):
        record(
            "access",
            resource_type="endpoint",
            resource_label=f"{method} /{readable(match.route)}",
            organization_id=organization.pk if organization else ulid.NIL,
            result=Result.DENIED,
            status=status,
            reason=reason,
            named=refusals.named_in(match),
            repeats=count or None,
        )
