"""Who may do what in an organization, now or at any moment: what is stored today, and of what the
log says has changed since, the undoing.

Backwards, so that a log whose beginning retention removed answers as well as a whole one. What is
stored is read first: undoing an entry of a change that was not stored yet then changes nothing, as
each says what there was before it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from audit.entry.recorded_json import Unreadable
from audit.models import Entry
from audit.questions import tenant_scope
from keys import api_keys
from keys.models import ApiKey
from organizations import permissions, ulid
from organizations.grants import Grant
from organizations.models import (
    Membership,
    Organization,
    OrganizationUserObjectPermission,
    User,
)
from organizations.roles import Role

MOST = 50_000
"""Entries that are undone, at most."""
_MILLISECOND = dt.timedelta(milliseconds=1)


class TooManyChangesError(Exception):
    """More than MOST entries changed access since the moment."""


class Holder(NamedTuple):
    """A person or API key that could do something. by: role, groups, or how many abilities."""

    kind: str
    id: uuid.UUID
    name: str
    also: str
    grant: Grant
    by: tuple[str, ...]
    expires_at: dt.datetime | None


class Access(NamedTuple):
    """holders: in order of kind and name. entries: how many were undone; unknown: how many of them
    do not say what they changed, as it was erased or cannot be read."""

    holders: list[Holder]
    entries: int
    unknown: int


@dataclass
class _Person:
    email: str
    name: str = ""
    is_active: bool = True
    role: str = ""
    own: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)


def access(organization: Organization, at: dt.datetime | None = None) -> Access:
    """Who could do what at the end of the millisecond `at`; None: now. Within a transaction whose
    tenant scope it enters, on the primary: a replica's log may end before what is stored.

    Raises TooManyChangesError.
    """
    state = _State(organization)
    undone = unknown = 0
    if at is not None:
        entries = _since(organization, at)
        state.add_leavers(organization, entries)
        undone = len(entries)
        unknown = sum(not state.undo(entry) for entry in entries)
    return Access(list(state.holders(at)), undone, unknown)


def _since(organization: Organization, at: dt.datetime) -> list[Entry]:
    """Entries of changes of access after a moment, newest first."""
    tenant_scope.enter([organization.pk])
    log = Entry.objects.filter(
        organization_id=organization.pk, id__gte=ulid.floor(at + _MILLISECOND), result="success"
    )
    # Each by an index of its own. What people do with accounts is mostly signing in.
    parts = (
        log.filter(action__in=("grant", "revoke"), resource_type__in=("user", "organization")),
        log.filter(resource_type="membership"),
        log.filter(resource_type="api_key").exclude(action__in=("first_use", "new_address")),
        log.filter(resource_type="user", action__in=("update", "delete", "create")),
    )
    found = [entry for part in parts for entry in part.order_by()[: MOST + 1]]
    if len(found) > MOST:
        raise TooManyChangesError(f"More than {MOST:,} entries changed access since then.")
    return sorted(found, key=lambda entry: entry.id, reverse=True)


class _State:
    """What is stored now, and then what was."""

    def __init__(self, organization: Organization) -> None:
        self.people: dict[uuid.UUID, _Person] = {}
        self.members: dict[uuid.UUID, uuid.UUID] = {}
        """Person by membership, those that ended since the moment included."""
        self.groups: dict[str, set[str]] = {}
        self.keys: dict[uuid.UUID, ApiKey] = {}
        """Rows that are never saved: of those deleted since, made anew of what the log says."""
        for membership in Membership.objects.filter(organization=organization).select_related(
            "user"
        ):
            self.members[membership.pk] = membership.user_id
            self._person(membership.user).role = membership.role
        own = OrganizationUserObjectPermission.objects.filter(content_object=organization)
        for each in own.select_related("user", "permission"):
            self._person(each.user).own.add(each.permission.codename)
        for group in permissions.group_grants(organization):
            self.groups[group.name] = set(group.abilities)
            for user in group.people:
                self._person(user).groups.add(group.name)
        for key in ApiKey.objects.filter(organization=organization):
            self.keys[key.pk] = key

    def _person(self, user: User) -> _Person:
        made = _Person(user.email, user.name, user.is_active)
        return self.people.setdefault(user.pk, made)

    def _named(self, key: uuid.UUID, email: str) -> _Person:
        return self.people.setdefault(key, _Person(email))

    def add_leavers(self, organization: Organization, entries: Iterable[Entry]) -> None:
        """Take in those whom the entries are about and who hold nothing any more, as they were when
        they left. What became of an account since is not this organization's business and not in
        its log, so the log says whether it was active, not the account."""
        gone = {
            key: entry.resource_label
            for entry in entries
            if entry.resource_type == "user"
            and (key := entry.resource_id) is not None
            and key not in self.people
        }
        for key, email in gone.items():
            self.people[key] = _Person(email)
        updates = Entry.objects.filter(
            organization_id=organization.pk,
            resource_type="user",
            resource_id__in=gone,
            action="update",
        )
        for entry in updates.order_by("id") if gone else ():
            if entry.resource_id is not None and entry.changes.get("is_active"):
                self.people[entry.resource_id].is_active = entry.changes["is_active"][1]

    # -- Undoing

    def undo(self, entry: Entry) -> bool:
        """Make this the state before an entry; False if it does not say what it changed."""
        key, changes = entry.resource_id, entry.changes
        if "detail" in entry.erased or isinstance(changes, Unreadable) or key is None:
            return False
        match entry.resource_type:
            case "user":
                self._undo_person(key, entry, changes)
            case "organization":
                self._undo_groups(changes)
            case "membership":
                return self._undo_membership(key, entry.resource_label, changes)
            case "api_key":
                self._undo_key(key, entry, changes)
        return True

    def _undo_person(self, key: uuid.UUID, entry: Entry, changes: dict[str, Any]) -> None:
        person = self._named(key, entry.resource_label)
        if entry.action in ("grant", "revoke"):
            _undo_links(person.own, changes.get("permissions"))
            _undo_links(person.groups, changes.get("groups"))
            return
        for name in ("email", "name", "is_active"):
            if changes.get(name):
                setattr(person, name, changes[name][0])

    def _undo_groups(self, changes: dict[str, Any]) -> None:
        before, after = changes.get("group_permissions") or ((), ())
        for text, is_added in [(t, True) for t in after] + [(t, False) for t in before]:
            group, _, ability = text.rpartition(": ")
            held = self.groups.setdefault(group, set())
            (held.discard if is_added else held.add)(ability)

    def _undo_membership(self, key: uuid.UUID, email: str, changes: dict[str, Any]) -> bool:
        user = self.members.get(key)
        if changes.get("user_id"):
            user = next(ulid.parse(each) for each in changes["user_id"] if each)
            self.members[key] = user
        if user is None:
            return False
        if changes.get("role"):
            person = self._named(user, email)
            person.role = changes["role"][0] or ""
        return True

    def _undo_key(self, key: uuid.UUID, entry: Entry, changes: dict[str, Any]) -> None:
        if entry.action == "create":
            self.keys.pop(key, None)
            return
        token = self.keys.setdefault(key, ApiKey(id=key, name=entry.resource_label))
        for name in ("name", "abilities", "scopes", "inherit_parents", "expires_at"):
            if changes.get(name):
                before = changes[name][0]
                if name == "expires_at":
                    before = before and dt.datetime.fromisoformat(before)
                setattr(token, name, before)

    # -- Reading

    def holders(self, at: dt.datetime | None) -> Iterator[Holder]:
        """Those who can do anything, at a moment; None: now."""
        at = at or dt.datetime.now(dt.UTC)
        people = sorted(self.people.items(), key=lambda each: (each[1].email.casefold(), each[0]))
        for key, person in people:
            granting = sorted(name for name in person.groups if self.groups.get(name))
            held = person.own.union(*(self.groups[name] for name in granting))
            if held and person.is_active:
                role = [f"role {Role(person.role).label}"] if person.role in Role.values else []
                by = (*role, *(f"group {name}" for name in granting))
                grant = Grant(frozenset(held), holder=key)
                yield Holder("user", key, person.name, person.email, grant, by, None)
        for token in sorted(self.keys.values(), key=lambda each: (each.name, each.pk)):
            if token.expires_at is None or token.expires_at > at:
                grant, ends = api_keys.held_by(token), token.expires_at
                yield Holder("api_key", token.pk, token.name, "", grant, (), ends)


def _undo_links(held: set[str], change: Any) -> None:
    """Undo what a grant added or a revocation removed."""
    before, after = change or ((), ())
    held.difference_update(_each(after))
    held.update(_each(before))


def _each(names: Iterable[str] | None) -> Iterable[str]:
    return names or ()


READ = ("secret:read", "secret:decrypt")


def holds(grant: Grant, ability: str, node: Sequence[uuid.UUID]) -> bool:
    """Whether somebody has an ability for a node (the ids of its project, target and environment),
    as a request is decided. The key of a project is retrieved by whoever may for a part of it. A
    level above one that an API key is narrowed to is read with it, unless that says otherwise."""
    if ability not in grant.abilities:
        return False
    if ability == "key:retrieve":
        return grant.reaches_into(ability, node[0])
    if grant.inherits and ability in READ:
        return grant.reaches_into(ability, *node)
    return grant.reaches(ability, *node)
