"""Actions, groups of them and severities, as conditions, and by which keys indexes have them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from django.db import connections
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

from audit import policy
from audit.policy import Deeds, Result, Severity
from audit.questions.querysets import Branch, EntryQuerySet, any_of

VIEW = "view"
"""Looking at the log."""


def _deeds(names: Sequence[str]) -> Iterator[Deeds]:
    """Of actions and of groups."""
    alone = tuple(name for name in names if policy.action_group(name) is None)
    if alone:
        yield Deeds(alone)
    for name in names:
        if group := policy.action_group(name):
            yield from group.deeds


def actions_in(names: Sequence[str]) -> list[str]:
    """The actions among these, and those of the groups among them."""
    return list(dict.fromkeys(name for deeds in _deeds(names) for name in deeds.actions))


def are_of_types(names: Sequence[str]) -> bool:
    """Whether a group among them has actions that are meant on some types only."""
    return any(deeds.types for deeds in _deeds(names))


def of_actions(names: Sequence[str]) -> Q:
    """Exactly those."""
    found = any_of("action", _of_any_type(names))
    for deeds in _deeds(names):
        if deeds.types:
            found |= Q(action__in=deeds.actions, resource_type__in=deeds.types)
    return found


def has_view(names: Sequence[str]) -> bool:
    """Whether looking at the log is among those, whatever it was done to."""
    return VIEW in _of_any_type(names)


NO_VIEW = Q(RawSQL(f"action <> '{VIEW}'", [], output_field=BooleanField()))  # noqa: S611
"""In the words of the index that leads past views of the log: a plan that serves any value would
not know that a parameter is this one."""


def keys_of_actions(names: Sequence[str]) -> Q:
    """Those, and maybe more: what an index finds of them."""
    found = any_of("action", _of_any_type(names))
    types = _types(names)
    return found | any_of("resource_type", types) if types else found


def branches_of_actions(names: Sequence[str]) -> tuple[Branch, ...]:
    branches = (
        Branch("action", _of_any_type(names)),
        Branch("resource_type", _types(names)),
    )
    return tuple(branch for branch in branches if branch.keys)


def _of_any_type(names: Sequence[str]) -> list[str]:
    return list(
        dict.fromkeys(n for deeds in _deeds(names) if not deeds.types for n in deeds.actions)
    )


def _types(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for deeds in _deeds(names) for name in deeds.types))


# -- Severity, as `Entry.severity` says it


def _with(severity: str) -> list[str]:
    return [action.name for action in policy.ACTIONS if action.severity == severity]


_KNOWN = [action.name for action in policy.ACTIONS]


def _sql() -> str:
    """Written out, not bound: what a query is grouped by has to be the same text twice."""
    quoted = {
        severity: ", ".join(f"'{name}'" for name in names)
        for severity in (Severity.INFO, Severity.NOTICE)
        if (names := _with(severity))
    }
    cases = " ".join(
        f"WHEN result = '{Result.SUCCESS}' AND action IN ({names}) THEN '{severity}'"
        for severity, names in quoted.items()
    )
    return f"CASE {cases} ELSE '{Severity.WARNING}' END"


SEVERITY_SQL = _sql()
"""The severity of an entry from its columns `action` and `result`."""


def of_severities(severities: Collection[str]) -> Q:
    found = Q(pk__in=[])
    for severity in severities:
        if severity == Severity.WARNING:
            found |= ~Q(result=Result.SUCCESS)
            found |= Q(action__in=_with(severity)) | ~Q(action__in=_KNOWN)
        else:
            found |= Q(result=Result.SUCCESS, action__in=_with(severity))
    return found


def branches_of_severities(
    severities: Collection[str], queryset: EntryQuerySet
) -> tuple[Branch, ...]:
    """None for what most entries are, or of many organizations."""
    if Severity.INFO in severities or len(queryset.visible_organizations) != 1:
        return ()
    actions = [name for severity in severities for name in _with(severity)]
    if Severity.WARNING not in severities:
        return (Branch("action", actions, is_all=False),)
    refusals = [result for result in Result if result != Result.SUCCESS]
    return (
        Branch("action", [*actions, *_unknown(queryset)], is_all=False),
        Branch("result", refusals, is_all=False, within=~Q(result=Result.SUCCESS)),
    )


def _unknown(queryset: EntryQuerySet) -> list[str]:
    """Actions in the log that the catalogue does not know: each found from the one before it by
    the index of actions."""
    [organization] = queryset.visible_organizations
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(_ACTIONS, [organization, organization])
        return [name for (name,) in cursor.fetchall() if name not in _KNOWN]


_ACTIONS = """
WITH RECURSIVE each (action) AS (
    (SELECT action FROM audit_ledger WHERE organization_id = %s
     ORDER BY action LIMIT 1)
    UNION ALL
    SELECT (SELECT l.action FROM audit_ledger l WHERE l.organization_id = %s
            AND l.action > each.action ORDER BY l.action LIMIT 1)
    FROM each WHERE each.action IS NOT NULL
)
SELECT action FROM each WHERE action IS NOT NULL
"""
