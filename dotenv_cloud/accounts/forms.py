"""The forms of accounts: Django's own, with limits on signing in."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib.auth import forms as auth_forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import transaction

from audit import context
from audit.capture.events import TO_EACH_ORGANIZATION, record, record_once_a_minute
from audit.policy import Result
from audit.review import time_zones
from keys import access_tokens
from organizations import labels, limits, passwords
from organizations.emails import canonical
from organizations.membership_access import PersonRequest
from organizations.models import Membership, User
from organizations.signals import Verb, act


class SignInForm(auth_forms.AuthenticationForm):
    """Failures are counted for the account typed and for the address, whether or not the account
    exists; when one of them has had too many, nothing is checked any more until its time is over.

    An attempt is counted before the password is looked at, and taken back if it was right: of any
    number of attempts at once, no more than the limit are looked at. The address comes first, so
    that one which has to wait cannot lock accounts meanwhile.
    """

    error_messages = {
        "invalid_login": "Wrong e-mail or password.",
        "inactive": "Wrong e-mail or password.",
    }
    is_limited = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget = forms.EmailInput(
            attrs={"autofocus": True, "autocomplete": "username", "maxlength": 254}
        )

    def clean(self) -> dict[str, Any]:
        account = canonical(str(self.cleaned_data.get("username", "")))
        counts = (
            ("sign_in_address", limits.network(context.origin().ip)),
            ("sign_in_account", account),
        )
        counted: list[tuple[str, str]] = []
        for scope, key in counts:
            limited = limits.hit(scope, key)
            if not limited.allowed:
                _take_back(counted)
                self.is_limited = True
                _record_refusal(account, scope)
                raise ValidationError(
                    "Too many failed attempts. Try again in "
                    f"{_minutes(limited.retry_after)}, or reset your password."
                )
            counted.append((scope, key))
        cleaned: dict[str, Any] = super().clean()
        _take_back(counted)
        return cleaned


def _take_back(counted: list[tuple[str, str]]) -> None:
    for scope, key in counted:
        limits.take_back(scope, key)


def _record_refusal(account: str, scope: str) -> None:
    """In the log of each organization of the person, if there is one, as a failure would be."""
    user = User.objects.with_email(account)
    if user is None:
        return  # the platform's log has the refusal in any case
    organizations = Membership.objects.filter(user=user).values_list("organization_id", flat=True)
    with transaction.atomic():
        for organization_id in organizations:
            record_once_a_minute(
                "sign_in",
                resource_type="user",
                resource_id=user.pk,
                resource_label=user.email,
                organization_id=organization_id,
                result=Result.DENIED,
                reason=f"too_many_attempts_of_{scope.removeprefix('sign_in_')}",
            )


def _minutes(seconds: int) -> str:
    minutes = max(1, -(-seconds // 60))
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


class ChangePasswordForm(auth_forms.PasswordChangeForm):
    """Counts wrong passwords as signing in does, and says what is being done, so that the entry
    can."""

    def __init__(self, *args: Any, request: PersonRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        password: str = self.cleaned_data["old_password"]
        try:
            passwords.confirm(self._request, password)
        except ValidationError as error:
            raise ValidationError(error.messages) from None
        return password

    def save(self, commit: bool = True) -> Any:
        with transaction.atomic():
            with act(Verb.CHANGE_PASSWORD):
                user = super().save(commit)
            access_tokens.end_all(user)
            return user


class ResetPasswordForm(auth_forms.PasswordResetForm):
    def get_users(self, email: str) -> list[User]:
        """The one whose address it is, if a link would be of use."""
        user = User.objects.with_email(email)
        return [user] if user and user.is_active and user.has_usable_password() else []

    def send_link(self) -> None:
        """Enter that a link was asked for, and mail it; nothing, if there is no such account."""
        for user in self.get_users(self.cleaned_data["email"]):
            record(
                "reset_password",
                resource_type="user",
                resource_id=user.pk,
                resource_label=user.email,
                organization_id=TO_EACH_ORGANIZATION,
            )
        self.save(
            domain_override=settings.BASE_URL.partition("://")[2],
            use_https=settings.BASE_URL.startswith("https:"),
            email_template_name="accounts/email/reset.txt",
            subject_template_name="accounts/email/reset_subject.txt",
            extra_email_context={"base_url": settings.BASE_URL},
        )


class SetPasswordForm(auth_forms.SetPasswordForm):
    def save(self, commit: bool = True) -> Any:
        with transaction.atomic():
            with act(Verb.CHANGE_PASSWORD):
                user = super().save(commit)
            access_tokens.end_all(user)
            return user


class JoinForm(forms.Form):
    """Name and password of someone who joins without an account."""

    name = forms.CharField(max_length=150, label="Your name", validators=[labels.check])
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


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """What people may say of themselves. The time zone is the browser's to remember."""

    class Meta:
        model = User
        fields = ("name",)
        labels: ClassVar[dict[str, str]] = {"name": "Your name"}
        help_texts: ClassVar[dict[str, str]] = {
            "name": "Others see it next to your e-mail address."
        }
        widgets: ClassVar[dict[str, Any]] = {
            "name": forms.TextInput(attrs={"autocomplete": "name"})
        }

    time_zone = forms.ChoiceField(
        label="Time zone", help_text="Times are shown in this time zone in this browser."
    )

    def __init__(self, data: Any = None, *, instance: User, time_zone: str) -> None:
        super().__init__(data, instance=instance, initial={"time_zone": time_zone})
        names = dict.fromkeys((*time_zones.ZONES, time_zone))
        self.fields["time_zone"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
