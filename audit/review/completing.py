"""Suggestions of the question bar while someone types."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.questions import bar, reading
from organizations.membership_access import OrganizationRequest, organization_page


@require_GET
@organization_page("audit:read")
def complete(request: OrganizationRequest) -> HttpResponse:
    """Suggestions for the end of `ask`, as options of a listbox, each with the place in the text
    from which it replaces what was typed. Names of the log are shown, so that it was read is
    entered, once a minute."""
    text = request.GET.get("ask", "")[: bar.LONGEST_QUESTION].replace("\x00", "")
    found = bar.complete(request.organization, text)
    if found.with_names:
        reading.record_view(request.organization, is_part=True)
    return render(
        request,
        "audit/completion.html",
        {"start": found.start, "suggestions": found.suggestions},
    )
