"""The review pages: activity, an entry, exports, the history of a key."""

from __future__ import annotations

from audit.review.access import access
from audit.review.activity import activity, counts, facet
from audit.review.completing import complete
from audit.review.entry import entry, proof
from audit.review.evidence import evidence
from audit.review.exports import export_entries, export_evidence
from audit.review.histories import actor_history, resource_history
from audit.review.key_history import key_history
from audit.review.overview import overview
from audit.review.palette import search
from audit.review.saving import view_page, views_page
from audit.review.watching import new_entries
from audit.review.witnessing import witnesses_page

__all__ = [
    "access",
    "activity",
    "actor_history",
    "complete",
    "counts",
    "entry",
    "evidence",
    "export_entries",
    "export_evidence",
    "facet",
    "key_history",
    "new_entries",
    "overview",
    "proof",
    "resource_history",
    "search",
    "view_page",
    "views_page",
    "witnesses_page",
]
