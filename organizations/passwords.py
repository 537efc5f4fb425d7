"""Asking people who are signed in for their password once more, before what weighs most."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

from organizations import limits
from organizations.membership_access import PersonRequest
from organizations.models import Membership
from organizations.signals import access_denied


class PasswordField(forms.CharField):
    """The password of the person who asks, as it is typed."""

    def __init__(self) -> None:
        super().__init__(
            strip=False,
            label="Your password",
            widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        )


def confirm(request: PersonRequest, password: str) -> None:
    """Raise ValidationError unless this is the password of the person who is signed in.

    An attempt counts like one at signing in, and before the password is looked at: of any number
    at once, no more than the limit are looked at. A refusal is announced.

    Not to be called in a transaction that an error rolls back: the count would go with it.
    """
    limited = limits.hit("sign_in_account", request.user.canonical_email)
    if not limited.allowed:
        _announce(request, 429, "rate_limited")
        minutes = -(-limited.retry_after // 60)
        raise ValidationError(
            {"password": f"Too many wrong passwords. Try again in {minutes} minutes."}
        )
    if not request.user.check_password(password):
        _announce(request, 422, "wrong_password")
        raise ValidationError({"password": "This is not your password."})
    limits.take_back("sign_in_account", request.user.canonical_email)


def _announce(request: PersonRequest, status: int, reason: str) -> None:
    """To the organization of the page; on a page of none, to each that the person belongs to."""
    organization = getattr(request, "organization", None)
    if organization is not None:
        places = [organization.pk]
    else:
        mine = Membership.objects.filter(user=request.user)
        places = list(mine.values_list("organization_id", flat=True)) or [None]
    for place in places:
        access_denied.send(
            confirm, request=request, status=status, reason=reason, organization_id=place
        )
