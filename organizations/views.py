"""An organization: where it opens, its settings, and its members."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from organizations import creation, members, permissions, roles, ulid
from organizations.forms import ConfirmForm, InviteForm, NewOrganizationForm, RoleForm, SettingsForm
from organizations.labels import isolated
from organizations.membership_access import (
    OrganizationRequest,
    PersonRequest,
    organization_page,
    require,
)
from organizations.models import Invitation, Membership
from organizations.numbered_pages import page_of


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: PersonRequest) -> HttpResponse:
    """Anybody with an account may make an organization; they own it."""
    form = NewOrganizationForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        made = form.attempt(
            request,
            lambda: creation.create_organization(
                given["name"], owner=request.user, slug=given["slug"] or None
            ),
        )
        if made is not None:
            messages.success(request, f"{isolated(made.name)} was created. You are its owner.")
            return redirect("organization", made.slug)
    return render(
        request, "organizations/new.html", {"form": form}, status=422 if form.errors else 200
    )


@require_GET
@organization_page()
def organization(request: OrganizationRequest) -> HttpResponseBase:
    """To the first page that the role opens."""
    slug = request.organization.slug
    for ability, page in (
        ("audit:read", "activity"),
        ("project:read", "projects"),
        ("member:read", "members"),
        ("organization:read", "settings"),
    ):
        if ability in request.abilities:
            return redirect(page, organization=slug)
    return render(request, "organizations/nothing.html")


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("organization:read")
def settings(request: OrganizationRequest) -> HttpResponse:
    """Name, slug and what holds for all projects; changed by who may."""
    found = request.organization
    form = SettingsForm(request.POST if request.method == "POST" else None, organization=found)
    if request.method == "POST":
        require(request, "organization:update")
        if form.is_valid():
            changed = form.attempt(
                request,
                lambda: creation.update_organization(found, granter=request.grant, **form.changes),
            )
            if changed is not None:
                messages.success(request, "The settings were saved.")
                return redirect("settings", changed.slug)
    context = {"section": "settings", "form": form}
    return render(
        request, "organizations/settings.html", context, status=422 if form.errors else 200
    )


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("organization:delete")
def delete(request: OrganizationRequest) -> HttpResponse:
    """Ask for the name, then delete the organization with all it owns."""
    found = request.organization
    given = request.POST if request.method == "POST" else None
    form = ConfirmForm(given, names=(found.name, found.slug))
    if request.method == "POST" and form.is_valid():
        creation.delete_organization(found, granter=request.grant)
        messages.success(request, f"{isolated(found.name)} was deleted with everything it owned.")
        return redirect("organizations")
    context = {
        "section": "settings",
        "form": form,
        "projects": found.projects.count(),
        "memberships": found.memberships.count(),
    }
    return render(request, "organizations/delete.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("member:read")
def member_list(request: OrganizationRequest) -> HttpResponse:
    form = InviteForm(request.POST or None)
    if request.method == "POST":
        require(request, "member:create")
        if form.is_valid() and _invite(request, form):
            return to_members(request)
    memberships = _memberships(request).order_by("user__email", "id")
    invitations = Invitation.objects.filter(
        organization=request.organization, accepted_at=None
    ).select_related("invited_by")
    return render(
        request,
        "organizations/members.html",
        {
            "section": "members",
            "page": page_of(request, memberships),
            "invitations": invitations,
            "form": form,
            "groups": permissions.group_grants(request.organization),
            "roles": [
                (role, sorted(permissions.of_role(request.organization, role)))
                for role in roles.Role
            ],
        },
        status=422 if form.errors else 200,
    )


def _invite(request: OrganizationRequest, form: InviteForm) -> bool:
    try:
        invited = members.invite(
            request.organization,
            form.cleaned_data["email"],
            form.cleaned_data["role"],
            invited_by=request.user,
            granter=request.grant,
        )
    except ValidationError as error:
        form.refuse(request, error)
        return False
    members.send_invitation(invited)
    messages.success(request, f"An invitation is on its way to {invited.invitation.email}.")
    return True


def change_role(request: OrganizationRequest, membership: Membership, form: RoleForm) -> bool:
    try:
        members.change_role(membership, form.cleaned_data["role"], granter=request.grant)
    except ValidationError as error:
        form.refuse(request, error)
        return False
    messages.success(request, f"The role of {membership.user} was changed.")
    return True


@require_POST
@organization_page("member:create")
def withdraw_invitation(request: OrganizationRequest, invitation: str) -> HttpResponse:
    key = ulid.parse_or_none(invitation) or ulid.NIL
    found = Invitation.objects.filter(
        organization=request.organization, pk=key, accepted_at=None
    ).first()
    if found is None:
        raise Http404("There is no such invitation.")
    members.withdraw(found, granter=request.grant)
    messages.success(request, f"The invitation of {found.email} was withdrawn.")
    return to_members(request)


def find_membership(request: OrganizationRequest, reference: str) -> Membership:
    key = ulid.parse_or_none(reference) or ulid.NIL
    found: Membership | None = _memberships(request).filter(pk=key).first()
    if found is None:
        raise Http404("There is no such member.")
    return found


def _memberships(request: OrganizationRequest) -> QuerySet[Membership]:
    here = Membership.objects.filter(organization=request.organization).select_related("user")
    return permissions.with_groups(here, request.organization)


def to_members(request: OrganizationRequest) -> HttpResponse:
    return redirect("members", organization=request.organization.slug)
