"""What a question finds, as a file."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from audit.export import download, formats, pack_requests
from audit.questions import waiting
from audit.questions.asking import ask, question_of, texts_of_two
from audit.questions.filters import EntryFilter
from organizations.membership_access import OrganizationRequest, announce, organization_page


@require_GET
@organization_page("audit:export")
def export_entries(request: OrganizationRequest) -> Any:
    """The entries of the same question, as a file."""
    name = request.GET.get("format", "ndjson")
    organization = request.organization
    asked = ask([organization], request.GET, reader=request.user.email)
    if name not in formats.FORMATS or not _is_of_one_list(asked):
        return _to_its_list(request, asked)
    try:
        return download.answer([organization], asked, name, title=organization.slug)
    except download.TooManyExportsError as full:
        announce(request, 429, "too_many_exports")
        return too_many(request, full)


def _is_of_one_list(asked: EntryFilter) -> bool:
    """Whether a file can hold the answer: it has no words for what it leaves out."""
    question = question_of(asked)
    is_one = question is None or (question.is_answerable and not question.is_of_two_kinds)
    return asked.is_valid() and is_one


def _to_its_list(request: OrganizationRequest, asked: EntryFilter) -> HttpResponse:
    """The page of what cannot be a file, which says why; of two lists that of the first."""
    params = request.GET.copy()
    question = question_of(asked)
    if question is not None and question.is_of_two_kinds:
        params["ask"], _ = texts_of_two(question)
        params.pop("format", None)
    return redirect(f"{reverse('activity', args=[request.organization.slug])}?{params.urlencode()}")


@transaction.non_atomic_requests  # nothing is held while the request is sealed
@require_GET
@organization_page("audit:export")
def export_evidence(request: OrganizationRequest) -> Any:
    """The same entries with what proves them and, where that can be proved, that they are all."""
    organization = request.organization
    params = request.GET.copy()
    params.setdefault("views", "true")  # a proof that leaves some out would be none

    def asked() -> EntryFilter:
        return ask([organization], params, reader=request.user.email)

    with transaction.atomic():
        question = asked()
        if not _is_of_one_list(question):
            return _to_its_list(request, question)
        is_all = not question.params.keys() - {"tz", "views"}
    try:
        pack = pack_requests.make(organization, (lambda: None) if is_all else asked)
    except (download.TooManyExportsError, waiting.TooManyWaitingError) as full:
        announce(request, 429, "too_many_exports")
        return too_many(request, full)
    except (pack_requests.NothingSignedError, pack_requests.NotSealedError):
        return HttpResponse(
            "The pack cannot be made yet: the request for it has to be sealed and signed first,"
            " which takes a second or two while the service is well. Try again in a moment.\n",
            content_type="text/plain; charset=utf-8",
            status=409,
            headers={"Retry-After": "2"},
        )
    return pack_requests.answer(organization, pack)


def too_many(request: HttpRequest, full: Exception) -> HttpResponse:
    """The page that says so, for this page and the admin's."""
    answer = render(request, "429.html", {"message": str(full)}, status=429)
    answer["Retry-After"] = str(download.RETRY_SECONDS)
    return answer
