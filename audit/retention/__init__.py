"""Retention: old months leave the ledger, archived first.

`months` says what may go, `holds` what may not, `archive` writes and reads the files, `remainder`
is what stays of a month, `removal` takes it out, `dropping` drops what was taken out, and `floor`
tells who asks what is missing. All but `floor` work as the owner's role.
"""

from __future__ import annotations


class RetentionError(Exception):
    """It cannot go on; the message says why and what to do."""


class BusyError(RetentionError):
    """Somebody else is at it; try again later."""
