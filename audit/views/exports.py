"""What a question finds, as a file."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET

from audit import access, export
from audit.filters import EntryFilter
from audit.models import Entry
from audit.retention import floor
from organizations.access import organization_page


@require_GET
@organization_page("audit:export")
def export_entries(request: Any) -> Any:
    """The entries of the same question, as a file."""
    formats = {
        "ndjson": ("application/x-ndjson", export.ndjson),
        "csv": ("text/csv; charset=utf-8", export.csv),
    }
    name = request.GET.get("format", "ndjson")
    organization = request.organization
    asked = EntryFilter(
        request.GET, Entry.objects.visible([organization.pk]), organizations=[organization]
    )
    if name not in formats or not asked.is_valid():
        return redirect(
            f"{reverse('activity', args=[organization.slug])}?{request.GET.urlencode()}"
        )
    media_type, write = formats[name]
    lines = write(asked.qs)
    # Entered and committed before the first line leaves.
    access.note_export(organization, asked, name)
    response = StreamingHttpResponse(lines, content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="{organization.slug}-audit.{name}"'
    if found := floor.below(organization.pk, asked.period):
        response["Audit-Floor"] = found.header
    return response
