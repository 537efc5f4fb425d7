"""Who calls the API, and what that one may do where."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from keys import abilities
from keys.abilities import Scope
from keys.models import ApiKey
from organizations.models import Organization


@dataclass(frozen=True)
class Principal:
    """An API key at work: abilities it holds, some of them narrowed to nodes."""

    api_key: ApiKey
    organization: Organization
    abilities: frozenset[str]
    scopes: tuple[Scope, ...] = ()
    is_authenticated: bool = field(default=True, init=False)

    @classmethod
    def of(cls, api_key: ApiKey) -> Principal:
        return cls(
            api_key,
            api_key.organization,
            abilities.effective(api_key.abilities),
            tuple(Scope.parse(scope) for scope in api_key.scopes),
        )

    def scopes_of(self, ability: str) -> tuple[Scope, ...]:
        """The nodes that `ability` is narrowed to; empty when it is not narrowed."""
        return tuple(scope for scope in self.scopes if scope.permission == ability)

    def reaches(
        self,
        ability: str,
        project: uuid.UUID,
        target: uuid.UUID | None = None,
        environment: uuid.UUID | None = None,
    ) -> bool:
        """Whether the ability, once held, covers the node with this path."""
        scopes = self.scopes_of(ability)
        return not scopes or any(scope.covers(project, target, environment) for scope in scopes)

    def reaches_into(self, ability: str, *path: uuid.UUID) -> bool:
        """Whether the ability, once held, covers the node with this path or something below it."""
        scopes = self.scopes_of(ability)
        return not scopes or any(scope.leads_to(*path) for scope in scopes)
