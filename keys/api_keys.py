"""API keys: made, changed, rotated, revoked, and recognized by their token."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Expression

from keys import abilities as ability_lists
from keys import former_tokens, tokens
from keys.models import ApiKey, FormerToken
from organizations import clock, emails, labels, permissions
from organizations.grants import Grant, Scope, refuse_more_than_held
from organizations.models import Organization, User
from organizations.signals import Verb, act


class Issued(NamedTuple):
    """`token` is shown once and kept nowhere."""

    api_key: ApiKey
    token: str


@transaction.atomic
def create(
    organization: Organization,
    name: str,
    abilities: Iterable[str],
    *,
    granter: Grant,
    expires_at: dt.datetime | None = None,
    scopes: Sequence[Scope] = (),
    inherit_parents: bool = True,
    created_by: User | None = None,
) -> Issued:
    """Make a key. granter: what its creator holds; the key cannot exceed that.

    Raises ValidationError naming the field.
    """
    _refuse_who_left(organization.pk, created_by)
    _refuse_misleading(name)
    token = tokens.new(organization.pk)
    api_key = ApiKey(
        organization=organization,
        name=name,
        token_hash=tokens.digest(token),
        abilities=ability_lists.parse(abilities),
        scopes=[scope.stored() for scope in scopes],
        inherit_parents=inherit_parents,
        expires_at=tokens.in_future(expires_at),
        created_by=created_by,
    )
    _check(api_key, granter)
    api_key.full_clean(exclude=["number"])
    api_key.save(force_insert=True)
    return Issued(api_key, token)


@transaction.atomic
def update(
    api_key: ApiKey,
    changes: Mapping[str, Any],
    *,
    granter: Grant,
) -> ApiKey:
    """Change any of name, abilities, expires_at, scopes (of Scope), inherit_parents.

    Who changes what the key may do needs to hold it. Raises ValidationError naming the field.
    """
    api_key = ApiKey.objects.select_for_update().get(pk=api_key.pk)
    _refuse_out_of_place(api_key, granter)
    if "name" in changes:
        _refuse_misleading(changes["name"])
    for name, value in changes.items():
        match name:
            case "abilities":
                value = ability_lists.parse(value)
            case "scopes":
                value = [scope.stored() for scope in value]
            case "expires_at":
                value = tokens.in_future(value)
            case "name" | "inherit_parents":
                pass
            case _:
                raise ValidationError({name: "This field cannot be changed."})
        setattr(api_key, name, value)
    if {"abilities", "scopes", "inherit_parents", "expires_at"} & set(changes):
        _check(api_key, granter)
    api_key.full_clean(exclude=["number"])
    if changes:
        api_key.save(force_update=True)
    return api_key


@transaction.atomic
def rotate(api_key: ApiKey, *, granter: Grant, rotated_by: User | None = None) -> Issued:
    """Give a key another secret, which is as much as giving the key; the old one dies at once.

    rotated_by: who is shown it. Raises NotHeldError."""
    _refuse_who_left(api_key.organization_id, rotated_by)
    # Locked before it is checked, or it could be widened in between.
    api_key = ApiKey.objects.select_for_update().get(pk=api_key.pk)
    _check(api_key, granter)
    token = tokens.new(api_key.organization_id)
    former_tokens.keep(api_key, FormerToken.End.ROTATED)
    api_key.token_hash = tokens.digest(token)
    api_key.rotated_at = clock.now()
    api_key.rotated_by = rotated_by
    with act(Verb.ROTATE):
        api_key.save(update_fields={"token_hash", "rotated_at", "rotated_by"})
    return Issued(api_key, token)


@transaction.atomic
def revoke(api_key: ApiKey, *, granter: Grant) -> None:
    """Delete a key; its token stops working at once. One that can do more than the granter may be
    revoked too, as a leaked key cannot wait, but not one for places beyond the granter's."""
    _refuse_out_of_place(api_key, granter)
    # As it is now: it could have been rotated since it was looked at.
    api_key = ApiKey.objects.select_for_update().get(pk=api_key.pk)
    former_tokens.keep(api_key, FormerToken.End.REVOKED)
    api_key.delete()


def recognize(token: str, **asked: Expression) -> ApiKey | None:
    """The key that `token` belongs to, expired or not; None when there is none. asked: what else
    to look up meanwhile, as attributes of the key.
    """
    mine = ApiKey.objects.select_related("organization").filter(token_hash=tokens.digest(token))
    return mine.annotate(**asked).order_by().first()


def held_by(api_key: ApiKey) -> Grant:
    """What a key holds, and where."""
    return Grant(
        ability_lists.effective(api_key.abilities),
        tuple(Scope.parse(scope) for scope in api_key.scopes),
        api_key.inherit_parents,
        api_key.pk,
    )


RESERVED = frozenset(("api_key", "api key", *("anonymous", "database", "system", "user")))
"""What kinds of actors are called, in any case."""


def _refuse_misleading(name: str) -> None:
    """Raise ValidationError for a name that reads as someone else in the log."""
    form = labels.looks_like(name)
    if form in RESERVED or emails.is_address(form):
        raise ValidationError(
            {"name": "Do not name a key like an e-mail address or a kind of actor."}
        )


def _refuse_who_left(organization_id: uuid.UUID, person: User | None) -> None:
    """Raise ValidationError if the person is shown a token of an organization that they have left
    since they were let in. Until this transaction ends, nobody who has one leaves it:
    removing a member locks the organization before looking for their keys."""
    if person is None:
        return
    Organization.objects.select_for_update(no_key=True).get(pk=organization_id)
    here = permissions.people_in([organization_id])
    if not User.objects.filter(here, pk=person.pk).exists():
        raise ValidationError("You do not belong to this organization any more.")


def _check(api_key: ApiKey, granter: Grant) -> None:
    given = held_by(api_key)
    ability_lists.check_scopes(given.scopes, given.abilities)
    refuse_more_than_held(granter, given)


def _refuse_out_of_place(api_key: ApiKey, granter: Grant) -> None:
    """Raise NotHeldError if the key reaches nodes that the granter's own abilities do not."""
    refuse_more_than_held(granter, held_by(api_key).shared_with(granter), "api_key")
