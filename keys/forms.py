"""Forms about API keys and access tokens."""

from __future__ import annotations

import datetime as dt

from django import forms

from organizations import roles


class TokenForm(forms.Form):
    """What every token has: a name, and perhaps an end."""

    name = forms.CharField(max_length=100, help_text="What it is for, such as “deploy pipeline”.")
    expires_on = forms.DateField(
        required=False,
        label="Expires on",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Empty: never. It works until the end of that day, UTC.",
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


class ApiKeyForm(TokenForm):
    """granter: the abilities of whoever makes the key; only these can be ticked."""

    abilities = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Tick at least one ability."},
    )

    def __init__(self, *args: object, granter: frozenset[str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        choices = [(ability, ability) for ability in sorted(granter & roles.ALL)]
        self.fields["abilities"].choices = choices  # type: ignore[attr-defined]
