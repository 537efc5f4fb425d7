"""The review pages: activity, an entry, exports, the history of a key."""

from __future__ import annotations

from audit.views.activity import activity, counts
from audit.views.completing import complete
from audit.views.entry import entry
from audit.views.exports import export_entries
from audit.views.histories import actor_history, key_history, resource_history
from audit.views.saving import view_page, views_page
from audit.views.watching import new_entries

__all__ = [
    "activity",
    "actor_history",
    "complete",
    "counts",
    "entry",
    "export_entries",
    "key_history",
    "new_entries",
    "resource_history",
    "view_page",
    "views_page",
]
