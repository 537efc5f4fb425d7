"""Who may open a page of an organization: one decorator, one answer to strangers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from organizations.hierarchy import find_organization
from organizations.models import Organization
from organizations.permissions import abilities_of
from organizations.signals import access_denied

View = Callable[..., HttpResponseBase]


class OrganizationRequest(HttpRequest):
    """A request inside an organization: which one, and what the person may do there."""

    organization: Organization
    abilities: frozenset[str]


def organization_page(*any_of: str) -> Callable[[View], View]:
    """The view gets `request.organization` and `request.abilities`.

    A person who does not belong there gets 404, as for an organization that does not exist; a
    member who holds none of `any_of` gets 403. Both are announced.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        @login_required
        def checked(request: Any, organization: str, **kwargs: Any) -> HttpResponseBase:
            found = find_organization(organization.lower())
            abilities = abilities_of(request.user, found) if found else frozenset()
            if found is None or not abilities:
                access_denied.send(
                    view, request=request, status=404, reason="not_found", organization_id=None
                )
                raise Http404("There is no such organization.")
            request.organization, request.abilities = found, abilities
            if any_of and abilities.isdisjoint(any_of):
                refuse(request, any_of[0])
            if organization != found.slug and request.method == "GET":
                match = request.resolver_match
                canonical = reverse(match.view_name, kwargs={**kwargs, "organization": found.slug})
                asked = request.GET.urlencode()
                return redirect(f"{canonical}?{asked}" if asked else canonical)
            return view(request, **kwargs)

        return checked

    return decorate


def refuse(request: Any, ability: str) -> None:
    """Announce that the ability is missing, and answer 403."""
    access_denied.send(
        organization_page,
        request=request,
        status=403,
        reason="insufficient_permissions",
        organization_id=request.organization.pk,
    )
    raise PermissionDenied(f"This needs {ability}, which your role does not have.")


def require(request: Any, ability: str) -> None:
    """403 unless the person holds `ability` on the organization of the page."""
    if ability not in request.abilities:
        refuse(request, ability)
