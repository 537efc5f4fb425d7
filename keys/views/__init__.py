"""The pages of projects and what protects them, a room for each subject."""

from __future__ import annotations

from keys.views.finding import find_project
from keys.views.rotation import key_versions

__all__ = ["find_project", "key_versions"]
