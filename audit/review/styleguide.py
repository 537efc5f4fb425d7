"""The parts that pages are made of, drawn by what draws them on the pages. Of the demo alone: it is
for whoever works on the pages."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET

from audit import policy
from audit.policy import ActorType, Result
from audit.review import marks
from audit.review.count_table import Row, Table
from organizations import icons, ulid

PEOPLE = ("Olivia Owens", "Jane Doe", "Sam Okafor", "Priya Raman")
ROWS = (("Jane Doe", 67, 100), ("ci", 20, 30), ("System", 3, 4))


@require_GET
@login_required
def styleguide(request: HttpRequest) -> HttpResponse:
    """See docs/design.md for what each part means."""
    if not settings.DEMO:
        raise Http404("The style guide is a page of the demo.")
    drawn = mark_safe  # what marks and icons give is made of escaped text
    context = {
        "actions": [
            (drawn(marks.shaped(each.name, Result.SUCCESS, each.severity)), each.label)
            for each in policy.ACTIONS
        ],
        "results": [
            (drawn(marks.shaped("read", result, "")), result)
            for result in (Result.DENIED, Result.FAILED)
        ],
        "people": [(icons.person(ulid.new(), name), name) for name in PEOPLE],
        "actors": [(drawn(marks.actor(kind, None, "")), kind) for kind in _KINDS],
        "types": [
            (icons.icon(marks.TYPES.get(name, "tag")), label)
            for name, label in policy.RESOURCE_TYPES.items()
        ],
        "roles": ROLES,
        "table": Table(
            "actor",
            "Who",
            [Row(label, count, "#counts", str(width)) for label, count, width in ROWS],
            len(ROWS),
            "people and keys",
            "",
            1,
        ),
    }
    return render(request, "audit/styleguide.html", context)


_KINDS = [kind for kind in ActorType if kind != ActorType.USER]
ROLES = ("info", "notice", "warn", "success", "failed", "plain")
"""Of badges."""
