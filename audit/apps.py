"""The app of what happened: capture, query, evidence."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Audit log"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_renew_guards_and_grants, sender=self)
        from audit import receivers  # noqa: F401  (connects itself)


def _renew_guards_and_grants(using: str, plan: Any = None, **kwargs: Any) -> None:
    """The guards follow the policy page, and the grants follow the tables, at each migrate."""
    from audit.capture import triggers
    from audit.ledger import roles

    connection = connections[using]
    if "audit_inbox" not in connection.introspection.table_names():
        return
    triggers.install(connection)
    roles.grant(connection)
