"""What somebody holds and where, and the one rule about giving: nobody gives, or takes away, more.

Whatever grants (a role, an invitation, an API key, a switch of the organization), and whatever
reaches all of an organization or of a node, asks `refuse_more_than_held`. It compares abilities and
places: an API key that is narrowed to one environment can grant nothing for the others, nor delete
them with what they are below.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from organizations import roles, ulid

LEVELS = ("project", "target", "environment")

TO_CHANGE_RETENTION = frozenset({"secret:history", "secret:restore"})
"""What a change of `history_retention_days` amounts to in each node: it locks and unlocks
versions."""
TO_DELETE = frozenset(
    {"project:delete", "target:delete", "environment:delete", "secret:write", "secret:purge"}
)
"""What deleting an organization, or a node, amounts to in each node that goes with it."""


class NotHeldError(ValidationError):
    """Someone tried to give, or to take, more than they hold themselves."""


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


@dataclass(frozen=True)
class Grant:
    """Abilities, each for the whole organization unless scopes narrow it.

    inherits: whether levels above a scope are read too. holder: the person or API key.
    """

    abilities: frozenset[str]
    scopes: tuple[Scope, ...] = ()
    inherits: bool = True
    holder: uuid.UUID | None = None

    def places_of(self, ability: str) -> tuple[Scope, ...]:
        """The nodes that the ability is narrowed to; empty when it is not narrowed."""
        return tuple(scope for scope in self.scopes if scope.permission == ability)

    def reaches(
        self,
        ability: str,
        project: uuid.UUID,
        target: uuid.UUID | None = None,
        environment: uuid.UUID | None = None,
    ) -> bool:
        """Whether the ability, once held, covers the node with this path."""
        places = self.places_of(ability)
        return not places or any(place.covers(project, target, environment) for place in places)

    def reaches_into(self, ability: str, *path: uuid.UUID) -> bool:
        """Whether the ability, once held, covers the node with this path or something below it."""
        places = self.places_of(ability)
        return not places or any(place.leads_to(*path) for place in places)

    def shared_with(self, other: Grant) -> Grant:
        """This, of the abilities that the other has too: to compare their places alone."""
        return Grant(self.abilities & other.abilities, self.scopes, self.inherits)

    def held_at(self, abilities: Iterable[str], **node: uuid.UUID) -> Grant:
        """Of these abilities those that are held, for all of one node, or, without one, for all of
        the organization: what an act that reaches so far takes of them."""
        held = self.abilities.intersection(abilities)
        return Grant(held, tuple(Scope(ability, **node) for ability in held) if node else ())


EVERYTHING = Grant(roles.ALL)
"""For commands and tests, which nobody keeps from anything."""


def refuse_more_than_held(granter: Grant, given: Grant, field: str | None = None) -> None:
    """Raise NotHeldError if `given` exceeds what the granter holds: by more abilities, or by one
    that the granter holds for some nodes only, for others or for the levels above them.

    field: what the error is about, if not the field of an API key that is too much.
    """
    missing = given.abilities - granter.abilities
    if missing:
        text = f"You cannot grant abilities that you do not have: {_some(missing)}."
        raise NotHeldError({field or "abilities": text})
    for ability in sorted(given.abilities):
        mine = granter.places_of(ability)
        if not mine:
            continue
        theirs = given.places_of(ability)
        if not theirs or not all(any(m.contains(g) for m in mine) for g in theirs):
            text = f"You have {ability} only for some nodes, so you have to restrict it in the"
            " same way."
            raise NotHeldError({field or "scoped_permissions": text})
        reads_above = given.inherits and not granter.inherits
        if reads_above and ability.startswith("secret:") and any(m.depth > 1 for m in mine):
            text = f"You have {ability} without the levels above: use false."
            raise NotHeldError({field or "inherit_parents": text})


def _some(abilities: frozenset[str]) -> str:
    named = sorted(abilities)
    return ", ".join(named[:10]) + ("…" if len(named) > 10 else "")
