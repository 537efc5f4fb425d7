"""Saved views as pages: those one sees, one to save, one to rename, share or delete."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.models import SavedView
from audit.questions import saved_views
from audit.questions.filters import EntryFilter, canonical
from organizations import ulid
from organizations.forms import PageForm
from organizations.labels import isolated
from organizations.membership_access import OrganizationRequest, organization_page, require

SHARING = "organization:update"
"""Who may change settings may say what all see."""


class ViewForm(PageForm):
    name = forms.CharField(max_length=80, label="Name")
    is_shared = forms.BooleanField(
        required=False, label="Share with everyone in the organization who may read the log"
    )

    def __init__(self, *args: Any, may_share: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_share:
            del self.fields["is_shared"]

    @property
    def shares(self) -> bool:
        return bool(self.cleaned_data.get("is_shared"))


class NewViewForm(ViewForm):
    shown_at: ClassVar[dict[str, str]] = {
        "query": "(hidden)"
    }  # so that its error is shown above all

    query = forms.CharField(widget=forms.HiddenInput, required=False)


@require_http_methods(["GET", "POST"])
@organization_page("audit:read")
def views_page(request: OrganizationRequest) -> HttpResponse:
    """The views one sees; with a question in the address, a form that keeps it too."""
    organization = request.organization
    may_share = SHARING in request.abilities
    query = request.GET.urlencode()
    form = NewViewForm(request.POST or None, initial={"query": query}, may_share=may_share)
    if request.method == "POST":
        if "is_shared" in request.POST:
            require(request, SHARING)
        if form.is_valid():
            made = form.attempt(
                request,
                lambda: saved_views.save(
                    organization,
                    request.user,
                    form.cleaned_data["name"],
                    form.cleaned_data["query"],
                    is_shared=form.shares,
                ),
            )
            if made is not None:
                messages.success(request, f"The view “{isolated(made.name)}” was saved.")
                return redirect(f"{reverse('activity', args=[organization.slug])}?{made.query}")
        query = str(request.POST.get("query", ""))
    changeable = saved_views.changeable_by(request.user, organization, may_share=may_share)
    context = {
        "section": "activity",
        "form": form,
        "query": query,
        "views": list(saved_views.visible_to(request.user, organization).select_related("user")),
        "changeable": set(changeable.values_list("pk", flat=True)),
    }
    return render(request, "audit/views.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@organization_page("audit:read")
def view_page(request: OrganizationRequest, view: str) -> HttpResponse:
    """One view, to rename, to share or to delete."""
    found = _find(request, view)
    given = {"name": found.name, "is_shared": found.is_shared}
    may_share = SHARING in request.abilities
    form = ViewForm(request.POST or None, initial=given, may_share=may_share)
    page = redirect("saved_views", request.organization.slug)
    if request.method == "POST" and request.POST.get("action") == "delete":
        saved_views.delete(found)
        messages.success(request, f"The view “{isolated(found.name)}” was deleted.")
        return page
    if request.method == "POST":
        if "is_shared" in request.POST:
            require(request, SHARING)
        if form.is_valid():

            def work() -> bool:
                saved_views.change(found, form.cleaned_data["name"], is_shared=form.shares)
                return True

            if form.attempt(request, work):
                messages.success(request, f"The view “{isolated(found.name)}” was changed.")
                return page
    context = {"section": "activity", "form": form, "view": found, "name": given["name"]}
    return render(request, "audit/view.html", context, status=422 if form.errors else 200)


def listed(request: OrganizationRequest, asked: EntryFilter) -> dict[str, Any]:
    """The views beside the question bar, and where this question, if it is one, is saved."""
    views = list(saved_views.visible_to(request.user, request.organization))
    is_one = asked.is_valid() and bool(asked.params.keys() - {"tz"})
    query = canonical(asked.params) if is_one else ""
    page = reverse("saved_views", args=[request.organization.slug])
    return {
        "saved_views": views,
        "saved_query": query,
        "save_at": f"{page}?{query}" if query not in {"", *(view.query for view in views)} else "",
    }


def _find(request: OrganizationRequest, view: str) -> SavedView:
    """A view that the person may change. One that is only shared with them answers 403."""
    organization, key = request.organization, ulid.parse_or_none(view)
    seen = key and saved_views.visible_to(request.user, organization).filter(pk=key).first()
    if not seen:
        raise Http404("There is no saved view with this id.")
    if seen.is_shared:
        require(request, SHARING)
    return seen
