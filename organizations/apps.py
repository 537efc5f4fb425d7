"""The app of who and where: people, organizations, roles, and the project hierarchy."""

from __future__ import annotations

from django.apps import AppConfig


class OrganizationsConfig(AppConfig):
    name = "organizations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from organizations import checks  # noqa: F401  (registers itself)
