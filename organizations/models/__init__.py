"""The domain's people and places; each concern has its room."""

from __future__ import annotations

from organizations.models.hierarchy import Environment, Project, Target
from organizations.models.organization import (
    Invitation,
    Membership,
    Organization,
    OrganizationGroupObjectPermission,
    OrganizationUserObjectPermission,
)
from organizations.models.user import User

__all__ = [
    "Environment",
    "Invitation",
    "Membership",
    "Organization",
    "OrganizationGroupObjectPermission",
    "OrganizationUserObjectPermission",
    "Project",
    "Target",
    "User",
]
