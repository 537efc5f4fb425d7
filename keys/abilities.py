"""Abilities of API keys: reading what clients ask for, and narrowing them to nodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from organizations import roles, ulid

READ_ONLY = ("secret:read", "project:read", "target:read", "environment:read", "organization:read")
PULL = (*READ_ONLY, "key:retrieve")
PUSH = (*PULL, "secret:write")

MOST_ABILITIES = 100
MOST_SCOPES = 200
"""How many abilities, and how many narrowings, one key may name."""


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


LEVELS = ("project", "target", "environment")

SCOPABLE: dict[str, range] = {
    **{a: range(1, 4) for a in roles.ALL if a.split(":")[0] in ("secret", "key")},
    **{
        f"{level}:{action}": range(number, number + 1)
        for number, level in enumerate(LEVELS, start=1)
        for action in ("read", "update", "delete")
    },
}
"""Abilities that can be narrowed, with how many levels a path may name."""


def check_scopes(scopes: Iterable[Scope], held: frozenset[str]) -> None:
    """Raise ValidationError unless each scope narrows an ability that can be, and that is held."""
    scopes = list(scopes)
    if len(scopes) > MOST_SCOPES:
        raise ValidationError(
            {"scoped_permissions": f"Narrow a key in at most {MOST_SCOPES} ways."}
        )
    for number, scope in enumerate(scopes):
        if scope in scopes[:number]:
            where = f"scoped_permissions.{number}"
            raise ValidationError({where: "This narrowing is listed twice."})
        where = f"scoped_permissions.{number}.permission"
        if scope.permission not in SCOPABLE:
            raise ValidationError({where: f"{scope.permission} cannot be narrowed to a node."})
        if scope.permission not in held:
            raise ValidationError({where: f"{scope.permission} is not among the abilities."})
        if scope.depth not in SCOPABLE[scope.permission]:
            needed = " and ".join(LEVELS[: SCOPABLE[scope.permission].start])
            raise ValidationError({where: f"{scope.permission} is narrowed by {needed}."})


@dataclass(frozen=True)
class Scope:
    """One permission narrowed to a node and everything below it."""

    permission: str
    project: uuid.UUID
    target: uuid.UUID | None = None
    environment: uuid.UUID | None = None

    @property
    def depth(self) -> int:
        return sum(getattr(self, level) is not None for level in LEVELS)

    def stored(self) -> dict[str, str]:
        """As `ApiKey.scopes` holds it."""
        nodes = {level: getattr(self, level) for level in LEVELS}
        return {"permission": self.permission} | {
            level: ulid.to_text(key) for level, key in nodes.items() if key is not None
        }

    @classmethod
    def parse(cls, stored: Mapping[str, str]) -> Scope:
        """The scope that `ApiKey.scopes` holds."""
        nodes = {name: ulid.parse(stored[name]) for name in LEVELS if stored.get(name)}
        return cls(stored["permission"], **nodes)

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

    def leads_to(
        self,
        project: uuid.UUID,
        target: uuid.UUID | None = None,
        environment: uuid.UUID | None = None,
    ) -> bool:
        """Whether the node with this path lies in the scope, or above something that does."""
        return (
            self.project == project
            and (target is None or self.target in (None, target))
            and (environment is None or self.environment in (None, environment))
        )

    def contains(self, other: Scope) -> bool:
        """Whether everything that `other` covers lies in this one too."""
        return all(
            getattr(self, level) is None or getattr(self, level) == getattr(other, level)
            for level in LEVELS
        )
