"""The page that says who may do what where, now or at a moment: people and API keys alike."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.ledger import replica
from audit.questions import periods, reading, retention_boundary
from audit.questions.periods import Period
from audit.review import replaying, time_zones
from audit.review.replaying import Holder
from organizations import clock, ulid
from organizations.grants import LEVELS, Scope
from organizations.hierarchy import find_node
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import Environment, Organization, Project, Target

COLUMNS = (
    ("Read", "secret:read"),
    ("Decrypt", "secret:decrypt"),
    ("Change", "secret:write"),
    ("Retrieve key", "key:retrieve"),
    ("Manage members", "member:update"),
    ("Read the log", "audit:read"),
)
_MODELS = (Project, Target, Environment)


class UnknownPlaceError(Exception):
    """No project, target or environment is called so."""


class Cell(NamedTuple):
    """What a holder may do: "yes", "no", or "part" of the places, which are named."""

    column: str
    value: str
    places: tuple[str, ...] = ()


class Row(NamedTuple):
    holder: Holder
    cells: list[Cell]
    now: str
    """What is different today; empty when nothing is, or when the page is about today."""


@require_GET
@organization_page("audit:read")
def access(request: OrganizationRequest) -> HttpResponse:
    """No entry is shown, but what the log says of access is: that is recorded as a view of it."""
    organization, zone = request.organization, time_zones.of(request)
    place, asked_at = request.GET.get("place", "").strip(), request.GET.get("at", "").strip()
    context: dict[str, Any] = {
        "section": "access",
        "place": place,
        "asked_at": asked_at,
        "columns": [name for name, _ in COLUMNS],
        "errors": [],
        "rows": None,
    }
    node: tuple[uuid.UUID, ...] = ()
    try:
        at = _moment(asked_at, zone)
    except periods.UnknownPeriodError as error:
        at = None
        context["errors"].append(f"Moment: {error}")
    try:
        node = _node(organization, place)
    except UnknownPlaceError as error:
        context["errors"].append(f"Place: {error}")
    status = 200
    if not context["errors"]:
        try:
            context |= _answer(organization, node, at)
        except replaying.TooManyChangesError as error:
            context["errors"].append(f"Moment: {error} Choose a later one.")
    if context["errors"]:
        status = 422
    return render(request, "audit/access.html", context, status=status)


def _answer(
    organization: Organization, node: Sequence[uuid.UUID], at: dt.datetime | None
) -> dict[str, Any]:
    replica.stay_on_primary()
    then = replaying.access(organization, at)
    today = replaying.access(organization) if at else then
    current = {(holder.kind, holder.id): holder for holder in today.holders}
    # Of a place, no other is named.
    names = _Names(() if node else then.holders)
    rows: list[Row] = []
    others: list[Row] = []
    for holder in then.holders:
        cells = [_cell(holder, column, ability, node, names) for column, ability in COLUMNS]
        now = _difference(holder, current.get((holder.kind, holder.id)), node) if at else ""
        # Of a place: those who may do something to its secrets.
        touches = not node or any(cell.value != "no" for cell in cells[:4])
        (rows if touches else others).append(Row(holder, cells, now))
    boundary = retention_boundary.below(organization.pk, Period(None, None)) if at else None
    reading.record_view(organization)
    return {
        "at": at,
        "rows": rows,
        "others": [row.holder for row in others],
        "entries": then.entries,
        "unknown": then.unknown,
        "boundary": boundary if boundary and at and at < boundary.before else None,
        "readers": _readers(then.holders, node),
        "readers_now": _readers(today.holders, node) if at else None,
    }


def _moment(text: str, zone: dt.tzinfo) -> dt.datetime | None:
    """The instant that was asked for; None for now, or for what is yet to come."""
    if not text:
        return None
    now = clock.now()
    at = periods.resolve_since(text, now, zone)
    return at if at < now else None


def _node(organization: Organization, place: str) -> tuple[uuid.UUID, ...]:
    """The ids of the node with this path. Raises UnknownPlaceError."""
    found: list[Any] = []
    parts = [part for part in place.split("/") if part]
    if len(parts) > len(LEVELS):
        raise UnknownPlaceError("a path has three parts at most: project/target/environment.")
    for level, part in zip(LEVELS, parts, strict=False):
        siblings = (
            organization.projects.all()
            if not found
            else found[-1].targets.all()
            if level == "target"
            else found[-1].environments.all()
        )
        node = find_node(siblings, part.lower())
        if node is None:
            where = f" in {'/'.join(parts[: len(found)])}" if found else ""
            raise UnknownPlaceError(f"there is no {level} called \u201c{part}\u201d{where}.")
        found.append(node)
    return tuple(node.pk for node in found)


def _cell(
    holder: Holder, column: str, ability: str, node: Sequence[uuid.UUID], names: _Names
) -> Cell:
    if node:
        return Cell(column, "yes" if replaying.holds(holder.grant, ability, node) else "no")
    if ability not in holder.grant.abilities:
        return Cell(column, "no")
    places = holder.grant.places_of(ability)
    if places:
        return Cell(column, "part", tuple(sorted(names.of(place) for place in places)))
    return Cell(column, "yes")


def _readers(holders: Sequence[Holder], node: Sequence[uuid.UUID]) -> int:
    return sum(
        replaying.holds(holder.grant, "secret:read", node)
        if node
        else "secret:read" in holder.grant.abilities
        for holder in holders
    )


def _difference(then: Holder, now: Holder | None, node: Sequence[uuid.UUID]) -> str:
    if now is None:
        return "no access" if then.kind == "user" else "deleted or expired"
    abilities = [ability for _, ability in COLUMNS]

    def may(holder: Holder) -> frozenset[str]:
        if not node:
            return holder.grant.abilities
        return frozenset(a for a in abilities if replaying.holds(holder.grant, a, node))

    lost, won = len(may(then) - may(now)), len(may(now) - may(then))
    said = [f"{lost} abilit{'y' if lost == 1 else 'ies'} fewer" if lost else ""]
    said.append(f"{won} abilit{'y' if won == 1 else 'ies'} more" if won else "")
    changed = ", ".join(filter(None, said))
    if not changed and not node and then.grant.scopes != now.grant.scopes:
        changed = "restricted to other places"
    by = ", ".join(now.by)
    return f"{changed} ({by})" if changed and by else changed or "the same"


class _Names:
    """What the nodes are called today that keys are narrowed to."""

    def __init__(self, holders: Sequence[Holder]) -> None:
        keys = {
            key
            for holder in holders
            for scope in holder.grant.scopes
            for key in (scope.project, scope.target, scope.environment)
            if key is not None
        }
        self._slugs: dict[uuid.UUID, str] = {}
        for model in _MODELS if keys else ():
            self._slugs |= dict(model._base_manager.filter(pk__in=keys).values_list("pk", "slug"))

    def of(self, scope: Scope) -> str:
        parts = (scope.project, scope.target, scope.environment)
        return "/".join(
            self._slugs.get(key) or f"deleted {ulid.to_text(key)}" for key in parts if key
        )
