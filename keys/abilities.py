"""Abilities of API keys: reading what clients ask for, and narrowing them to nodes."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.exceptions import ValidationError

from organizations import roles
from organizations.grants import LEVELS, Scope

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
            {"scoped_permissions": f"Restrict a key in at most {MOST_SCOPES} ways."}
        )
    for number, scope in enumerate(scopes):
        if scope in scopes[:number]:
            where = f"scoped_permissions.{number}"
            raise ValidationError({where: "This restriction is listed twice."})
        where = f"scoped_permissions.{number}.permission"
        if scope.permission not in SCOPABLE:
            raise ValidationError({where: f"{scope.permission} cannot be restricted to a node."})
        if scope.permission not in held:
            raise ValidationError({where: f"{scope.permission} is not among the abilities."})
        if scope.depth not in SCOPABLE[scope.permission]:
            needed = " and ".join(LEVELS[: SCOPABLE[scope.permission].start])
            raise ValidationError({where: f"{scope.permission} is restricted with {needed}."})
