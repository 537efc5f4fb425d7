"""What an id is of that was pasted without saying: an entry, a request, a thing, an actor, or a key
by its fingerprint."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from django.db.models import Q
from django.db.models.query import QuerySet

from audit.models import Entry
from audit.questions import name_index
from audit.questions.querysets import of_requests
from keys.models import AccessToken, ApiKey, FormerToken

LONGEST_FINGERPRINT = 64


@dataclass(frozen=True)
class Pasted:
    """names: things and actors; unknown: what this log knows nothing of."""

    entries: Sequence[uuid.UUID] = ()
    requests: Sequence[uuid.UUID] = ()
    names: name_index.Found = field(default_factory=name_index.Found)
    unknown: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.entries or self.requests or self.names)

    @property
    def is_of_names_alone(self) -> bool:
        """No entry and no request, whose entries no index leads to by a key."""
        return bool(self.names) and not self.entries and not self.requests


def find(
    given: Sequence[tuple[str, uuid.UUID | str]],
    visible: QuerySet[Entry],
    organizations: Collection[uuid.UUID] | None,
) -> Pasted:
    """What these texts are, which were read as ids or fingerprints; within the tenant scope."""
    entries, requests, unknown = [], [], []
    names = name_index.Found()
    for text, key in given:
        keys = [key] if isinstance(key, uuid.UUID) else _with_fingerprint(key, organizations)
        found = name_index.with_ids(keys, organizations) if keys else name_index.Found()
        if isinstance(key, uuid.UUID):
            is_entry = visible.filter(pk=key).exists()
            is_request = visible.filter(of_requests([key])).exists()
            entries += [key] if is_entry else []
            requests += [key] if is_request else []
            found_any = is_entry or is_request or bool(found)
        else:
            found_any = bool(found)
        names |= found
        if not found_any:
            unknown.append(text)
    return Pasted(entries, requests, names, unknown)


def _with_fingerprint(digits: str, organizations: Collection[uuid.UUID] | None) -> list[uuid.UUID]:
    """The keys and tokens whose hash begins so, those included that an API key had formerly. Which
    of them the log knows, its own dictionary says."""
    digits = digits[:LONGEST_FINGERPRINT]
    even = digits[: len(digits) // 2 * 2]
    least = bytes.fromhex(even)
    begins = Q(token_hash__gte=least)
    past = int.from_bytes(least) + 1
    if past < 256 ** len(least):
        begins &= Q(token_hash__lt=past.to_bytes(len(least)))
    mine = Q() if organizations is None else Q(organization_id__in=organizations)
    found = [
        *ApiKey.objects.filter(begins, mine).values_list("pk", "token_hash"),
        *FormerToken.objects.filter(begins, mine).values_list("api_key_id", "token_hash"),
        *AccessToken.objects.filter(begins).values_list("pk", "token_hash"),
    ]
    return [key for key, token_hash in found if bytes(token_hash).hex().startswith(digits)]


def condition(pasted: Pasted) -> Q:
    """What has to do with any of it."""
    found = Q(pk__in=[])
    if pasted.entries:
        found |= Q(pk__in=pasted.entries)
    if pasted.requests:
        found |= of_requests(pasted.requests)
    if pasted.names.actors:
        found |= Q(actor_id__in=sorted(pasted.names.actors))
    if pasted.names.resources:
        found |= Q(resource_id__in=sorted(pasted.names.resources))
    return found
