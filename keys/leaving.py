"""A member goes: what becomes of the API keys whose tokens they were shown is decided with it, and
recorded."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from keys import api_keys
from keys.models import ApiKey
from organizations import members
from organizations.grants import Grant, NotHeldError
from organizations.models import Membership, Organization, User
from organizations.roles import Role


class KeysOfLeaver(StrEnum):
    REVOKE = "revoke"
    HAND_OVER = "hand_over"


def keys_made_by(membership: Membership) -> QuerySet[ApiKey]:
    """The API keys of the organization that the member made, or rotated, those used last first."""
    mine = ApiKey.objects.filter(
        Q(created_by=membership.user_id) | Q(rotated_by=membership.user_id),
        organization=membership.organization_id,
    )
    return mine.order_by("-last_used_at", "name", "id")


@transaction.atomic
def remove(
    membership: Membership,
    keys: KeysOfLeaver,
    *,
    granter: Grant | None = None,
    heir: User | None = None,
) -> int:
    """End a membership, and revoke or hand over the keys they made; how many those were.

    granter: None when the member leaves of their own accord. heir: who answers from here on for
    the keys that they made; an owner, unless a member is named. Raises ValidationError; then
    nothing changed.
    """
    # First: who is shown a token holds it meanwhile.
    Organization.objects.select_for_update().get(pk=membership.organization_id)
    made = list(keys_made_by(membership).select_for_update(of=("self",)).order_by("pk"))
    facts: dict[str, Any] = {}
    if made:
        facts = {"api_keys": keys.value, "count": len(made)}
    if made and keys == KeysOfLeaver.HAND_OVER:
        successor = _successor(membership, heir)
        facts["heir"] = successor.email if successor else "nobody"
        for key in made:
            if key.created_by_id == membership.user_id:
                key.created_by = successor
                key.save(update_fields={"created_by"})
    elif made:
        _revoke(made, granter)
    members.remove(membership, granter=granter, facts=facts)
    return len(made)


def _revoke(keys: list[ApiKey], granter: Grant | None) -> None:
    if granter is not None and "api-token:delete" not in granter.abilities:
        raise NotHeldError({"api_keys": "You may not revoke API keys: hand them over."})
    for key in keys:
        # Those who leave may end what they began.
        api_keys.revoke(key, granter=granter or api_keys.held_by(key))


def _successor(membership: Membership, heir: User | None) -> User | None:
    others = (
        Membership.objects.filter(organization=membership.organization_id, user__is_active=True)
        .exclude(user=membership.user_id)
        .select_related("user")
        .order_by("created_at", "id")
    )
    named = others.filter(user=heir).first() if heir else None
    found = named or others.filter(role=Role.OWNER).first()
    return found.user if found else None
