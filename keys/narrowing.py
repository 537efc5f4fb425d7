"""Abilities narrowed to nodes, as people read and type them: an ability and a path, row by row."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import QueryDict

from keys.abilities import SCOPABLE
from organizations import ulid
from organizations.grants import LEVELS, Scope
from organizations.hierarchy import find_node
from organizations.models import Environment, Organization, Project, Target

FAMILIES = ("secret", "key")
"""Whose abilities can be narrowed all at once."""

MOST_ROWS = 100
BLANK_ROWS = 3


class NarrowingForm(forms.Form):
    """One row. A family stands for those of its abilities that the key holds."""

    ability = forms.ChoiceField(
        required=False,
        choices=[
            ("", "–"),
            *((f"{family}:*", f"{family}: each one ticked") for family in FAMILIES),
            *((ability, ability) for ability in sorted(SCOPABLE)),
        ],
    )
    path = forms.CharField(
        required=False,
        max_length=160,
        label="Path",
        widget=forms.TextInput(
            attrs={
                "placeholder": "project/target/environment",
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )

    def clean(self) -> dict[str, Any]:
        row = self.cleaned_data
        if row.get("ability") and not row.get("path"):
            self.add_error("path", "Name the project, or a level of it.")
        if row.get("path") and "ability" in row and not row["ability"]:
            self.add_error("ability", "Choose an ability to restrict.")
        return row


PREFIX = "narrow"

Narrowing = forms.formset_factory(
    NarrowingForm,
    extra=BLANK_ROWS,
    max_num=MOST_ROWS,
    absolute_max=MOST_ROWS,
    validate_max=True,
)


def rows(given: QueryDict | None, initial: Sequence[Mapping[str, str]] = ()) -> Any:
    """The rows that a form sent; else those of `initial` with some blank ones."""
    is_sent = given is not None and f"{PREFIX}-TOTAL_FORMS" in given
    return Narrowing(given if is_sent else None, initial=list(initial), prefix=PREFIX)


def more_rows(given: QueryDict) -> Any:
    """What was sent, unchecked, with more blank rows."""
    sent = [
        {name: given.get(f"{PREFIX}-{number}-{name}", "") for name in ("ability", "path")}
        for number in range(MOST_ROWS)
    ]
    return rows(None, [row for row in sent if any(row.values())])


def scopes(organization: Organization, asked: Any, held: Iterable[str]) -> list[Scope] | None:
    """What valid rows narrow; None if something does not fit; then its row shows what. held: the
    abilities of the key."""
    found: list[Scope] = []
    wrong = False
    for row in asked if asked.is_bound else ():
        ability, path = row.cleaned_data.get("ability"), row.cleaned_data.get("path")
        if not ability or not path:
            continue
        try:
            nodes = _nodes(organization, path)
            for permission in _permissions(ability, held):
                _check(permission, len(nodes), held)
                found.append(Scope(permission, **nodes))
        except ValidationError as error:
            for field, messages in error.message_dict.items():
                row.add_error(field, messages)
            wrong = True
    return None if wrong else list(dict.fromkeys(found))


def typed(stored: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Rows for scopes as `ApiKey.scopes` holds them; a node that is gone appears by its id."""
    parsed = [Scope.parse(one) for one in stored]
    slugs: dict[uuid.UUID, str] = {}
    for model, level in zip((Project, Target, Environment), LEVELS, strict=True):
        wanted = {getattr(scope, level) for scope in parsed} - {None}
        nodes: QuerySet[Any] = model._default_manager.filter(pk__in=wanted)
        slugs.update(nodes.values_list("pk", "slug") if wanted else ())
    return [
        {
            "ability": scope.permission,
            "path": "/".join(
                slugs.get(key, ulid.to_text(key))
                for key in (getattr(scope, level) for level in LEVELS)
                if key is not None
            ),
        }
        for scope in parsed
    ]


def _permissions(ability: str, held: Iterable[str]) -> list[str]:
    if not ability.endswith(":*"):
        return [ability]
    family = sorted(one for one in held if one in SCOPABLE and one.startswith(ability[:-1]))
    if not family:
        raise ValidationError({"ability": f"No ability of {ability[:-2]} is selected."})
    return family


def _check(permission: str, depth: int, held: Iterable[str]) -> None:
    if permission not in set(held):
        raise ValidationError({"ability": f"{permission} is not selected."})
    if depth not in SCOPABLE[permission]:
        needed = "/".join(LEVELS[: SCOPABLE[permission].start])
        raise ValidationError({"path": f"{permission} is restricted with {needed}."})


def _nodes(organization: Organization, path: str) -> dict[str, uuid.UUID]:
    """The ids of the nodes that a path of slugs or ULIDs names."""
    names = path.strip("/").split("/")
    if len(names) > len(LEVELS):
        raise ValidationError({"path": "Name at most a project, a target and an environment."})
    siblings: QuerySet[Any] = organization.projects.all()
    found: dict[str, uuid.UUID] = {}
    for level, name, below in zip(LEVELS, names, ("targets", "environments", ""), strict=False):
        node = find_node(siblings, name.lower())
        if node is None:
            raise ValidationError({"path": f"There is no {level} “{name}”."})
        found[level] = node.pk
        siblings = getattr(node, below).all() if below else siblings
    return found
