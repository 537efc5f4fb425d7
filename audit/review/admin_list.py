"""The admin's list of the log: asked through `EntryFilter`, paged by id, its count bounded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.urls import reverse

from audit import policy
from audit.entry.sentences import as_words
from audit.export import formats
from audit.ledger import replica
from audit.models import Entry
from audit.questions import counting, paging, retention_boundary
from audit.questions.asking import ask
from audit.questions.filters import POSITION, EntryFilter
from audit.review import density, time_zones
from audit.review.chips import Chip, chips, narrowing
from organizations.models import Organization
from organizations.roles import Role

RECENCIES = (
    ("today", "Today"),
    ("yesterday", "Yesterday"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    ("90d", "Last 90 days"),
)
MOST_COUNTED = 1000
FIELDS = (
    ("since", "Since", "2026-11-01, last tuesday"),
    ("until", "Until", "yesterday"),
    ("actor", "Who", "e-mail, API key, id"),
    ("resource", "Resource", "my-app/backend, id"),
    ("ip", "From", "address or network"),
    ("id", "Any id", "entry, request, resource, key's fingerprint"),
    ("field", "Changed field", "role, status"),
    ("became", "Became", "status:inactive"),
    ("was", "Was", "role:owner"),
    ("reason", "Reason", "wrong password"),
    ("user_agent", "User agent", "curl*"),
    ("hours", "Hours", "9-17"),
)
"""Filters that are typed: parameter, label and an example."""

OF_ADMIN = ("organization", "all", "o", "p", "e", "_facets", "settled")
"""Parameters that are no question to the log."""


def asked_in(
    request: HttpRequest, organizations: Sequence[Organization]
) -> tuple[QueryDict, EntryFilter]:
    """The question of an address, in the zone that it names or that the browser remembers."""
    given: QueryDict = request.GET.copy()
    if "tz" not in given and (remembered := time_zones.remembered(request)):
        given["tz"] = remembered
    reader: Any = request.user
    return given, ask(organizations, given, known=OF_ADMIN, reader=reader.email)


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
    choices_ = (
        *((group.name, group.label) for group in policy.ACTION_GROUPS),
        *((action.name, as_words(action.name)) for action in policy.ACTIONS),
    )


class TypeFilter(_Parameter):
    title, parameter_name = "resource type", "type"
    choices_ = tuple(policy.RESOURCE_TYPES.items())


class ResultFilter(_Parameter):
    title, parameter_name = "result", "result"
    choices_ = tuple((result.value, result.value) for result in policy.Result)


class InterfaceFilter(_Parameter):
    title, parameter_name = "way", "interface"
    choices_ = tuple((interface.value, interface.value) for interface in policy.Interface)


class SeverityFilter(_Parameter):
    title, parameter_name = "severity", "severity"
    choices_ = tuple((severity.value, severity.value) for severity in policy.Severity)


class RoleFilter(_Parameter):
    title, parameter_name = "role then", "actor_role"
    choices_ = tuple(Role.choices)


class DaysFilter(_Parameter):
    title, parameter_name = "days", "days"
    choices_ = (("weekday", "Weekdays"), ("weekend", "Weekends"))


class ViewsFilter(_Parameter):
    title, parameter_name = "views of the log", "views"
    choices_ = (("true", "included"),)


class EntryList(ChangeList):
    """The admin's list, asked through `EntryFilter` and paged by id."""

    model_admin: Any  # EntryAdmin
    given: QueryDict
    asked_organizations: list[Organization]
    asked: EntryFilter
    page: paging.Page
    count: counting.Count

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Entry]:
        filters = self.get_filters(request)
        self.filter_specs, self.has_filters = filters[0], filters[1]
        self.asked_organizations = self.model_admin.chosen(request)
        self.given, self.asked = asked_in(request, self.asked_organizations)
        if not self.asked.is_valid():
            raise IncorrectLookupParameters(self.asked.errors.as_text())
        if "tz" in self.given:
            # Links name the zone, so that words of time mean the same to whoever opens them.
            self.filter_params["tz"] = [str(self.given["tz"])]
        self.may_export = self.model_admin.may_export(request)
        self.density = density.of(request)
        self.has_active_filters = bool(narrowing(self.asked))
        self.clear_all_filters_qs = "?"
        asked: QuerySet[Entry] = self.asked.qs
        return asked

    def get_results(self, request: HttpRequest) -> None:
        self.page = paging.page_at(self.queryset, self.asked.form.cleaned_data)
        self.model_admin.columns(request).look_up(self.page.entries, request)
        self.count = counting.bounded_count(self.queryset, MOST_COUNTED)
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
        return self._at(cursor=cursor) if cursor else None

    @property
    def newer(self) -> str | None:
        cursor = self.page.previous_cursor
        return self._at(**{self.page.back: cursor}) if cursor else None

    def _at(self, **position: str) -> str:
        others = [name for name in ("before", "after", "cursor") if name not in position]
        return str(self.get_query_string(position, remove=others))

    @property
    def chips(self) -> list[Chip]:
        return list(chips("", self.given, self.asked))

    @property
    def zone_name(self) -> str:
        return str(self.asked.zone)

    @property
    def zones(self) -> list[str]:
        """To choose from; the one in use first, if it is another."""
        used = self.zone_name
        return [*([] if used in time_zones.ZONES else [used]), *time_zones.ZONES]

    @property
    def densities(self) -> tuple[str, ...]:
        return density.DENSITIES

    @property
    def fields(self) -> list[tuple[str, str, str, str]]:
        """FIELDS with what each holds."""
        held = self.asked.params
        return [(name, label, eg, ",".join(held.get(name, ()))) for name, label, eg in FIELDS]

    @property
    def has_fields(self) -> bool:
        return any(held for *_, held in self.fields)

    @property
    def carried(self) -> list[tuple[str, str]]:
        """Parameters that the form has no control for."""
        own = {"tz", "e", "density", *POSITION, *(name for name, *_ in FIELDS)}
        return [(n, text) for n, texts in self.given.lists() if n not in own for text in texts]

    @property
    def exports(self) -> list[tuple[str, str]]:
        """Label and address of each format."""
        if not self.may_export:
            return []
        base = reverse("admin:audit_entry_export")
        return [
            (each.label, base + self.get_query_string({"format": name}, remove=[*POSITION, "e"]))
            for name, each in formats.FORMATS.items()
        ]

    @property
    def as_of(self) -> dt.datetime | None:
        return replica.as_of()

    @property
    def floors(self) -> Iterator[tuple[str, retention_boundary.Boundary]]:
        """Each organization with the floor that the question reaches below."""
        organizations = self.asked_organizations
        found = retention_boundary.reached([o.pk for o in organizations], self.asked.period)
        return ((o.name, found[o.pk]) for o in organizations if o.pk in found)
