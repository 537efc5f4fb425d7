"""Django admin of the log: the same questions as everywhere, by the same filter set.

Pages go by id and counts are bounded, so a page costs the same in a log of any size.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from audit import policy
from audit.evidence import health
from audit.export import download, formats
from audit.models import Entry, SavedView, Witness
from audit.questions import reading
from audit.questions.asking import ask, question_of
from audit.questions.filters import POSITION
from audit.review import density, evidence_figures, time_zones
from audit.review.admin_columns import Columns
from audit.review.admin_list import (
    ActionFilter,
    DaysFilter,
    EntryList,
    InterfaceFilter,
    OrganizationFilter,
    ResultFilter,
    RoleFilter,
    SeverityFilter,
    TypeFilter,
    ViewsFilter,
    WhenFilter,
    asked_in,
)
from audit.review.exports import too_many
from organizations import ulid
from organizations.models import Organization
from organizations.permissions import organizations_with
from organizations.read_only_admin import ReadOnlyAdmin, StaffRequest
from organizations.signals import access_denied


class _ReaderRequest(StaffRequest):
    """A request to the admin, with what is looked up once for it."""

    entry_columns: Columns


def _reader(request: HttpRequest) -> _ReaderRequest:
    """The request as what it is: the admin lets nobody in who is not signed in."""
    return cast(_ReaderRequest, request)


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_filter = (
        OrganizationFilter,
        WhenFilter,
        ActionFilter,
        TypeFilter,
        ResultFilter,
        SeverityFilter,
        InterfaceFilter,
        RoleFilter,
        DaysFilter,
        ViewsFilter,
    )
    sortable_by = ()
    change_list_template = "admin/audit/entry/list.html"

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export_view)
        evidence = self.admin_site.admin_view(self.evidence_view)
        return [
            path("export", export, name="audit_entry_export"),
            path("evidence", evidence, name="audit_entry_evidence"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        return Entry.objects.visible_to(_reader(request).user)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EntryList]:
        return EntryList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return True  # the filter set refuses what it does not know

    def columns(self, request: HttpRequest) -> Columns:
        """Made once a request: Django compares the columns that it was given."""
        reader = _reader(request)
        if not hasattr(reader, "entry_columns"):
            organizations: dict[uuid.UUID, Organization] = {o.pk: o for o in self.readable(request)}
            site = self.admin_site
            models = [spec.model_class() for spec in policy.RESOURCES]
            admins = {
                model: site.get_model_admin(model) for model in models if site.is_registered(model)
            }
            reader.entry_columns = Columns(time_zones.of(request), organizations, admins)
        return reader.entry_columns

    def get_list_display(self, request: HttpRequest) -> tuple[Callable[[Entry], str], ...]:
        shown = self.columns(request)
        return (
            shown.when,
            shown.who,
            shown.done,
            shown.what,
            shown.shown_result,
            shown.way,
            shown.address,
        )

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        return list_display[:1]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = self.columns(request)
        return (
            shown.moment,
            shown.organization,
            shown.actor,
            shown.done,
            shown.resource,
            shown.shown_result,
            shown.what_changed,
            shown.facts,
            shown.way,
            shown.address,
            shown.user_agent,
            shown.request,
            shown.number,
            shown.key,
        )

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        readable = {organization.pk for organization in self.readable(request)}
        return obj.organization_id in readable if isinstance(obj, Entry) else bool(readable)

    def chosen(self, request: HttpRequest) -> list[Organization]:
        """The one asked for, or all; none when the one asked for is not readable."""
        slug = request.GET.get("organization")
        return [o for o in self.readable(request) if slug in (None, "", o.slug)]

    def may_export(self, request: HttpRequest) -> bool:
        """Whether the person may export each of the logs that are asked."""
        chosen = {organization.pk for organization in self.chosen(request)}
        held = organizations_with(_reader(request).user, "audit:export").values_list(
            "pk", flat=True
        )
        return bool(chosen) and chosen <= set(held)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        is_settled = "settled" in request.GET
        if ("ask" in request.GET and not is_settled) or "density" in request.GET:
            return self._settled(request)
        response: Any = super().changelist_view(
            request, {"title": "Entries", **(extra_context or {})}
        )
        shown = getattr(response, "context_data", None) or {}
        if "cl" in shown:
            reading.record_views(self.chosen(request), shown["cl"].asked)
        return response  # type: ignore[no-any-return]

    def _settled(self, request: HttpRequest) -> HttpResponse:
        """What the form was filled with, as the address of its answer; the reader's zone and
        density are remembered."""
        own = ("ask", "density", "e", *POSITION)
        params = QueryDict(mutable=True)
        for name, texts in request.GET.lists():
            if name not in own and (filled := [text for text in texts if text]):
                params.setlist(name, filled)
        typed, zone = request.GET.get("ask", "").strip(), request.GET.get("tz", "")
        if typed:
            self._take_words(request, params, typed)
        answer = redirect(f"{request.path}?{params.urlencode()}")
        time_zones.remember(answer, zone)
        density.remember(answer, request.GET.get("density", ""))
        return answer

    def _take_words(self, request: HttpRequest, params: QueryDict, typed: str) -> None:
        """Add what was understood of a question in words to the parameters, and say the rest. Where
        nothing was, the words themselves are kept, to which no entry is the answer."""
        asked = ask(
            self.chosen(request),
            {"ask": typed, "tz": params.get("tz", "")},
            reader=_reader(request).user.email,
        )
        made = question_of(asked)
        assert made is not None
        for struck in made.struck:
            messages.warning(request, f"Left out: {struck.words}. {struck.why}")
        for said in (*made.notes, *([made.page.why] if made.page else [])):
            messages.info(request, said)
        if not made.is_answerable:
            params["ask"], params["settled"] = typed, "1"
        for name, texts in made.params.items():
            params.setlist(name, texts)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The entries of the list's question, as a file."""
        if request.method != "GET" or not self.may_export(request):
            raise PermissionDenied
        organizations = self.chosen(request)
        _, asked = asked_in(request, organizations)
        name = request.GET.get("format", "ndjson")
        if name not in formats.FORMATS or not asked.is_valid():
            return redirect(f"{reverse('admin:audit_entry_changelist')}?{request.GET.urlencode()}")
        title = organizations[0].slug if len(organizations) == 1 else "entries"
        try:
            return download.answer(organizations, asked, name, title=title)
        except download.TooManyExportsError as full:
            for organization in organizations:
                access_denied.send(
                    EntryAdmin,
                    request=request,
                    status=429,
                    reason="too_many_exports",
                    organization_id=organization.pk,
                )
            return too_many(request, full)

    def evidence_view(self, request: HttpRequest) -> HttpResponseBase:
        """Figures of the evidence of each log. No entry is read here."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Evidence",
            "figures": evidence_figures.of(self.readable(request)),
            "verified": health.last_verified(),
        }
        return TemplateResponse(request, "admin/audit/entry/evidence.html", context)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Entry | None:
        key = ulid.parse_or_none(object_id)
        entry = self.get_queryset(request).filter(pk=key).first() if key else None
        if entry is not None:
            self.columns(request).look_up([entry], request)
            for organization in self.readable(request):
                if organization.pk == entry.organization_id:
                    reading.record_view(organization, entry=entry)
        return entry


@admin.register(SavedView)
class SavedViewAdmin(ReadOnlyAdmin):
    """Whose they are and what they are called; what one's own ask is one's own."""

    list_display = ("name", "user", "is_shared", "organization", "created_at")
    list_filter = ("is_shared",)
    list_select_related = ("user", "organization")
    search_fields = ("name", "user__email")
    fields = ("name", "user", "is_shared", "organization", "ulid", "created_at", "updated_at")
    readonly_fields = ("ulid",)


@admin.register(Witness)
class WitnessAdmin(ReadOnlyAdmin):
    """Who witnesses the logs; owners add them, on the page of their organization."""

    list_display = ("name", "organization", "url", "created_at")
    list_select_related = ("organization",)
    search_fields = ("name",)
    fields = ("name", "vkey", "url", "organization", "ulid", "created_at", "updated_at")
    readonly_fields = ("ulid",)
