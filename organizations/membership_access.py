"""Who belongs to an organization and may open its pages: one answer to strangers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from organizations import permissions
from organizations.grants import Grant
from organizations.hierarchy import called
from organizations.labels import isolated
from organizations.models import Organization, User
from organizations.signals import access_denied

View = Callable[..., HttpResponseBase]


class PersonRequest(HttpRequest):
    """A request of a signed-in user."""

    user: User


class OrganizationRequest(PersonRequest):
    """A request inside an organization: which one, and what the person may do there."""

    organization: Organization
    abilities: frozenset[str]
    grant: Grant


def find_belonging(user: User, reference: str) -> tuple[Organization, frozenset[str]] | None:
    """The organization with this ULID or slug, and what `user` may do there right now. None when
    there is no such organization, or nothing in it for this person: both take
    the same one statement, so that the time does not reveal which it was. Otherwise two."""
    asked = called(Organization.objects.all(), reference.lower())
    with permissions.prepared():
        found = permissions.organizations_of(user, asked).first()
    abilities = permissions.abilities_of(user, found) if found else frozenset()
    return (found, abilities) if found and abilities else None


def organization_page(*any_of: str) -> Callable[[View], View]:
    """The view gets `request.organization` and `request.abilities`.

    A person who does not belong there gets 404, as for an organization that does not exist; a
    member who holds none of `any_of` gets 403, as does who would change something in an
    organization that is not active. All are announced.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        @login_required
        def checked(
            request: OrganizationRequest, organization: str, **kwargs: Any
        ) -> HttpResponseBase:
            place = find_belonging(request.user, organization)
            if place is None:
                access_denied.send(
                    view, request=request, status=404, reason="not_found", organization_id=None
                )
                raise Http404("There is no such organization.")
            found, abilities = request.organization, request.abilities = place
            request.grant = Grant(abilities, holder=request.user.pk)
            if any_of and abilities.isdisjoint(any_of):
                refuse(request, any_of[0])
            if not found.is_active and request.method not in ("GET", "HEAD", "OPTIONS"):
                announce(request, 403, "organization_inactive")
                raise PermissionDenied(
                    f"{isolated(found.name)} is {found.status}: nothing in it can be changed."
                )
            if organization != found.slug and request.method == "GET":
                match = request.resolver_match
                assert match is not None
                canonical = reverse(match.view_name, kwargs={**kwargs, "organization": found.slug})
                asked = request.GET.urlencode()
                return redirect(f"{canonical}?{asked}" if asked else canonical)
            return view(request, **kwargs)

        return checked

    return decorate


def announce(request: OrganizationRequest, status: int, reason: str) -> None:
    """Announce that someone was denied something on a page of an organization."""
    access_denied.send(
        organization_page,
        request=request,
        status=status,
        reason=reason,
        organization_id=request.organization.pk,
    )


def refuse(request: OrganizationRequest, ability: str) -> None:
    """Announce that the ability is missing, and answer 403."""
    announce(request, 403, "insufficient_permissions")
    raise PermissionDenied(f"This needs {ability}, which your role does not have.")


def require(request: OrganizationRequest, ability: str) -> None:
    """403 unless the person holds `ability` on the organization of the page."""
    if ability not in request.abilities:
        refuse(request, ability)
