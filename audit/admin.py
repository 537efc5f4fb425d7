"""Django admin of the log: the same questions as everywhere, by the same filter set.

Pages go by id and counts are bounded, so a page costs the same in a log of any size.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from audit import access, counting, paging, policy, replica
from audit.filters import EntryFilter
from audit.models import Entry
from audit.retention import floor
from audit.templatetags.audit_log import words
from organizations import ulid
from organizations.models import Organization
from organizations.read_only_admin import ReadOnlyAdmin

RECENCIES = (
    ("today", "Today"),
    ("yesterday", "Yesterday"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    ("90d", "Last 90 days"),
)
OF_ADMIN = ("organization", "all", "o", "p", "e", "_facets")
"""Parameters that are no question to the log."""


class _Parameter(admin.SimpleListFilter):
    """A filter at the side, named after the parameter of the filter set that applies it."""

    choices_: Iterable[tuple[str, str]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return self.choices_

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        return queryset


class OrganizationFilter(_Parameter):
    title, parameter_name = "organization", "organization"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(o.slug, o.name) for o in model_admin.readable(request)]

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1


class WhenFilter(_Parameter):
    title, parameter_name, choices_ = "time", "when", RECENCIES


class ActionFilter(_Parameter):
    title, parameter_name = "action", "action"
    choices_ = tuple((action.name, action.name.replace("_", " ")) for action in policy.ACTIONS)


class TypeFilter(_Parameter):
    title, parameter_name = "resource type", "type"
    choices_ = tuple(policy.RESOURCE_TYPES.items())


class ResultFilter(_Parameter):
    title, parameter_name = "result", "result"
    choices_ = tuple((result.value, result.value) for result in policy.Result)


class InterfaceFilter(_Parameter):
    title, parameter_name = "way", "interface"
    choices_ = tuple((interface.value, interface.value) for interface in policy.Interface)


class EntryList(ChangeList):
    """The admin's list, asked through `EntryFilter` and paged by id."""

    model_admin: EntryAdmin
    asked_organizations: list[Organization]
    asked: EntryFilter
    page: paging.Page
    count: counting.Count

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Entry]:
        filters = self.get_filters(request)
        self.filter_specs, self.has_filters = filters[0], filters[1]
        self.asked_organizations = organizations = self.model_admin.chosen(request)
        self.asked = EntryFilter(
            request.GET,
            Entry.objects.visible([o.pk for o in organizations]),
            organizations=organizations,
            known=OF_ADMIN,
        )
        if not self.asked.is_valid():
            raise IncorrectLookupParameters(self.asked.errors.as_text())
        self.has_active_filters = bool(self.asked.params)
        self.clear_all_filters_qs = "?"
        asked: QuerySet[Entry] = self.asked.qs
        return asked

    def get_results(self, request: HttpRequest) -> None:
        self.page = paging.page_at(self.queryset, self.asked.form.cleaned_data)
        self.count = counting.bounded_count(self.queryset)
        self.result_list = self.page.entries
        self.result_count = self.count.value
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = False
        self.can_show_all = False
        self.multi_page = False
        self.paginator = Paginator(self.page.entries, max(1, len(self.page.entries)))

    def url_for_result(self, result: Any) -> str:
        return reverse("admin:audit_entry_change", args=[result.ulid])

    @property
    def older(self) -> str | None:
        cursor = self.page.next_cursor
        return self._at(before=cursor) if cursor else None

    @property
    def newer(self) -> str | None:
        cursor = self.page.previous_cursor
        return self._at(after=cursor) if cursor else None

    def _at(self, **position: str) -> str:
        others = [name for name in ("before", "after", "cursor") if name not in position]
        return str(self.get_query_string(position, remove=others))

    @property
    def as_of(self) -> dt.datetime | None:
        return replica.as_of()

    @property
    def floors(self) -> Iterator[tuple[str, floor.Floor]]:
        """Each organization with the floor that the question reaches below."""
        organizations = self.asked_organizations
        found = floor.reached([o.pk for o in organizations], self.asked.period)
        return ((o.name, found[o.pk]) for o in organizations if o.pk in found)


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_display = ("when", "who", "done", "what", "shown_result", "way", "address")
    list_display_links = ("when",)
    list_filter = (
        OrganizationFilter,
        WhenFilter,
        ActionFilter,
        TypeFilter,
        ResultFilter,
        InterfaceFilter,
    )
    # Names are looked up in the dictionary of labels, not in these columns of the log.
    search_fields = ("resource_label", "actor_label")
    search_help_text = "Words in the name of a resource or an actor"
    sortable_by = ()
    change_list_template = "admin/audit/entry/list.html"
    fields = (
        "when",
        "organization",
        "actor",
        "done",
        "resource",
        "shown_result",
        "what_changed",
        "facts",
        "interface",
        "address",
        "user_agent",
        "request",
        "number",
        "key",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        return Entry.objects.visible([o.pk for o in self.readable(request)])

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EntryList]:
        return EntryList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return True  # the filter set refuses what it does not know

    def readable(self, request: Any) -> list[Organization]:
        """The organizations whose log the person may read; asked once a request."""
        if not hasattr(request, "readable_organizations"):
            request.readable_organizations = list(access.readable_organizations(request.user))
        found: list[Organization] = request.readable_organizations
        return found

    def chosen(self, request: HttpRequest) -> list[Organization]:
        """The one asked for, or all; none when the one asked for is not readable."""
        slug = request.GET.get("organization")
        return [o for o in self.readable(request) if slug in (None, "", o.slug)]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response: Any = super().changelist_view(
            request, {"title": "Entries", **(extra_context or {})}
        )
        shown = getattr(response, "context_data", None) or {}
        if "cl" in shown:
            access.note_views(self.chosen(request), shown["cl"].asked)
        return response  # type: ignore[no-any-return]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Entry | None:
        key = ulid.parse_or_none(object_id)
        entry = self.get_queryset(request).filter(pk=key).first() if key else None
        if entry is not None:
            for organization in self.readable(request):
                if organization.pk == entry.organization_id:
                    access.note_view(organization, entry=entry)
        return entry

    # -- What is shown

    @admin.display(description="time (UTC)")
    def when(self, entry: Entry) -> str:
        return f"{entry.time:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="actor")
    def who(self, entry: Entry) -> str:
        return entry.actor_label

    @admin.display(description="action")
    def done(self, entry: Entry) -> str:
        return words(entry.action)

    @admin.display(description="IP address")
    def address(self, entry: Entry) -> str:
        return entry.ip or "–"

    @admin.display(description="entry")
    def key(self, entry: Entry) -> str:
        return entry.ulid

    @admin.display(description="resource")
    def what(self, entry: Entry) -> str:
        return f"{entry.resource_type_label} {entry.resource_label}"

    @admin.display(description="result")
    def shown_result(self, entry: Entry) -> str:
        return f"{entry.result}: {words(entry.reason)}" if entry.reason else entry.result

    @admin.display(description="way")
    def way(self, entry: Entry) -> str:
        return entry.interface

    @admin.display(description="organization")
    def organization(self, entry: Entry) -> str:
        found = Organization.objects.filter(pk=entry.organization_id).first()
        return found.name if found else ulid.to_text(entry.organization_id)

    @admin.display(description="actor")
    def actor(self, entry: Entry) -> str:
        key = f" {ulid.to_text(entry.actor_id)}" if entry.actor_id else ""
        return f"{entry.actor_label} ({entry.actor_type}{key})"

    @admin.display(description="resource")
    def resource(self, entry: Entry) -> str:
        key = f" ({ulid.to_text(entry.resource_id)})" if entry.resource_id else ""
        return f"{entry.resource_type_label} {entry.resource_label}{key}"

    @admin.display(description="what changed")
    def what_changed(self, entry: Entry) -> SafeString:
        return render_to_string("admin/audit/entry/changes.html", {"entry": entry})

    @admin.display(description="facts")
    def facts(self, entry: Entry) -> SafeString:
        return render_to_string("admin/audit/entry/facts.html", {"facts": entry.context})

    @admin.display(description="request")
    def request(self, entry: Entry) -> str:
        return ulid.to_text(entry.request_id) if entry.request_id else "–"

    @admin.display(description="number")
    def number(self, entry: Entry) -> str:
        return f"{entry.seq:,} in this log" if entry.is_sealed else "not sealed yet"
