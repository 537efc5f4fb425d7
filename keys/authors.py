"""Who wrote a version, as clients see it: an integer and a name, kept as they were."""

from __future__ import annotations

from typing import NamedTuple

from keys.models import ApiKey
from organizations.models import User


class Author(NamedTuple):
    number: int | None
    name: str


SYSTEM = Author(None, "")


def of_user(user: User) -> Author:
    return Author(user.number, user.get_full_name()[:150])


def of_api_key(api_key: ApiKey) -> Author:
    return Author(api_key.number, f"{api_key.name} (API key)")
