"""Abilities of API keys: reading what clients ask for, and narrowing them to nodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from organizations import roles

READ_ONLY = ("secret:read", "project:read", "target:read", "environment:read", "organization:read")
PULL = (*READ_ONLY, "key:retrieve")


def _aliases() -> dict[str, tuple[str, ...]]:
    changed = ("create", "update", "delete")
    aliases: dict[str, tuple[str, ...]] = {
        "secrets:read": ("secret:read",),
        "secrets:write": ("secret:write",),
        "encryption:read": ("key:retrieve",),
        "encryption:write": ("key:rotate",),
        "apikeys:read": ("api-token:read",),
        "apikeys:write": tuple(f"api-token:{action}" for action in changed),
    }
    for plural, singular in (
        ("projects", "project"),
        ("targets", "target"),
        ("environments", "environment"),
    ):
        aliases[f"{plural}:read"] = (f"{singular}:read",)
        aliases[f"{plural}:write"] = tuple(f"{singular}:{action}" for action in changed)
    for action in ("create", "read", "update", "delete"):
        aliases[f"env:{action}"] = (f"environment:{action}",)
    aliases["env:*"] = tuple(f"environment:{a}" for a in ("create", "read", "update", "delete"))
    return aliases


ALIASES = _aliases()


def parse(asked: Iterable[str]) -> list[str]:
    """Canonical abilities, in order, without repeats. Raises ValidationError naming bad ones."""
    found: dict[str, None] = {}
    unknown = []
    for ability in asked:
        if ability == "*" or ability in roles.ALL:
            found[ability] = None
        elif ability in ALIASES:
            found.update(dict.fromkeys(ALIASES[ability]))
        else:
            unknown.append(ability)
    if unknown:
        raise ValidationError({"abilities": f"Unknown abilities: {', '.join(unknown)}."})
    if not found:
        raise ValidationError({"abilities": "Name at least one ability."})
    return list(found)


def effective(abilities: Iterable[str]) -> frozenset[str]:
    """What a list of abilities comes to, `*` included."""
    held = frozenset(abilities)
    return (held - {"*"}) | roles.WILDCARD if "*" in held else held


@dataclass(frozen=True)
class Scope:
    """One permission narrowed to a node and everything below it."""

    permission: str
    project: uuid.UUID
    target: uuid.UUID | None = None
    environment: uuid.UUID | None = None

    def covers(
        self,
        project: uuid.UUID,
        target: uuid.UUID | None = None,
        environment: uuid.UUID | None = None,
    ) -> bool:
        """Whether the node with this path lies in the scope."""
        if self.project != project:
            return False
        if self.target is not None and self.target != target:
            return False
        return self.environment is None or self.environment == environment
