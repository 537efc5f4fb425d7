"""Forms about organizations and members, and what every form of a page has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from django import forms
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import IntegrityError, transaction

from organizations.grants import NotHeldError
from organizations.labels import FSI, PDI, isolated
from organizations.membership_access import OrganizationRequest, PersonRequest, announce
from organizations.models import Organization
from organizations.roles import Role

Made = TypeVar("Made")


class PageForm(forms.Form):
    """Shows what the rules refuse beside the field that it is about."""

    shown_at: ClassVar[dict[str, str]] = {}
    """Fields of the rules that have another name in this form."""

    def add_error(self, field: str | None, error: Any) -> None:
        """As Django does; and the first field that is wrong is where the page begins."""
        super().add_error(field, error)
        found = self.fields.get(field) if field else None
        is_first = not any("autofocus" in one.widget.attrs for one in self.fields.values())
        if found and is_first and not found.widget.use_fieldset:
            found.widget.attrs["autofocus"] = True

    def attempt(self, request: PersonRequest, work: Callable[[], Made]) -> Made | None:
        """What `work` returns, or None if the rules refuse it; then the form shows why."""
        try:
            with transaction.atomic():
                return work()
        except ValidationError as error:
            self.refuse(request, error)
        except IntegrityError:
            self.add_error(
                None, "Someone else has just created one with this name. Reload and try again."
            )
        except ObjectDoesNotExist:
            self.add_error(None, "Someone else has just deleted it.")
        return None

    def refuse(self, request: PersonRequest, error: ValidationError) -> None:
        """Take in what a rule said; what is about none of the fields stands above them."""
        if isinstance(error, NotHeldError):
            # Only inside an organization is anything granted.
            announce(cast(OrganizationRequest, request), 422, "not_held")
        if not hasattr(error, "error_dict"):
            self.add_error(None, ValidationError(error.messages))
            return
        for name, messages in error.message_dict.items():
            field = self.shown_at.get(name, name)
            self.add_error(field if field in self.fields else None, ValidationError(messages))


class ConfirmForm(PageForm):
    """For what cannot be undone: what goes has to be typed. `names`: the words that are right."""

    confirm = forms.CharField(
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"required": "Type it to confirm."},
    )

    def __init__(self, *args: Any, names: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = names
        self.fields["confirm"].label = f"To confirm, type {isolated(names[0])}"

    def clean_confirm(self) -> str:
        # Copied from the page, the marks around it may come along.
        typed: str = self.cleaned_data["confirm"].strip(FSI + PDI)
        if typed not in self.names:
            raise ValidationError(f"This is not “{isolated(self.names[0])}”. Nothing was deleted.")
        return typed


class NewOrganizationForm(PageForm):
    name = forms.CharField(max_length=100)
    slug = forms.CharField(
        max_length=50,
        required=False,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
        help_text="The name that clients and URLs use. If empty, it is made from the name.",
    )


class SettingsForm(PageForm):
    """Of an organization."""

    name = forms.CharField(max_length=100)
    slug = forms.CharField(
        max_length=50,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
        help_text="Clients and URLs use it. Those that use the current slug will no longer find"
        " it.",
    )
    history_retention_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=36_500,
        label="Days that versions of secrets stay readable",
        help_text="Older versions stay listed, but locked: they cannot be read or restored. A"
        " project may have its own number. If empty, they stay readable.",
    )
    member_key_retrieve = forms.BooleanField(
        required=False,
        label="Members and API users may retrieve keys",
        help_text="Clients need it to read and write secrets. Where the server has the key, it is "
        "the power to decrypt.",
    )

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization = organization
        for name in self.fields:
            self.initial.setdefault(name, getattr(organization, name))

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the organization as it is."""
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if getattr(self.organization, name) != value
        }


class RoleForm(PageForm):
    role = forms.ChoiceField(choices=Role.choices)


class InviteForm(RoleForm):
    email = forms.EmailField(
        label="E-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField(choices=Role.choices, initial=Role.MEMBER)
    field_order = ("email", "role")
