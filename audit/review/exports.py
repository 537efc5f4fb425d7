"""What a question finds, as a file."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from audit.export import download, formats
from audit.questions.asking import ask, question_of
from organizations.membership_access import OrganizationRequest, announce, organization_page


@require_GET
@organization_page("audit:export")
def export_entries(request: OrganizationRequest) -> Any:
    """The entries of the same question, as a file."""
    name = request.GET.get("format", "ndjson")
    organization = request.organization
    asked = ask([organization], request.GET, reader=request.user.email)
    question = question_of(asked)
    is_understood = question is None or question.is_answerable
    if name not in formats.FORMATS or not asked.is_valid() or not is_understood:
        return redirect(
            f"{reverse('activity', args=[organization.slug])}?{request.GET.urlencode()}"
        )
    try:
        return download.answer([organization], asked, name, title=organization.slug)
    except download.TooManyExportsError as full:
        announce(request, 429, "too_many_exports")
        return too_many(request, full)


def too_many(request: HttpRequest, full: download.TooManyExportsError) -> HttpResponse:
    """The page that says so, for this page and the admin's."""
    answer = render(request, "429.html", {"message": str(full)}, status=429)
    answer["Retry-After"] = str(download.RETRY_SECONDS)
    return answer
