"""Saved views: questions to the log with a name, of one's own or of the organization."""

from __future__ import annotations

import uuid

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import QueryDict

from audit.models import SavedView
from audit.questions.asking import ask
from audit.questions.filters import ELSEWHERE, POSITION, canonical
from organizations.models import Organization, User

MOST = 50
"""Views that one person keeps in an organization."""
LONGEST_QUERY = 4000


def visible_to(user: User, organization: Organization) -> QuerySet[SavedView]:
    """The person's own views and those shared, by name; who asks has checked `audit:read`."""
    return (
        SavedView.objects.filter(organization=organization)
        .filter(Q(user=user) | Q(is_shared=True))
        .order_by("name", "id")
    )


def changeable_by(
    user: User, organization: Organization, *, may_share: bool
) -> QuerySet[SavedView]:
    """Of those, what the person may change: what is shared only with the right to share."""
    seen = visible_to(user, organization)
    return seen if may_share else seen.filter(is_shared=False)


@transaction.atomic
def save(
    organization: Organization, user: User, name: str, query: str, *, is_shared: bool
) -> SavedView:
    """Keep a question under a name. Raises ValidationError, for a question that is none too."""
    question = as_question(organization, query)
    owner = User.objects.select_for_update(no_key=True).get(pk=user.pk)  # counts in turn
    if SavedView.objects.filter(organization=organization, user=owner).count() >= MOST:
        raise ValidationError(f"You already have {MOST} saved views. Delete one first.")
    _refuse_taken(organization, user.pk, name)
    return SavedView.objects.create(
        organization=organization, user=user, name=name, query=question, is_shared=is_shared
    )


def change(view: SavedView, name: str, *, is_shared: bool) -> None:
    """Give a view another name, or share it, or share it no longer."""
    _refuse_taken(view.organization, view.user_id, name, but=view)
    view.name, view.is_shared = name, is_shared
    view.save(update_fields=["name", "is_shared"])


def delete(view: SavedView) -> None:
    view.delete()


def as_question(organization: Organization, query: str) -> str:
    """A query string as it is kept: without a place in the list, and checked by the filter."""
    if len(query) > LONGEST_QUERY:
        raise ValidationError({"query": "This query is too long to save. Use fewer filters."})
    given = QueryDict(query, mutable=True)
    for name in (*POSITION, *ELSEWHERE, "counts", "ask"):
        given.pop(name, None)
    asked = ask([organization], given)
    if not asked.is_valid():
        raise ValidationError(
            {"query": [f"{name}: {text}" for name, texts in asked.errors.items() for text in texts]}
        )
    if not asked.params.keys() - {"tz"}:
        raise ValidationError({"query": "Add a filter first: this is the whole log."})
    return canonical(asked.params)


def _refuse_taken(
    organization: Organization, user_id: uuid.UUID, name: str, but: SavedView | None = None
) -> None:
    taken = SavedView.objects.filter(organization=organization, user_id=user_id, name__iexact=name)
    if but is not None:
        taken = taken.exclude(pk=but.pk)
    if taken.exists():
        raise ValidationError(
            {"name": "A view with this name already exists. Choose another name."}
        )
