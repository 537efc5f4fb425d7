"""Copies of Environment and of what hangs on it, watched by nobody or by other packages.

Each copy of Environment has copies of its own of the tables below: whoever deletes an environment
looks for its secrets and their versions, and deletes them, in every contender alike. The tables are
made from the real ones (`benchmarks.database`), so columns, constraints and indexes cannot differ.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from benchmarks.settings import WITH_PACKAGES
from keys.models import Secret, SecretVersion
from organizations.models import Environment, Organization, Target
from organizations.models.base import Timestamped

BELOW: dict[type[Any], dict[type[Any], type[Any]]] = {
    Environment: {Secret: Secret, SecretVersion: SecretVersion}
}
"""Of each contender's environment: the models below it, by what they are copies of."""


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


def make_below(environment: type[EnvironmentCopy]) -> list[type[Any]]:
    """Copies of the models below Environment, below this copy of it."""
    made = {original: _copy(original, environment) for original in BELOW[Environment]}
    BELOW[environment] = made
    return list(made.values())


def family(environment: type[Any]) -> list[tuple[type[Any], type[Any]]]:
    """A contender's environment and the models below it, each with what it is a copy of."""
    return [(Environment, environment), *BELOW[environment].items()]


def _copy(original: type[models.Model], environment: type[EnvironmentCopy]) -> type[Any]:
    attributes: dict[str, Any] = {}
    for field in original._meta.local_fields:
        if isinstance(field, models.ForeignKey):
            to = environment if field.name == "environment" else field.remote_field.model
            attributes[field.name] = models.ForeignKey(
                to, null=field.null, on_delete=models.CASCADE, related_name="+"
            )
        else:
            attributes[field.name] = field.clone()
    attributes["Meta"] = type(
        "Meta",
        (),
        {
            "app_label": "subjects",
            "db_table": f"{environment._meta.db_table}_{original._meta.model_name}",
            "default_permissions": (),
        },
    )
    name = f"{environment.__name__}{original.__name__}"
    return type(name, (models.Model,), attributes | {"__module__": __name__})


class Unaudited(EnvironmentCopy):
    """Nobody watches."""

    class Meta(EnvironmentCopy.Meta):
        db_table = "bench_unaudited"


class HandWritten(EnvironmentCopy):
    """Each writer of a row inserts an entry by hand: the least that auditing can cost."""

    class Meta(EnvironmentCopy.Meta):
        db_table = "bench_hand_written"


make_below(Unaudited)
make_below(HandWritten)

if WITH_PACKAGES:
    import pghistory
    import simple_history
    from auditlog.registry import auditlog
    from simple_history.models import HistoricalRecords

    # Ours enters no content of a secret, so nobody has to copy it.
    WITHOUT = ["content"]

    @auditlog.register()
    class Auditlog(EnvironmentCopy):
        class Meta(EnvironmentCopy.Meta):
            db_table = "bench_auditlog"

    for _model in make_below(Auditlog):
        auditlog.register(_model, exclude_fields=WITHOUT)

    class SimpleHistory(EnvironmentCopy):
        history = HistoricalRecords()

        class Meta(EnvironmentCopy.Meta):
            db_table = "bench_simple_history"

    for _model in make_below(SimpleHistory):
        simple_history.register(_model, excluded_fields=WITHOUT)

    _EVENTS = (pghistory.InsertEvent, pghistory.UpdateEvent, pghistory.DeleteEvent)

    @pghistory.track(*(event() for event in _EVENTS))
    class PgHistory(EnvironmentCopy):
        class Meta(EnvironmentCopy.Meta):
            db_table = "bench_pghistory"

    for _model in make_below(PgHistory):
        pghistory.track(*(event() for event in _EVENTS), exclude=WITHOUT)(_model)

    class EasyAudit(EnvironmentCopy):
        class Meta(EnvironmentCopy.Meta):
            db_table = "bench_easy_audit"

    make_below(EasyAudit)
