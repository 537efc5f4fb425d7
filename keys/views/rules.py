"""What the rules of keys refuse, told on a page: announced where somebody was kept from a thing."""

from __future__ import annotations

from typing import Any

from keys.errors import RuleError
from organizations.signals import access_denied


def explain(request: Any, refused: RuleError) -> str:
    """The sentence for the page. A refusal is announced, as the API announces it."""
    if refused.is_refusal:
        access_denied.send(
            explain,
            request=request,
            status=422,
            reason=refused.code,
            organization_id=request.organization.pk,
        )
    return str(refused)
