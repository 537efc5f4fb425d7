"""System checks: what is announced here can be heard."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

BACKEND = "organizations.postgresql"


@register(Tags.compatibility)
def every_database_announces_its_writes(**kwargs: Any) -> list[CheckMessage]:
    """With another backend no write would carry its words, and each would be refused."""
    return [
        Error(
            f"DATABASES[{alias!r}] uses the backend {database['ENGINE']}, which does not announce"
            " what it writes.",
            hint=f'Set its ENGINE to "{BACKEND}".',
            id="organizations.E001",
        )
        for alias, database in settings.DATABASES.items()
        if database["ENGINE"] != BACKEND
    ]
