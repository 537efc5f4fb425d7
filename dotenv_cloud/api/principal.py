"""Who calls the API, and what that one may do where."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace

from keys import abilities, authors
from keys.authors import Author
from keys.models import ApiKey
from organizations import ulid
from organizations.grants import Grant, Scope
from organizations.membership_access import find_belonging
from organizations.models import Organization, User

ANYWHERE = frozenset({"organization:create"})
"""What a person may do without belonging to any organization."""


@dataclass(frozen=True)
class Principal:
    """An API key or a person at work, with the abilities that count for this request.

    A key has its own organization, and abilities some of which may be narrowed to nodes. A person
    has the organization of the path, once `entering` it, with what the role there allows right now.
    """

    caller: ApiKey | User
    organization: Organization | None = None
    abilities: frozenset[str] = ANYWHERE
    scopes: tuple[Scope, ...] = ()
    inherits_parents: bool = True
    is_authenticated: bool = field(default=True, init=False)

    @classmethod
    def of(cls, caller: ApiKey | User) -> Principal:
        if isinstance(caller, User):
            return cls(caller)
        return cls(
            caller,
            caller.organization,
            abilities.effective(caller.abilities),
            tuple(Scope.parse(scope) for scope in caller.scopes),
            caller.inherit_parents,
        )

    def entering(self, reference: str) -> Principal | None:
        """The caller inside the organization with this ULID or slug; None when it is not the
        caller's to know."""
        if isinstance(self.caller, User):
            place = find_belonging(self.caller, reference)
            return replace(self, organization=place[0], abilities=place[1]) if place else None
        mine, key = self.caller.organization, ulid.parse_or_none(reference)
        is_mine = key == mine.pk if key else reference.lower() == mine.slug
        return self if is_mine else None

    @property
    def grant(self) -> Grant:
        """What the caller holds, and so can give."""
        return Grant(self.abilities, self.scopes, self.inherits_parents, self.caller.pk)

    @property
    def limited_as(self) -> uuid.UUID:
        """Whose requests are counted together: the organization's, or a person's outside of any."""
        return self.organization.pk if self.organization else self.caller.pk

    @property
    def user(self) -> User | None:
        """The person who calls; None for an API key."""
        return self.caller if isinstance(self.caller, User) else None

    @property
    def person(self) -> User | None:
        """Who answers for what is made: the person, or the creator of the key, unless gone."""
        return self.caller if isinstance(self.caller, User) else self.caller.created_by

    @property
    def author(self) -> Author:
        """As versions of secrets name who wrote them."""
        if isinstance(self.caller, User):
            return authors.of_user(self.caller)
        return authors.of_api_key(self.caller)

    def scopes_of(self, ability: str) -> tuple[Scope, ...]:
        """The nodes that `ability` is narrowed to; empty when it is not narrowed."""
        return self.grant.places_of(ability)

    def reaches(
        self,
        ability: str,
        project: uuid.UUID,
        target: uuid.UUID | None = None,
        environment: uuid.UUID | None = None,
    ) -> bool:
        """Whether the ability, once held, covers the node with this path."""
        return self.grant.reaches(ability, project, target, environment)

    def reaches_into(self, ability: str, *path: uuid.UUID) -> bool:
        """Whether the ability, once held, covers the node with this path or something below it."""
        return self.grant.reaches_into(ability, *path)

    def may_inside(self, ability: str, *path: uuid.UUID) -> bool:
        """Whether the ability is held, for the node with this path or something below it."""
        return ability in self.abilities and self.reaches_into(ability, *path)
