"""What the rules of keys refuse, shown on a page; announced if someone was denied something."""

from __future__ import annotations

from keys.errors import RuleError
from organizations.membership_access import OrganizationRequest, announce


def explain(request: OrganizationRequest, refused: RuleError) -> str:
    """The sentence for the page. A refusal is announced, as the API announces it."""
    if refused.is_refusal:
        announce(request, 422, refused.code)
    return str(refused)
