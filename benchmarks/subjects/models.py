"""Copies of Environment: the same columns, constraints and indexes, watched by nobody or by others.

Their tables are made from the real one (`benchmarks.database`), so nothing can differ.
"""

from __future__ import annotations

from django.db import models

from benchmarks.settings import WITH_PACKAGES
from organizations.models import Organization, Target
from organizations.models.base import Timestamped


class EnvironmentCopy(Timestamped):
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)
    slug = models.CharField(max_length=50)
    description = models.TextField(max_length=1000, blank=True)
    status = models.CharField(max_length=50, default="development")
    is_production = models.BooleanField(default=False)

    class Meta:
        abstract = True
        default_permissions = ()

    def __str__(self) -> str:
        return self.slug


class Unaudited(EnvironmentCopy):
    """Nobody watches."""

    class Meta(EnvironmentCopy.Meta):
        db_table = "bench_unaudited"


class HandWritten(EnvironmentCopy):
    """Whoever writes a row inserts an entry by hand: the least that auditing can cost."""

    class Meta(EnvironmentCopy.Meta):
        db_table = "bench_hand_written"


if WITH_PACKAGES:
    import pghistory
    from auditlog.registry import auditlog
    from simple_history.models import HistoricalRecords

    @auditlog.register()
    class Auditlog(EnvironmentCopy):
        class Meta(EnvironmentCopy.Meta):
            db_table = "bench_auditlog"

    class SimpleHistory(EnvironmentCopy):
        history = HistoricalRecords()

        class Meta(EnvironmentCopy.Meta):
            db_table = "bench_simple_history"

    @pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
    class PgHistory(EnvironmentCopy):
        class Meta(EnvironmentCopy.Meta):
            db_table = "bench_pghistory"

    class EasyAudit(EnvironmentCopy):
        class Meta(EnvironmentCopy.Meta):
            db_table = "bench_easy_audit"
