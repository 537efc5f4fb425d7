"""System checks: no model is left out of audit/policy.py by accident, and what it says is possible.

`manage.py check` runs them, and every command that starts a server or migrates. What they cannot
see, a table that no model stands for, `audit.ledger.unlisted` refuses after `migrate`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import FieldDoesNotExist
from django.db.models import BinaryField, Field, FileField, Model

from audit import policy
from audit.coverage import declared
from audit.coverage.routes import all_routes
from audit.policy import Operation, Part, Resource

PAGE = "audit/policy.py"

ROW_COLUMN = re.compile(r"\br\.(\w+)")
"""A column of the row itself, in the SQL of a label."""

UNRECORDABLE = (BinaryField, FileField)
"""Fields whose values belong in no entry: what an entry holds is read by people, for years."""


@register(Tags.models)
def every_model_is_listed(**kwargs: Any) -> list[CheckMessage]:
    return list(_listing())


@register(Tags.models)
def what_is_listed_can_be_recorded(**kwargs: Any) -> list[CheckMessage]:
    return [
        mistake for spec in policy.AUDITED if _exists(spec.model) for mistake in _wrong_in(spec)
    ]


@register(Tags.models)
def every_word_is_known(**kwargs: Any) -> list[CheckMessage]:
    return list(_words())


@register(Tags.urls)
def every_route_is_declared(**kwargs: Any) -> list[CheckMessage]:
    return [_error(5, mistake) for mistake in declared.mistakes(all_routes())]


def _error(number: int, message: str, hint: str | None = None, obj: Any = None) -> CheckMessage:
    return Error(message, hint=hint, obj=obj, id=f"audit.E{number:03}")


def _exists(name: str) -> bool:
    try:
        policy.model_named(name)
    except LookupError:
        return False
    return True


# -- Each model is in exactly one of the lists


def _listing() -> Iterator[CheckMessage]:
    listed = Counter[type[Model]]()
    for name in (*(spec.model for spec in policy.AUDITED), *policy.UNAUDITED):
        if "." not in name:
            continue  # a table without a model; `migrate` looks for it
        try:
            listed[policy.model_named(name)] += 1
        except LookupError:
            yield _error(2, f"{PAGE} lists {name!r}, which is not a model.", "Remove the line.")
    for name, exempt in policy.UNAUDITED.items():
        if not exempt.reason.strip():
            yield _error(3, f"{name} is exempt without a reason in UNAUDITED of {PAGE}.")
    for model in apps.get_models(include_auto_created=True):
        if model._meta.proxy:
            continue  # its rows are those of another model
        if not listed[model]:
            yield _error(
                1,
                f"{model._meta.label} is neither audited nor exempt in {PAGE}.",
                f"{_line_for(model)}, or give a reason why its changes need no entry: "
                f'UNAUDITED["{_name_of(model)}"] = Exempt("…").',
                model,
            )
        elif listed[model] > 1:
            yield _error(
                4,
                f"{model._meta.label} is listed {listed[model]} times in {PAGE}.",
                "List it once, either as audited or as exempt.",
                model,
            )


def _line_for(model: type[Model]) -> str:
    """The line that is missing."""
    if model._meta.auto_created:
        return f'Add Part("{_name_of(model)}", …) to PARTS'
    name = str(model._meta.verbose_name).replace(" ", "_")
    return f'Add Resource("{name}", "{model._meta.label}", …) to RESOURCES'


def _name_of(model: type[Model]) -> str:
    """How the policy page names a model: an automatic table by the field that it belongs to."""
    owner = model._meta.auto_created
    if not owner:
        return model._meta.label
    assert isinstance(owner, type)
    for field in owner._meta.local_many_to_many:
        if field.remote_field.through is model:
            return f"{owner._meta.label}.{field.name}"
    return model._meta.label


# -- What a line says is there


def _wrong_in(spec: Resource | Part) -> Iterator[CheckMessage]:
    model = spec.model_class()
    columns = policy.columns(model)
    if isinstance(spec, Part):
        yield from _missing(spec, columns, "key", [spec.key])
        yield from _missing(spec, columns, "value", [spec.value])
        owner = policy.resource(spec.of)
        if owner is None:
            yield _error(
                7, f"{spec.model} in {PAGE}: its rows belong to {spec.of!r}, which is not audited."
            )
        if spec.organization:
            yield from _missing(spec, columns, "organization", [spec.organization])
        # The rows of one resource are put together before they are called anything.
        left = {name: columns[name] for name in (spec.key, spec.organization) if name in columns}
        yield from _missing(spec, left, "label", ROW_COLUMN.findall(f"{spec.label} {spec.joins}"))
        return
    yield from _unrecordable(spec, model)
    yield from _missing(spec, columns, "silent", spec.silent)
    yield from _missing(spec, columns, "fixed", spec.fixed)
    for name in spec.below:
        field = columns.get(name)
        if field is None or not {field.name, field.attname}.intersection(spec.recorded):
            yield _error(
                7,
                f"{spec.model} in {PAGE}: below names {name!r}, whose values are not recorded.",
                "Record it: its value is how entries say what the row lies below.",
            )
    for named in spec.verbs:
        yield from _missing(spec, columns, f"the verb {str(named.verb)!r}", named.fields)
    yield from _missing(spec, columns, "label", ROW_COLUMN.findall(f"{spec.label} {spec.joins}"))
    tenant = ("organization", spec.organization) if spec.organization else ("person", spec.person)
    yield from _missing(spec, columns, tenant[0], [tenant[1]])


def _missing(
    spec: Resource | Part, columns: dict[str, Any], what: str, named: Any
) -> Iterator[CheckMessage]:
    for name in named:
        if name not in columns:
            yield _error(
                7,
                f"{spec.model} in {PAGE}: {what} names {name!r}, which is not a column.",
                f"Its columns are {', '.join(columns)}.",
            )


def _unrecordable(spec: Resource, model: type[Model]) -> Iterator[CheckMessage]:
    for name in spec.recorded:
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            field = None
        if not isinstance(field, Field) or field.column is None:
            yield _error(
                6,
                f"{spec.model} in {PAGE}: recorded names {name!r}, which is not a field with a"
                " column.",
                f"Its columns are {', '.join(policy.columns(model))}.",
            )
        elif isinstance(field, UNRECORDABLE):
            yield _error(
                6,
                f"{spec.model} in {PAGE}: the values of {name!r} cannot be recorded"
                f" ({type(field).__name__}).",
                "Remove it: a change of the field is recorded by its name.",
            )
        elif field.column in spec.silent:
            yield _error(6, f"{spec.model} in {PAGE}: {name!r} is both recorded and silent.")


# -- Words


def _words() -> Iterator[CheckMessage]:
    for operation in (*Operation, "grant", "revoke"):
        if policy.action(operation) is None:
            yield _error(8, f"ACTIONS of {PAGE} lacks {str(operation)!r}.")
    for spec in policy.RESOURCES:
        for named in spec.verbs:
            if policy.action(named.verb) is None:
                yield _error(
                    8,
                    f"{spec.model} in {PAGE}: the verb {str(named.verb)!r} is not an action.",
                    "Add it to ACTIONS, or correct it.",
                )
    for name, described in policy.TYPES.items():
        words = {*(s.action for s in described.sentences), *(e.action for e in described.events)}
        for word in sorted(words - {"*"}):
            if policy.action(word) is None:
                yield _error(8, f"{name!r} in {PAGE}: {word!r} is not an action.")
    yield from _groups()
    actions = [action.name for action in policy.ACTIONS]
    types = [*(spec.name for spec in policy.RESOURCES), *(spec.name for spec in policy.OTHERS)]
    for names in (actions, types):
        for name in [name for name, count in Counter(names).items() if count > 1]:
            yield _error(8, f"{name!r} is defined twice in {PAGE}.")


def _groups() -> Iterator[CheckMessage]:
    """Every action is asked for as a change or as a look, and groups are made of actions."""
    changes, looks = (_actions_of(name) for name in ("changes", "looks"))
    for action in policy.ACTIONS:
        if (action.name in changes) == (action.name in looks):
            both = "both" if action.name in changes else "neither"
            yield _error(
                9,
                f"{action.name!r} is in {both} of the groups 'changes' and 'looks' of {PAGE}.",
                "Add it to the one that it belongs to.",
            )
    for group in policy.ACTION_GROUPS:
        if policy.action(group.name) is not None:
            yield _error(9, f"{group.name!r} in {PAGE} is an action and a group.")
        for name in group.actions:
            if policy.action(name) is None:
                yield _error(9, f"The group {group.name!r} in {PAGE}: {name!r} is not an action.")
        for name in sorted({name for deeds in group.deeds for name in deeds.types}):
            if name not in policy.TYPES:
                yield _error(9, f"The group {group.name!r} in {PAGE}: {name!r} is not a type.")


def _actions_of(name: str) -> frozenset[str]:
    group = policy.action_group(name)
    return frozenset(group.actions if group else ())
