"""Members come, change role and go. Every function here is one transaction.

Rules: the last owner stays; nobody grants more than they hold; an address is invited once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse

from organizations import clock, emails, limits, permissions, roles
from organizations.grants import Grant, NotHeldError, refuse_more_than_held
from organizations.labels import isolated
from organizations.models import Invitation, Membership, Organization, User
from organizations.models.organization import INVITATION_LIFETIME
from organizations.signals import Verb, act


class Invited(NamedTuple):
    """`token` goes into the link of the e-mail and nowhere else."""

    invitation: Invitation
    token: str


@transaction.atomic
def add(organization: Organization, user: User, role: str) -> Membership:
    """Make `user` a member. Raises ValidationError when already one."""
    if Membership.objects.filter(organization=organization, user=user).exists():
        raise ValidationError({"email": f"{user.email} is already a member."})
    with act(Verb.JOIN):
        membership = Membership.objects.create(organization=organization, user=user, role=role)
    permissions.follow_role(membership)
    return membership


@transaction.atomic
def invite(
    organization: Organization,
    email: str,
    role: str,
    *,
    invited_by: User | None,
    granter: Grant,
) -> Invited:
    """Invite an address; a new invitation replaces an open one to the same address.

    granter: what the person or key that invites holds. Raises ValidationError naming the field, and
    LimitedError after too many.
    """
    email = emails.valid(email)
    form = emails.canonical(email)
    _refuse_more_than_held(role, granter)
    if Membership.objects.filter(organization=organization, user__canonical_email=form).exists():
        raise ValidationError({"email": f"{email} is already a member."})
    if granter.holder is not None:
        limits.require("invitation_person", str(granter.holder), "Too many invitations")
    limits.require("invitation_organization", str(organization.pk), "Too many invitations")
    token = secrets.token_urlsafe(32)
    values = {
        "role": role,
        "invited_by": invited_by,
        "token_hash": _hash(token),
        "expires_at": clock.now() + INVITATION_LIFETIME,
    }
    with act(Verb.INVITE):
        invitation = (
            Invitation.objects.select_for_update()
            .filter(organization=organization, canonical_email=form, accepted_at=None)
            .first()
        )
        if invitation is not None:
            _refuse_more_than_held(invitation.role, granter)  # it is taken away
        else:
            invitation = Invitation(organization=organization, email=email)
        for name, value in values.items():
            setattr(invitation, name, value)
        invitation.save()
    return Invited(invitation, token)


def send_invitation(invited: Invited) -> None:
    """Send the e-mail, with the link, once the invitation has committed."""
    invitation = invited.invitation
    path = reverse("invitation", kwargs={"token": invited.token})
    body = render_to_string(
        "organizations/email/invitation.txt",
        {
            "organization": invitation.organization,
            "role": roles.Role(invitation.role).label,
            "invited_by": invitation.invited_by,
            "link": f"{settings.BASE_URL}{path}",
            "expires_at": invitation.expires_at,
        },
    )
    subject = f"Join {isolated(invitation.organization.name)} on dotEnv Cloud"
    transaction.on_commit(
        lambda: send_mail(subject, body, settings.DEFAULT_FROM_EMAIL, [invitation.email])
    )


def find_invitation(token: str) -> Invitation | None:
    """The invitation that `token` belongs to, open or not. One that was withdrawn is gone."""
    return (
        Invitation.objects.select_related("organization", "invited_by")
        .filter(token_hash=_hash(token))
        .first()
    )


def take(invitation: Invitation) -> Invitation:
    """The invitation, locked for the first who asks: until the transaction ends all others wait.
    Raises ValidationError when it is no longer open."""
    still_open = Invitation.objects.select_for_update(of=("self",)).select_related("organization")
    mine = still_open.filter(pk=invitation.pk, accepted_at=None, expires_at__gt=clock.now()).first()
    if mine is None:
        raise ValidationError("This invitation has expired or has been used. Ask for a new one.")
    return mine


@transaction.atomic
def accept(invitation: Invitation, user: User) -> Membership:
    """Join by invitation; the invitation must be to the person's own address."""
    invitation = take(invitation)
    if invitation.canonical_email != user.canonical_email:
        raise ValidationError(
            f"This invitation was sent to {invitation.email}. Sign in with that address."
        )
    membership = add(invitation.organization, user, invitation.role)
    invitation.accepted_at = clock.now()
    invitation.save(update_fields={"accepted_at"})
    return membership


@transaction.atomic
def withdraw(invitation: Invitation, *, granter: Grant) -> None:
    """Take an invitation back; its link stops working. Raises NotHeldError."""
    _refuse_more_than_held(invitation.role, granter)
    invitation.delete()


@transaction.atomic
def change_role(membership: Membership, role: str, *, granter: Grant) -> Membership:
    """Change the role of a member. Raises ValidationError for the last owner, or when the granter
    holds less than either role carries."""
    membership = _locked(membership)
    if role == membership.role:
        return membership
    _refuse_more_than_held(role, granter)
    _refuse_more_than_held(membership.role, granter)
    _refuse_last_owner(membership)
    membership.role = role
    membership.save(update_fields={"role"})
    permissions.follow_role(membership)
    return membership


@transaction.atomic
def remove(
    membership: Membership, *, granter: Grant | None = None, facts: Mapping[str, Any] | None = None
) -> None:
    """End a membership; `keys.leaving` also decides about the API keys. `granter` None: the member
    leaves of their own accord. facts: what else was decided, to be recorded with it."""
    membership = _locked(membership)
    _refuse_last_owner(membership)
    if granter is not None:
        _refuse_more_than_held(membership.role, granter)
    permissions.revoke_all(membership)
    with act(Verb.LEAVE if granter is None else Verb.DELETE, **(facts or {})):
        membership.delete()


def _locked(membership: Membership) -> Membership:
    """The membership, read anew while the organization is locked: of two owners who leave at
    the same moment, neither may rely on the other."""
    Organization.objects.select_for_update().get(pk=membership.organization_id)
    return Membership.objects.select_related("user", "organization").get(pk=membership.pk)


def _refuse_last_owner(membership: Membership) -> None:
    if membership.role != roles.Role.OWNER:
        return
    # One who cannot sign in owns nothing that matters.
    others = Membership.objects.filter(
        organization_id=membership.organization_id, role=roles.Role.OWNER, user__is_active=True
    ).exclude(pk=membership.pk)
    if not others.exists():
        raise ValidationError(
            {
                "role": "The last owner cannot leave or lose the role. "
                "Make someone else an owner first."
            }
        )


def _refuse_more_than_held(role: str, granter: Grant) -> None:
    """A role is held in the whole organization."""
    try:
        refuse_more_than_held(granter, Grant(roles.permissions_of(role)), "role")
    except NotHeldError as error:
        label = roles.Role(role).label
        raise NotHeldError(
            {"role": f"You cannot give or take the role {label}. {' '.join(error.messages)}"}
        ) from None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
