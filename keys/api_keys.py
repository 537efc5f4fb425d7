"""API keys: made, changed, rotated, revoked, and recognized by their token."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Expression

from keys import abilities as ability_lists
from keys import tokens
from keys.abilities import Scope
from keys.models import ApiKey
from organizations import clock
from organizations.models import Organization, User
from organizations.permissions import NotHeldError
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
    granter: frozenset[str],
    granter_scopes: Sequence[Scope] = (),
    granter_inherits: bool = True,
    expires_at: dt.datetime | None = None,
    scopes: Sequence[Scope] = (),
    inherit_parents: bool = True,
    created_by: User | None = None,
) -> Issued:
    """Make a key. granter, granter_scopes, granter_inherits: the abilities of whoever makes it, the
    nodes that some of them are narrowed to, and whether the levels above those are read too; the
    key cannot exceed them.

    Raises ValidationError naming the field.
    """
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
    refuse_more_than_held(
        api_key,
        granter=granter,
        granter_scopes=granter_scopes,
        granter_inherits=granter_inherits,
    )
    api_key.full_clean(exclude=["number"])
    api_key.save(force_insert=True)
    return Issued(api_key, token)


@transaction.atomic
def update(
    api_key: ApiKey,
    changes: Mapping[str, Any],
    *,
    granter: frozenset[str],
    granter_scopes: Sequence[Scope] = (),
    granter_inherits: bool = True,
) -> ApiKey:
    """Change any of name, abilities, expires_at, scopes (of Scope), inherit_parents.

    Who changes what the key may do needs to hold it. Raises ValidationError naming the field.
    """
    api_key = ApiKey.objects.select_for_update().get(pk=api_key.pk)
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
        refuse_more_than_held(
            api_key,
            granter=granter,
            granter_scopes=granter_scopes,
            granter_inherits=granter_inherits,
        )
    api_key.full_clean(exclude=["number"])
    if changes:
        api_key.save(force_update=True)
    return api_key


@transaction.atomic
def rotate(api_key: ApiKey) -> Issued:
    """Give a key another secret; the old one dies at once."""
    api_key = ApiKey.objects.select_for_update().get(pk=api_key.pk)
    token = tokens.new(api_key.organization_id)
    api_key.token_hash = tokens.digest(token)
    api_key.rotated_at = clock.now()
    with act(Verb.ROTATE):
        api_key.save(update_fields={"token_hash", "rotated_at"})
    return Issued(api_key, token)


@transaction.atomic
def revoke(api_key: ApiKey) -> None:
    """Delete a key; its token stops working at once."""
    api_key.delete()


def recognize(token: str, **asked: Expression) -> ApiKey | None:
    """The key that `token` belongs to, expired or not; None when there is none. asked: what else
    to look up meanwhile, as attributes of the key.
    """
    mine = ApiKey.objects.select_related("organization").filter(token_hash=tokens.digest(token))
    return mine.annotate(**asked).order_by().first()


def refuse_more_than_held(
    api_key: ApiKey,
    *,
    granter: frozenset[str],
    granter_scopes: Sequence[Scope] = (),
    granter_inherits: bool = True,
) -> None:
    """Raise NotHeldError if the key can do what the granter cannot: more abilities, or one
    that the granter holds for some nodes only, for others or for the levels above them."""
    held = ability_lists.effective(api_key.abilities)
    missing = held - granter
    if missing:
        raise NotHeldError(
            {"abilities": f"You cannot grant what you do not hold: {', '.join(sorted(missing))}."}
        )
    scopes = [Scope.parse(stored) for stored in api_key.scopes]
    ability_lists.check_scopes(scopes, held)
    for ability in sorted(held & {scope.permission for scope in granter_scopes}):
        mine = [scope for scope in granter_scopes if scope.permission == ability]
        given = [scope for scope in scopes if scope.permission == ability]
        if not given or not all(any(m.contains(g) for m in mine) for g in given):
            raise NotHeldError(
                {"scoped_permissions": f"You hold {ability} for some nodes only; narrow it so too."}
            )
        reads_above = api_key.inherit_parents and not granter_inherits
        if reads_above and ability.startswith("secret:") and any(m.depth > 1 for m in mine):
            raise NotHeldError(
                {"inherit_parents": f"You hold {ability} without the levels above; use false."}
            )
