"""Asking people who are signed in for their password once more, before what weighs most."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

from organizations import limits
from organizations.membership_access import OrganizationRequest, announce


class PasswordField(forms.CharField):
    """The password of whoever asks, as it is typed."""

    def __init__(self) -> None:
        super().__init__(
            strip=False,
            label="Your password",
            widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        )


def confirm(request: OrganizationRequest, password: str) -> None:
    """Raise ValidationError unless this is the password of the person who is signed in.

    An attempt counts like one at signing in, and before the password is looked at: of any number
    at once, no more than the limit are looked at. A refusal is announced.
    """
    limited = limits.hit("sign_in_account", request.user.canonical_email)
    if not limited.allowed:
        announce(request, 429, "rate_limited")
        minutes = -(-limited.retry_after // 60)
        raise ValidationError(
            {"password": f"Too many wrong passwords. Try again in {minutes} minutes."}
        )
    if not request.user.check_password(password):
        announce(request, 422, "wrong_password")
        raise ValidationError({"password": "This is not your password."})
    limits.take_back("sign_in_account", request.user.canonical_email)
