"""The entry, as everything reads it, a read-only view over inbox and ledger; and saved views."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower

from audit import policy
from audit.entry import recorded_json, references
from audit.entry.actors import described
from audit.entry.references import Reference
from audit.questions.querysets import EntryQuerySet
from organizations import ulid
from organizations.labels import LabelField
from organizations.models import Organization
from organizations.models.base import Timestamped

LEAF_WITHHELD = 1 << len(policy.PART_NAMES)
"""In `Entry.erased_parts`: the leaf itself is not shown any more."""


class ContextField(models.JSONField):
    """Facts. What cannot be read is Unreadable, so that the list that holds it can be."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return recorded_json.parsed(value) if isinstance(value, str) else value


class ChangesField(models.JSONField):
    """What changed; the rest as for ContextField."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return recorded_json.parsed_changes(value) if isinstance(value, str) else value


class Entry(models.Model):
    """One thing that happened: who did what to which resource, from where, with what result.

    `actor` and `resource` carry no constraint: they are None once the row is gone, and
    `actor_label` and `resource_label` keep what it was called when it happened. `seq` is the
    entry's gapless number in its organization's log, None until it is sealed; so are its numbers
    among the entries of its resource and of its actor.
    """

    id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    actor_type = models.TextField()
    actor_id = models.UUIDField(null=True)
    actor_label = models.TextField()
    action = models.TextField()
    resource_type = models.TextField()
    resource_id = models.UUIDField(null=True)
    resource_label = models.TextField()
    result = models.TextField()
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.TextField()
    request_id = models.UUIDField(null=True)
    interface = models.TextField()
    changes = ChangesField()
    context = ContextField()
    seq = models.BigIntegerField(null=True)
    resource_seq = models.BigIntegerField(null=True)
    actor_seq = models.BigIntegerField(null=True)
    erased_parts = models.SmallIntegerField(null=True)
    is_sealed = models.BooleanField()

    actor = Reference("actor_type", "actor_id")
    resource = Reference("resource_type", "resource_id")

    objects: ClassVar[EntryQuerySet] = EntryQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        managed = False
        db_table = "audit_entry"
        default_permissions = ()
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.actor_described} {self.action_label} {self.resource_label}"

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("entries cannot be changed; record a new entry instead")

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("entries cannot be deleted")

    @property
    def actor_described(self) -> str:
        """The actor with its kind, for people to read."""
        return described(self.actor_type, self.actor_label)

    @property
    def actor_name(self) -> str:
        """What the person is called now who acted; empty if that is no person, or gone, or was not
        looked for (see `references.look_up`)."""
        return references.name_of(self, "actor")

    @property
    def ulid(self) -> str:
        return ulid.to_text(self.id)

    @property
    def time(self) -> dt.datetime:
        """When it happened, to the millisecond: the id's own prefix."""
        return ulid.time_of(self.id)

    @property
    def action_label(self) -> str:
        known = policy.action(self.action)
        return known.label if known else f"unknown action ({self.action})"

    @property
    def severity(self) -> policy.Severity:
        if self.result != policy.Result.SUCCESS:
            return policy.Severity.WARNING
        known = policy.action(self.action)
        return known.severity if known else policy.Severity.WARNING

    @property
    def resource_type_label(self) -> str:
        known = policy.RESOURCE_TYPES.get(self.resource_type)
        return known or f"unknown type ({self.resource_type})"

    @property
    def reason(self) -> str:
        return reason_in(self.context)

    @property
    def repeats(self) -> int:
        """How often more it happened in that minute; 0 too for what is no count."""
        return repeats_in(self.context)

    @property
    def unreadable(self) -> list[str]:
        """Which of `changes` and `context` lie in the log and cannot be read."""
        return recorded_json.unreadable(self.changes, self.context)

    @property
    def erased(self) -> list[str]:
        """The parts that were erased; empty where they are shown."""
        return erased_in(self.erased_parts)

    @property
    def recorded_changes(self) -> dict[str, tuple[Any, Any]]:
        """Field → (before, after), for the fields whose values are recorded."""
        return recorded(self.changes)

    @property
    def changed_fields(self) -> list[str]:
        """Fields that changed and whose values are not recorded."""
        return unrecorded(self.changes)


def reason_in(context: dict[str, Any]) -> str:
    """See Entry.reason."""
    return str(context.get("reason") or "")


def repeats_in(context: dict[str, Any]) -> int:
    """See Entry.repeats."""
    found = context.get("repeats")
    return found if type(found) is int and found > 0 else 0


def erased_in(parts: int | None) -> list[str]:
    """See Entry.erased. parts: the sum of 1 << part; of a leaf that is withheld, all are erased."""
    if not parts:
        return []
    if parts & LEAF_WITHHELD:
        return [*policy.PART_NAMES, "leaf"]
    return [name for number, name in enumerate(policy.PART_NAMES) if parts >> number & 1]


def recorded(changes: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """See Entry.recorded_changes."""
    return {
        name: (pair[0], pair[1])
        for name, pair in changes.items()
        if isinstance(pair, list) and len(pair) == 2
    }


def unrecorded(changes: dict[str, Any]) -> list[str]:
    """See Entry.changed_fields."""
    return [name for name, pair in changes.items() if pair is None]


class SavedView(Timestamped):
    """A named query of the log: a person's own, or shared with all of the organization
    who may read the log. See `audit.questions.saved_views` for what is done with them.

    query: the query string of the page, with words of time as they were asked ("7d").
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="saved_views"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views"
    )
    name = LabelField(max_length=80)
    query = models.TextField()
    is_shared = models.BooleanField(default=False)

    class Meta:
        ordering = ("name", "id")
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                "organization", "user", Lower("name"), name="audit_savedview_name"
            ),
        )

    def __str__(self) -> str:
        return self.name


class Witness(Timestamped):
    """Somebody whose cosignatures on the organization's checkpoints are kept and shown.

    name: as in the key; url: where checkpoints are sent to (C2SP tlog-witness), which only the
    operator sets; empty where the witness comes by itself.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="witnesses"
    )
    name = LabelField(max_length=200)
    vkey = models.CharField(max_length=300)
    url = models.URLField(max_length=500, blank=True)

    class Meta:
        ordering = ("name", "id")
        db_table = "audit_witness"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("organization", "vkey"), name="audit_witness_vkey"),
        )

    def __str__(self) -> str:
        return self.name
