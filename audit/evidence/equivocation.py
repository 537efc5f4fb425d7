"""Checkpoints that others bring: of a log that signed more, or something else, than it has now.

The database and the worker's memory can both be set back. Then those who kept a checkpoint are the
only memory there is: what one of them brings, if it is signed by a key of this installation, ends
the signing of that log.
"""

from __future__ import annotations

from enum import StrEnum

from django.db import connections

from audit.evidence import notes, reading, signing
from organizations.models import Organization


class Seen(StrEnum):
    CONTINUED = "continued"
    """The log has these entries, and more or no more."""
    STOPPED = "stopped"
    """It does not: it is not signed any more."""


class NotOursError(ValueError):
    """No key of this installation signed it as a checkpoint of this log; the message says so."""


def compare(organization: Organization, note: str) -> tuple[Seen, int, bool]:
    """What a checkpoint says of the log, its size, and whether that was not known before. Within
    the tenant scope. Raises NotOursError."""
    log = organization.pk
    origin = signing.origin(log, reading.fork(log))
    opened = notes.opened(note)
    found = notes.checkpoint_in(opened[0]) if opened else None
    public = [key.public for key in reading.signing_keys()]
    if found is None or found[0] != origin or not notes.is_signed_by(note, origin, public):
        raise NotOursError(f"This is not a checkpoint of {origin} that this service signed.")
    _, size, root = found
    if reading.continues(log, size, root):
        return Seen.CONTINUED, size, False
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT audit_stop_signing(%s, %s, %s, %s)", [log, origin, size, note])
        [is_new] = cursor.fetchone()
    return Seen.STOPPED, size, is_new
