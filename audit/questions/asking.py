"""The one way to query the log, within the tenant scope of the reader."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from audit.models import Entry
from audit.questions.filters import POSITION, EntryFilter
from organizations.models import Organization


def ask(
    organizations: Sequence[Organization], params: Mapping[str, Any], *, known: Collection[str] = ()
) -> EntryFilter:
    """The question that `params` put to the logs of `organizations`; the caller has checked
    `audit:read` on each. Enters their tenant scope, so call it in the transaction that reads.

    known: parameters of the surface itself, which are no filters and no mistakes.
    """
    entries = Entry.objects.visible([organization.pk for organization in organizations])
    return EntryFilter(params, entries, organizations=organizations, known=known)


def without_position(params: Mapping[str, Any]) -> dict[str, Any]:
    """The question without its place in the list: the whole answer, from its newest entry on."""
    kept = dict(params.lists()) if hasattr(params, "lists") else dict(params)
    return {name: texts for name, texts in kept.items() if name not in POSITION}
