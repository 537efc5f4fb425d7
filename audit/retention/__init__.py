"""Retention: old months leave the ledger, archived first.

`months` says what may go, `holds` what may not, `archive` writes and reads the files, `kept_rows`
is what stays of a month, `removal` takes it out, and `dropping` drops what was taken out. All of
it works as the owner's role; `audit.questions.retention_boundary` says what is missing to those
who ask.
"""

from __future__ import annotations


class RetentionError(Exception):
    """Retention cannot continue; the message says why and what to do."""


class BusyError(RetentionError):
    """Another run is in progress; try again later."""
