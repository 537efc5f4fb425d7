"""The app of what happened: capture, query, evidence."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.management.base import CommandError
from django.db import connections
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Audit log"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_follow_policy, sender=self)
        from audit import checks, receivers  # noqa: F401  (register and connect themselves)


def _follow_policy(using: str, verbosity: int = 1, **kwargs: Any) -> None:
    """At each migrate the guards and grants follow the policy page; a table of ours that it does
    not list is refused."""
    from audit.capture import triggers, unused
    from audit.ledger import roles, unlisted

    connection = connections[using]
    if "audit_inbox" not in connection.introspection.table_names():
        return
    triggers.install(connection)
    unused.refuse(connection)
    roles.grant(connection)
    found = unlisted.tables(connection)
    complaints = [table.complaint for table in found if table.complaint]
    if complaints := [*complaints, *roles.excess(connection)]:
        raise CommandError("\n".join(complaints))
    if verbosity and found:
        names = ", ".join(table.table for table in found)
        print(f"  Skipped tables of other software: {names}")
