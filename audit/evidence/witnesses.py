"""Witnesses: whose cosignatures are kept, and what they saw.

An organization's witnesses are those that it lists; those of `heads` are in the settings. A
cosignature is verified before it is kept, and counts for the one checkpoint that it is on.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections, transaction

from audit.evidence import notes, reading
from audit.evidence.notes import HEADS, WitnessKey
from audit.models import Witness
from organizations import clock, labels
from organizations.models import Organization

MOST = 16
"""Witnesses of one organization."""
CLOCKS_DIFFER = 300
"""Seconds by which a witness's clock may be ahead of this one."""


class RefusedError(ValueError):
    """What was sent is not kept; the message says why."""


class Shown(NamedTuple):
    """A witness, and when it saw something; None: it has not."""

    name: str
    vkey: str
    seen_at: dt.datetime | None


def add(organization: Organization, vkey: str, url: str = "") -> Witness:
    """Raises RefusedError."""
    try:
        key = WitnessKey.parse(vkey)
    except notes.InvalidKeyError as error:
        raise RefusedError(str(error)) from None
    if len(key.vkey) > 300:
        raise RefusedError("The name of the key is too long.")
    try:
        labels.check(key.name)
    except ValidationError as error:
        raise RefusedError(f"The name of the key cannot be shown: {error.messages[0]}") from None
    # One after the other, so that there are never more.
    Organization.objects.select_for_update().get(pk=organization.pk)
    if Witness.objects.filter(organization=organization).count() >= MOST:
        raise RefusedError(f"There are {MOST} witnesses, which is the most. Remove one first.")
    try:
        with transaction.atomic():
            return Witness.objects.create(
                organization=organization, name=key.name, vkey=key.vkey, url=url
            )
    except IntegrityError:
        raise RefusedError("This key is that of a witness already.") from None


def remove(witness: Witness) -> None:
    """Its cosignatures stay."""
    witness.delete()


def keys_of(log: uuid.UUID) -> list[WitnessKey]:
    """The keys whose cosignatures on this log's checkpoints are kept."""
    if log == HEADS:
        return [WitnessKey.parse(vkey) for vkey, _ in settings.AUDIT_WITNESSES]
    found = Witness.objects.filter(organization_id=log).values_list("vkey", flat=True)
    return [WitnessKey.parse(vkey) for vkey in found]


def cosign(log: uuid.UUID, text: str, lines: Sequence[str]) -> int:
    """Keep the cosignatures, on the checkpoint with this text, that are by witnesses of the log;
    how many these were. Within the tenant scope. Raises RefusedError."""
    found = notes.checkpoint_in(text)
    checkpoint = reading.of_size(log, found[1]) if found else None
    if checkpoint is None or notes.text_of(checkpoint.note) != text:
        raise RefusedError("This is not a checkpoint of the log that is stored here.")
    latest = clock.now().timestamp() + CLOCKS_DIFFER
    known = keys_of(log)
    kept = 0
    for line in lines:
        for key in known:
            try:
                at = key.seen_at(text, line)
            except InvalidSignature:
                raise RefusedError(f"The cosignature of {key.name} is wrong.") from None
            if at is None:
                continue
            if not 0 < at <= latest:
                raise RefusedError(
                    f"The cosignature of {key.name} is of the future, or of no time."
                )
            kept += _keep(log, checkpoint.size, key, line, at)
    if not kept:
        raise RefusedError("None of the signatures is by a witness of this log.")
    return kept


def _keep(log: uuid.UUID, size: int, key: WitnessKey, line: str, at: int) -> bool:
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT audit_cosign(%s, %s, %s, %s, %s)",
            [log, size, key.vkey, line, dt.datetime.fromtimestamp(at, dt.UTC)],
        )
        [is_kept] = cursor.fetchone()
    return bool(is_kept)


# A log has a cosignature a minute of each witness: those of one witness are read by an index, from
# the end that is asked for.
_COVERING = """
WITH RECURSIVE witness AS (
    (SELECT vkey FROM audit_cosignature WHERE organization_id = %(log)s ORDER BY vkey LIMIT 1)
    UNION ALL
    SELECT (SELECT c.vkey FROM audit_cosignature c WHERE c.organization_id = %(log)s
        AND c.vkey > witness.vkey ORDER BY c.vkey LIMIT 1)
    FROM witness WHERE witness.vkey IS NOT NULL
)
SELECT witness.vkey, seen.first_at FROM witness CROSS JOIN LATERAL (
    SELECT c.first_at FROM audit_cosignature c WHERE c.organization_id = %(log)s
    AND c.vkey = witness.vkey AND c.size >= %(seq)s ORDER BY c.size LIMIT 1
) AS seen
"""
_LAST_SEEN = """
SELECT witness.vkey, seen.size, seen.seen_at FROM unnest(%(vkeys)s::text[]) AS witness (vkey)
CROSS JOIN LATERAL (
    SELECT c.size, c.seen_at FROM audit_cosignature c WHERE c.organization_id = %(log)s
    AND c.vkey = witness.vkey ORDER BY c.size DESC LIMIT 1
) AS seen
"""


def covering(log: uuid.UUID, seq: int, using: str = "default") -> list[Shown]:
    """Who saw, and when first, a checkpoint that covers an entry: those that saw it first."""
    with connections[using].cursor() as cursor:
        cursor.execute(_COVERING, {"log": log, "seq": seq})
        rows = sorted(cursor.fetchall(), key=lambda row: row[1])
    return [Shown(vkey.split("+", 1)[0], vkey, at) for vkey, at in rows]


def last_seen(log: uuid.UUID) -> list[tuple[Shown, int]]:
    """Each witness of the log with the largest checkpoint that it saw, and its size; 0: none."""
    keys = keys_of(log)
    with connections["default"].cursor() as cursor:
        cursor.execute(_LAST_SEEN, {"log": log, "vkeys": [key.vkey for key in keys]})
        rows = {vkey: (size, at) for vkey, size, at in cursor.fetchall()}
    found = []
    for key in keys:
        size, at = rows.get(key.vkey, (0, None))
        found.append((Shown(key.name, key.vkey, at), size))
    return found
