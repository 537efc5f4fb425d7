"""What every domain row has: a ULID as its key, and two timestamps from the one clock."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Length

from organizations import clock, ulid

models.CharField.register_lookup(Length)


class Timestamped(models.Model):
    """A row with a time-ordered public id.

    `updated_at` is set by `save()`; a `QuerySet.update()` names it itself.
    """

    id = models.UUIDField(primary_key=True, default=ulid.new, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.updated_at = clock.now()
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "updated_at"}
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the row with what hangs on it. Of several concurrent calls one succeeds: the
        others get DoesNotExist, as later ones do."""
        total, by_model = super().delete(*args, **kwargs)
        if not by_model.get(self._meta.label):
            raise type(self).DoesNotExist(f"{self._meta.verbose_name} {self.pk} is gone.")  # type: ignore[attr-defined]
        return total, by_model

    @property
    def ulid(self) -> str:
        return ulid.to_text(self.id)


class NextNumber(models.Func):
    """The next value of a sequence: clients want some ids as integers beside the ULID."""

    template = "nextval('%(sequence)s')"
    output_field = models.BigIntegerField()

    def __init__(self, sequence: str) -> None:
        super().__init__(sequence=sequence)
        self.sequence = sequence

    def deconstruct(self) -> tuple[str, tuple[str], dict[str, Any]]:
        return "organizations.models.base.NextNumber", (self.sequence,), {}
