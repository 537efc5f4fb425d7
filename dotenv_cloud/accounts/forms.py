"""The forms of accounts: Django's own, with limits on signing in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import forms as auth_forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import transaction

from audit import context
from dotenv_cloud import limits
from organizations.acts import act
from organizations.models import User


class SignInForm(auth_forms.AuthenticationForm):
    """Failures are counted for the account typed and for the address, whether or not the account
    exists; when one of them has had too many, nothing is checked any more until its time is over.
    """

    error_messages = {
        "invalid_login": "E-mail and password do not fit together. Check both.",
        "inactive": "E-mail and password do not fit together. Check both.",
    }
    is_limited = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget = forms.EmailInput(
            attrs={"autofocus": True, "autocomplete": "username", "maxlength": 254}
        )

    def clean(self) -> dict[str, Any]:
        counted = (
            ("sign_in_account", str(self.cleaned_data.get("username", "")).strip().lower()),
            ("sign_in_address", context.origin().ip or "unknown"),
        )
        for scope, key in counted:
            limited = limits.check(scope, key)
            if not limited.allowed:
                self.is_limited = True
                raise ValidationError(
                    "Too many failed attempts. Try again in "
                    f"{_minutes(limited.retry_after)}, or reset your password."
                )
        try:
            return super().clean()
        except ValidationError:
            for scope, key in counted:
                limits.hit(scope, key)
            raise


def _minutes(seconds: int) -> str:
    minutes = max(1, -(-seconds // 60))
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


class ChangePasswordForm(auth_forms.PasswordChangeForm):
    """Says what is being done, so that the entry can."""

    def save(self, commit: bool = True) -> Any:
        with transaction.atomic(), act("change_password"):
            return super().save(commit)


class SetPasswordForm(auth_forms.SetPasswordForm):
    def save(self, commit: bool = True) -> Any:
        with transaction.atomic(), act("change_password"):
            return super().save(commit)


class JoinForm(forms.Form):
    """Name and password of somebody who joins without an account."""

    name = forms.CharField(max_length=150, label="Your name")
    password = forms.CharField(
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters.",
    )

    def __init__(self, email: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        password_validation.validate_password(password, User(email=self.email))
        return password
