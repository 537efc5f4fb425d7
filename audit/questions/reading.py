"""The entries that reading the log leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from audit.capture.events import record, record_in_each_once_a_minute
from audit.models import Entry
from audit.policy import Result
from audit.questions import filters as questions
from audit.redaction import clean
from organizations.models import Organization

LONGEST_DESCRIPTION = 2000
FREE_TEXT = ("q", "reason", "user_agent", "became", "was")
"""Parameters in which people may have typed anything."""


def record_view(
    organization: Organization,
    filters: Any = None,
    *,
    entry: Entry | None = None,
    is_part: bool = False,
) -> None:
    """Record that the log was read: with which question, or which entry. Again within the minute
    is only counted. is_part: of a page that was recorded; within the minute not even counted."""
    record_views([organization], filters, entry=entry, is_part=is_part)


def record_views(
    organizations: Sequence[Organization],
    filters: Any = None,
    *,
    entry: Entry | None = None,
    is_part: bool = False,
) -> None:
    """Record in the log of each that it was read; one statement for all of them."""
    record_in_each_once_a_minute(
        "view",
        resource_type="audit_log",
        resource_labels={organization.pk: organization.slug for organization in organizations},
        is_counted=not is_part,
        filters=describe(filters) or None,
        entry=entry.ulid if entry else None,
    )


def record_export(
    organization: Organization, filters: Any, format: str, redacted: Collection[str] = ()
) -> None:
    """Record that entries leave the log; call it before the first one does. redacted: names of
    parts that are withheld."""
    record(
        "export",
        resource_type="audit_log",
        resource_label=organization.slug,
        organization_id=organization.pk,
        filters=describe(filters) or None,
        format=format,
        redacted=", ".join(redacted) or None,
    )


def record_end_of_export(
    organization: Organization,
    format: str,
    count: int,
    result: Result,
    reason: str = "",
    *,
    size: int | None = None,
    root: str | None = None,
) -> None:
    """Record that an export is over, and how many entries left the log in it at most. size, root:
    of the checkpoint, if it was evidence."""
    record(
        "end_export",
        resource_type="audit_log",
        resource_label=organization.slug,
        organization_id=organization.pk,
        result=result,
        format=format,
        count=count,
        reason=reason or None,
        size=size,
        root=root,
    )


def record_mismatch(organization: Organization, number: int) -> None:
    """Record that an entry does not give the hash that its log's tree has."""
    _record_failure(organization, number=number)


def record_fork(organization: Organization, size: int) -> None:
    """Record that somebody has a signed checkpoint which the log does not continue."""
    _record_failure(
        organization,
        found=f"a checkpoint of {size} entries was signed that it does not continue",
    )


def _record_failure(organization: Organization, **facts: Any) -> None:
    """Record that verifying a log found something wrong."""
    record(
        "verify",
        resource_type="audit_log",
        resource_label=organization.slug,
        organization_id=organization.pk,
        result=Result.FAILED,
        **facts,
    )


def describe(filters: Any) -> str:
    """A query as its entry records it: its query string, without what is FREE_TEXT.

    filters: an EntryFilter, a QueryDict or a dict of names and values.
    """
    if filters is None:
        return ""
    if not isinstance(filters, questions.EntryFilter):
        filters = questions.EntryFilter(filters, Entry.objects.none())
    params: Mapping[str, Sequence[str]] = filters.params
    text = questions.canonical(
        {n: ["*"] if n.removeprefix("exclude_") in FREE_TEXT else t for n, t in params.items()}
    )
    return clean(text, LONGEST_DESCRIPTION)
