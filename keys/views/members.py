"""A member: another role, or the end of the membership with what becomes of their API keys."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from keys import leaving
from keys.leaving import KeysOfLeaver
from organizations import permissions
from organizations.forms import RoleForm
from organizations.labels import isolated
from organizations.membership_access import OrganizationRequest, organization_page, require
from organizations.models import Membership
from organizations.views import change_role, find_membership, to_members


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("member:read")
def member(request: OrganizationRequest, member: str) -> HttpResponse:
    """Change the role of a member, or remove them; both after this page has asked."""
    membership = find_membership(request, member)
    is_self = membership.user_id == request.user.pk
    # A POST of nothing is a form too: an unbound one takes no errors.
    given = request.POST if request.method == "POST" else None
    form = RoleForm(given, initial={"role": membership.role})
    if request.method == "POST":
        try:
            done = _act(request, membership, form, is_self)
        except ValidationError as error:
            form.refuse(request, error)
        else:
            if done is not None:
                return done
    return render(
        request,
        "organizations/member.html",
        {
            "section": "members",
            "membership": membership,
            "abilities": sorted(permissions.abilities_of(membership.user, request.organization)),
            "is_self": is_self,
            "keys_made": leaving.keys_made_by(membership),
            "chosen": request.POST.get("api_keys", ""),
            "form": form,
        },
        status=422 if form.errors else 200,
    )


def _act(
    request: OrganizationRequest, membership: Membership, form: RoleForm, is_self: bool
) -> HttpResponse | None:
    """Do what was chosen, and redirect; None if the form has errors to show."""
    action = request.POST.get("action")
    if action == "role":
        require(request, "member:update")
        if form.is_valid() and change_role(request, membership, form):
            return to_members(request)
    elif action == "remove" or (action == "leave" and is_self):
        if action == "remove":
            require(request, "member:delete")
        keys = request.POST.get("api_keys", "")
        if not request.POST.get("sure"):
            form.add_error(None, "Tick the box to confirm.")
        elif keys not in list(KeysOfLeaver) and leaving.keys_made_by(membership).exists():
            form.add_error(None, "Choose what becomes of the API keys.")
        else:
            return _remove(request, membership, keys, leaves=action == "leave")
    else:
        form.add_error(None, "Choose what to do.")
    return None


def _remove(
    request: OrganizationRequest, membership: Membership, keys: str, *, leaves: bool
) -> HttpResponse:
    leaving.remove(
        membership,
        KeysOfLeaver(keys or KeysOfLeaver.HAND_OVER),
        granter=None if leaves else request.grant,
        heir=None if leaves else request.user,
    )
    if leaves:
        messages.success(request, f"You left {isolated(request.organization.name)}.")
        return redirect("home")
    messages.success(request, f"{membership.user} was removed.")
    return to_members(request)
