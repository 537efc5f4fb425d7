"""Forms about projects and their levels, about keys, API keys and access tokens."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

from django import forms

from keys.abilities import effective
from keys.levels import Level
from keys.models import ApiKey
from organizations import roles
from organizations.forms import ConfirmForm, PageForm
from organizations.grants import Scope
from organizations.models import Environment, Project, Target
from organizations.passwords import PasswordField

# -- Projects, targets, environments


class NodeForm(PageForm):
    """What every level has. node: the one that is changed; without it one is made, and the slug
    may come from the name."""

    name = forms.CharField(max_length=100)
    slug = forms.CharField(
        max_length=50,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    description = forms.CharField(
        max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(
        self, *args: Any, node: Project | Target | Environment | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.node = node
        slug = self.fields["slug"]
        if node is None:
            slug.required = False
            slug.help_text = "The name that clients use. If empty, it is made from the name."
            return
        slug.help_text = (
            "The name that clients use. Clients that use the current slug will no longer find it."
        )
        for name in self.fields:
            self.initial.setdefault(name, getattr(node, name))

    def clean_description(self) -> str:
        text: str = self.cleaned_data["description"]
        return text.replace("\r\n", "\n")  # as browsers send lines

    @property
    def given(self) -> dict[str, Any]:
        """What to make a level with."""
        return {**self.cleaned_data, "slug": self.cleaned_data["slug"] or None}

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the level as it is."""
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if getattr(self.node, name) != value
        }


class ProjectForm(NodeForm):
    secret_format = forms.ChoiceField(
        choices=Project.SecretFormat.choices,
        initial=Project.SecretFormat.ENV,
        label="Format of secrets",
    )


class ProjectSettingsForm(NodeForm):
    secret_versioning = forms.BooleanField(
        required=False, label="Keep a version of each secret that is replaced"
    )
    history_policy = forms.ChoiceField(
        choices=Project.HistoryPolicy.choices,
        widget=forms.RadioSelect,
        label="When the key is rotated",
    )
    history_retention_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=36_500,
        label="Days that versions stay readable",
        help_text="Older versions stay listed, but locked. If empty, the organization’s setting"
        " applies.",
    )
    strict_encryption = forms.BooleanField(
        required=False,
        label="Reject unencrypted content instead of encrypting it on arrival",
    )


class EnvironmentForm(NodeForm):
    status = forms.RegexField(
        r"\A[a-z0-9]+(?:-[a-z0-9]+)*\Z",
        max_length=50,
        initial=Environment.Status.DEVELOPMENT,
        label="Stage",
        widget=forms.TextInput(attrs={"list": "stages", "autocapitalize": "none"}),
        help_text="production, staging, development, local, or any other word.",
        error_messages={"invalid": "Use lower-case letters, digits and single hyphens."},
    )
    is_production = forms.BooleanField(required=False, label="Treat as production")

    @property
    def given(self) -> dict[str, Any]:
        given = super().given
        # Unticked says nothing yet: the stage decides.
        return {**given, "is_production": given["is_production"] or None}


class PurgeForm(ConfirmForm):
    """For the versions of a level, or of all of its project's."""

    whole_project = forms.BooleanField(required=False, label="Include all targets and environments")
    field_order = ("whole_project", "confirm")

    def __init__(self, *args: Any, level: Level, **kwargs: Any) -> None:
        super().__init__(*args, names=(level.path,), **kwargs)
        if level.name != "project":
            self.fields["whole_project"].widget = forms.HiddenInput()
            self.fields["whole_project"].disabled = True


class RotationForm(PageForm):
    """Without a choice, the project's setting counts."""

    history_policy = forms.ChoiceField(
        required=False,
        choices=Project.HistoryPolicy.choices,
        widget=forms.RadioSelect,
        label="Earlier versions of secrets",
    )


class ShowKeyForm(PageForm):
    password = PasswordField()


class KeyField(forms.CharField):
    """A key, as it is pasted; it never comes back in a page."""

    def __init__(self, label: str, help_text: str = "") -> None:
        super().__init__(
            max_length=1024,
            label=label,
            help_text=help_text,
            widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        )


class GiveKeyForm(PageForm):
    key = KeyField(
        "The key, pasted from where you saved it",
        "If you lose it, you lose every secret of the project: nobody can restore it.",
    )
    password = PasswordField()


class TakeKeyForm(PageForm):
    key = KeyField("The project’s key")
    password = PasswordField()


# -- Tokens


class TokenForm(PageForm):
    """What every token has: a name, and perhaps an end."""

    shown_at: ClassVar = {"expires_at": "expires_on"}

    name = forms.CharField(max_length=100, help_text="What it is for, such as “deploy pipeline”.")
    expires_on = forms.DateField(
        required=False,
        label="Expires on",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The key works until the end of that day, UTC. If empty, it never expires.",
    )

    @property
    def expires_at(self) -> dt.datetime | None:
        day = self.cleaned_data["expires_on"]
        if day is None:
            return None
        return dt.datetime.combine(day, dt.time(23, 59, 59), tzinfo=dt.UTC)


class AccessTokenForm(TokenForm):
    """A person's own: it may do what the person may."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["name"].help_text = "What it is for, such as “my laptop”."


class AbilitiesField(forms.MultipleChoiceField):
    """Offers what can be granted; what is asked for beside that, the rules refuse."""

    def valid_value(self, value: object) -> bool:
        return True


class ApiKeyForm(TokenForm):
    """granter: the abilities of who makes or changes the key; only these can be ticked. Of a
    key that may do more than they, they can change the name alone."""

    abilities = AbilitiesField(
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Select at least one ability."},
    )
    inherit_parents = forms.BooleanField(
        required=False,
        initial=True,
        label="Also reads the levels above, as needed to pull a whole environment",
    )

    def __init__(
        self,
        *args: Any,
        granter: frozenset[str],
        api_key: ApiKey | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.api_key = api_key
        choices = [(ability, ability) for ability in sorted(granter & roles.ALL)]
        if granter >= roles.WILDCARD:
            choices.insert(0, ("*", "* (all but audit:manage)"))
        self.fields["abilities"].choices = choices  # type: ignore[attr-defined]
        if api_key is None:
            return
        expires_at = api_key.expires_at
        shown = {
            "name": api_key.name,
            "abilities": list(api_key.abilities),
            "inherit_parents": api_key.inherit_parents,
            "expires_on": expires_at.astimezone(dt.UTC).date() if expires_at else None,
        }
        self.initial = {**shown, **self.initial}
        self.is_beyond = not effective(api_key.abilities) <= granter
        if self.is_beyond:
            for field in ("abilities", "expires_on", "inherit_parents"):
                del self.fields[field]

    is_beyond = False
    """Whether the key may do more than who changes it."""

    def changes(self, scopes: list[Scope]) -> dict[str, Any]:
        """What differs from the key as it is."""
        assert self.api_key is not None
        given, key = self.cleaned_data, self.api_key
        changes: dict[str, Any] = {}
        if given["name"] != key.name:
            changes["name"] = given["name"]
        if self.is_beyond:
            return changes
        if set(given["abilities"]) != set(key.abilities):
            changes["abilities"] = given["abilities"]
        if [scope.stored() for scope in scopes] != key.scopes:
            changes["scopes"] = scopes
        if given["inherit_parents"] != key.inherit_parents:
            changes["inherit_parents"] = given["inherit_parents"]
        if "expires_on" in self.changed_data:
            changes["expires_at"] = self.expires_at
        return changes
