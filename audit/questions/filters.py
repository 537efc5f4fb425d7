"""The one FilterSet over entries: every page, API call, export and command asks through it.

Names are looked up in the dictionary first; the log itself is asked by id, by equality and by
range of ids, which is what a time window is. Ask through `audit.questions.asking`, which
enters the tenant scope.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple
from urllib.parse import urlencode

import django_filters
from django import forms
from django.db.models import Q, QuerySet

from audit import policy
from audit.models import Entry
from audit.questions import (
    fields,
    kinds,
    name_index,
    paging,
    pasted,
    periods,
    roles_held,
    unindexed,
)
from audit.questions.field_index import ChangedRanges, of_fields
from audit.questions.fields import suggest
from audit.questions.querysets import Branch, EntryQuerySet, Streams, any_of, of_requests
from organizations import clock, ulid
from organizations.models import Organization
from organizations.roles import Role

POSITION = ("cursor", "before", "after", "per_page")
"""Parameters that say where in the answer one is (see `paging`); they filter nothing."""

ELSEWHERE = ("format", "page")
"""Parameters that others read."""

ONE_OF = ("cursor", "before", "after")
"""Of these parameters at most one says where one is."""

TYPE_ALIASES = policy.type_aliases()

MOST_STREAMS = 50
"""Keys whose entries are read each by itself. More than these have entries all over the log, and
reading it from its end finds a page sooner (10 ms, not 67, for 160 keys in 1.5 M entries)."""

VIEW = kinds.VIEW
"""Entries of this action are left out unless they are asked for: looking at the log would bury what
happened."""

_ACTIONS = [action.name for action in policy.ACTIONS]
_GROUPS = [group.name for group in policy.ACTION_GROUPS]
_TYPES = list(policy.RESOURCE_TYPES)


def _parameter(field: type[forms.Field], help_text: str, **kwargs: Any) -> django_filters.Filter:
    """Declares a parameter; `EntryFilter.filter_queryset` applies them all."""
    made = type(f"_{field.__name__}", (django_filters.Filter,), {"field_class": field})
    found: django_filters.Filter = made(help_text=help_text, **kwargs)
    return found


class Excludable(NamedTuple):
    """A parameter that has a negative, `exclude_` and its name."""

    field: type[forms.Field]
    help_text: str
    without: str
    options: Mapping[str, Any] = {}


EXCLUDABLE: dict[str, Excludable] = {
    "actor": Excludable(
        fields.ValuesField,
        "The actor: an e-mail address, a name or part of one, the name of an API key, the beginning"
        " of any of these (ja*), or an id.",
        "None of these actors.",
    ),
    "actor_type": Excludable(
        fields.ChoicesField,
        "The kind of actor.",
        "None of these kinds of actor.",
        {"choices": list(policy.ActorType)},
    ),
    "actor_role": Excludable(
        fields.ChoicesField,
        "The role that the person who acted had in the organization then.",
        "Nobody who had one of these roles then.",
        {"choices": list(Role), "aliases": {"administrator": Role.ADMIN}},
    ),
    "action": Excludable(
        fields.ChoicesField,
        f"What was done, or a group of that: {', '.join(_GROUPS)}.",
        "None of these actions.",
        {"choices": _ACTIONS, "groups": _GROUPS, "aliases": policy.action_aliases()},
    ),
    "type": Excludable(
        fields.ChoicesField,
        "The type of the resource.",
        "None of these types.",
        {"choices": _TYPES, "aliases": TYPE_ALIASES},
    ),
    "resource": Excludable(
        fields.ValuesField,
        "A path and everything below it, such as my-app/production; the beginning of a path"
        " (my-app/prod*); part of a path, if nothing has exactly this name; or an id, with a slash"
        " after it for everything below as well.",
        "None of these resources, nor anything below them.",
    ),
    "result": Excludable(
        fields.ChoicesField,
        "The result.",
        "None of these results.",
        {"choices": list(policy.Result), "aliases": policy.RESULT_ALIASES},
    ),
    "severity": Excludable(
        fields.ChoicesField,
        "How serious it is; warning is also what was denied or failed.",
        "None of these severities.",
        {"choices": list(policy.Severity)},
    ),
    "reason": Excludable(
        fields.PartsField,
        "Part of the reason, such as wrong_password; its beginning (too_many*).",
        "None of these reasons.",
    ),
    "ip": Excludable(
        fields.NetworksField,
        "The client's IP address, or its network.",
        "None of these addresses or networks.",
    ),
    "user_agent": Excludable(
        fields.PartsField,
        "Part of the user agent of the client, such as Firefox; its beginning (curl*).",
        "None of these user agents.",
    ),
    "interface": Excludable(
        fields.ChoicesField,
        "The interface that was used.",
        "None of these interfaces.",
        {"choices": list(policy.Interface), "aliases": policy.INTERFACE_ALIASES},
    ),
    "field": Excludable(
        fields.FieldNamesField,
        "A field that was changed.",
        "Entries that changed none of these fields.",
    ),
    "became": Excludable(
        fields.FieldValuesField,
        "A value after the change, such as status:inactive, or inactive for any field; what was"
        " added to a list; its beginning (inact*).",
        "Entries in which nothing became one of these.",
        {"fields": policy.recorded_fields},
    ),
    "was": Excludable(
        fields.FieldValuesField,
        "A value before the change, as for `became`; what was removed from a list.",
        "Entries in which nothing was one of these before.",
        {"fields": policy.recorded_fields},
    ),
    "hours": Excludable(
        fields.HoursField,
        "Hours of the day in the time zone `tz`: 9-17, 22-6, 9:30-17:15; office: 9-17 from Monday"
        " to Friday.",
        "Not in these hours.",
    ),
    "days": Excludable(
        fields.DaysField,
        "Days of the week in the time zone `tz`: mon,tue; mon-fri; weekday; weekend.",
        "Not on these days.",
    ),
}
"""What may be asked for and left out, each declared once."""


OTHERS: dict[str, django_filters.Filter] = {
    "id": _parameter(
        fields.IdsField,
        "An id of whatever kind: of an entry, a request, a resource or an actor; or a key's"
        " fingerprint.",
    ),
    "request": _parameter(fields.UlidsField, "The id of a request."),
    "q": _parameter(fields.TextField, "Words in the name of the resource or the actor."),
    "exclude_q": _parameter(
        fields.ValuesField, "Entries without these words in the name of the resource or the actor."
    ),
    "since": _parameter(fields.TextField, "At or after this time or day."),
    "until": _parameter(fields.TextField, "Before this time, or up to the end of this day."),
    "when": _parameter(fields.TextField, "Within this period."),
    "tz": _parameter(fields.TextField, "The time zone of days and times; UTC unless given."),
    "views": _parameter(
        fields.WordField,
        "true: with the entries about viewing the log, which are left out unless they are asked"
        " for.",
        words=["true", "false"],
    ),
    "order": _parameter(
        fields.WordField, "Which entries come first: newest or oldest.", words=paging.ORDERS
    ),
    "limit": _parameter(
        fields.NumberField,
        f"Only so many entries in all, the first by the order; 1 to {fields.MOST_ENTRIES}.",
        most=fields.MOST_ENTRIES,
        what="number of entries",
    ),
    "cursor": _parameter(fields.CursorField, "Entries that come after this id in the list."),
    "before": _parameter(fields.CursorField, "Entries older than this id."),
    "after": _parameter(fields.CursorField, "Entries newer than this id."),
    "per_page": _parameter(
        fields.NumberField,
        f"Entries per page, 1 to {fields.LARGEST_PAGE}.",
        most=fields.LARGEST_PAGE,
        what="page size",
    ),
}
"""What has no negative, or declares its own."""


class _EntryForm(forms.Form):
    """Checks a whole question: unknown parameters, time, names."""

    asked: EntryFilter

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        self._refuse_unknown()
        self._refuse_two_places(values)
        self._resolve_time(values)
        if not self.errors:
            self._look_names_up(values)
            self._look_ids_up(values)
            self._look_roles_up(values)
            self.asked.left_out = _left_out(values)
        return values

    def _refuse(self, name: str, message: str) -> None:
        self.errors.setdefault(name, self.error_class()).append(message)

    def _refuse_unknown(self) -> None:
        for name in self.data:
            if name not in self.fields and name not in self.asked.known:
                self._refuse(str(name)[:100], f"Unknown parameter. {suggest(name, [*self.fields])}")

    def _refuse_two_places(self, values: Mapping[str, Any]) -> None:
        given = [name for name in ONE_OF if values.get(name)]
        for name in given[1:]:
            self._refuse(name, f"Give {given[0]} or {name}, not both: they lead to two places.")

    def _resolve_time(self, values: Mapping[str, Any]) -> None:
        asked = self.asked
        try:
            asked.zone = periods.time_zone(values.get("tz") or "UTC")
        except ValueError as error:
            self._refuse("tz", str(error))
            return
        named: dict[str, periods.Period] = {}
        for name in periods.TIMES:
            if not values.get(name):
                continue
            try:
                named[name] = periods.read(name, values[name], asked.now, asked.zone)
            except periods.UnknownPeriodError as error:
                self._refuse(name, str(error))
        asked.period = periods.common(named.values())
        since, until = asked.period
        if since is not None and until is not None and since >= until:
            asked.notes.append(f"These times do not overlap: {', '.join(named)}.")

    def _look_names_up(self, values: Mapping[str, Any]) -> None:
        organizations, types = self.asked.organization_ids, values["type"]
        self._look_up(
            "actor",
            values["actor"],
            lambda text: name_index.actors(text, organizations),
            _MORE_OF_NAME,
        )
        self._look_up(
            "exclude_actor",
            values["exclude_actor"],
            lambda text: name_index.actors(text, organizations),
            _MORE_OF_NAME,
        )
        for name in ("resource", "exclude_resource"):
            self._look_up(
                name,
                values[name],
                lambda text: name_index.resources(text, organizations, types),
                "Name a resource further down, or give a type as well.",
            )
        for name, texts in (("q", [values["q"]]), ("exclude_q", values["exclude_q"])):
            self._look_up(
                name,
                [text for text in texts if text],
                lambda text: name_index.matching(text, organizations, types),
                "Add a word, or give a type as well.",
            )

    def _look_ids_up(self, values: Mapping[str, Any]) -> None:
        asked = self.asked
        if not values["id"]:
            return
        texts = [key if isinstance(key, str) else ulid.to_text(key) for key in values["id"]]
        given = list(zip(texts, values["id"], strict=True))
        assert isinstance(asked.queryset, EntryQuerySet)
        asked.pasted = pasted.find(given, asked.queryset, asked.organization_ids)
        asked.found["id"] = asked.pasted.names
        asked.notes += [
            f"id: nothing in this log has the id {text!r}." for text in asked.pasted.unknown
        ]

    def _look_roles_up(self, values: Mapping[str, Any]) -> None:
        for name in ("actor_role", "exclude_actor_role"):
            if not values[name]:
                continue
            try:
                self.asked.spans[name] = roles_held.spans(values[name], self.asked.organization_ids)
            except roles_held.TooManyRolesError as error:
                self._refuse(name, f"{error} Name the people instead.")
                continue
            if not self.asked.spans[name]:
                roles = " or ".join(values[name])
                self.asked.notes.append(f"{name}: nobody had the role {roles} in this log.")

    def _look_up(
        self, name: str, texts: Sequence[str], find: Callable[[str], name_index.Found], remedy: str
    ) -> None:
        found = name_index.Found()
        for text in texts:
            try:
                one = find(text)
            except name_index.TooManyNamesError as error:
                self._refuse(name, f"{error} {remedy}")
                continue
            if not one:
                self.asked.notes.append(f"{name}: no name in this log matches {text!r}.")
            elif one.is_part:
                self.asked.notes.append(
                    f"{name}: nothing has exactly the name {text!r}; {_AS_PART}"
                )
            found |= one
        self.asked.found[name] = found
        self.asked.notes += [f"{name}: {note}" for note in notes_of_names(found.named)]


def _left_out(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The actions that are left out without having been named: viewing the log, unless who asks
    says which actions, or names what has to be shown whatever it is."""
    is_named = any(values[name] for name in ("action", "id", "request"))
    is_wanted = values["views"] == "true" or "audit_log" in values["type"]
    is_named_out = VIEW in kinds.actions_in(values["exclude_action"])
    return () if is_named or is_wanted or is_named_out else (VIEW,)


def notes_of_names(named: Sequence[name_index.Named]) -> list[str]:
    """What one has to know of things that were asked for by name: what they are called now, and
    which of several they are."""
    notes = []
    for asked in dict.fromkeys(one.asked for one in named):
        ones = [one for one in named if one.asked == asked]
        people = [one for one in ones if one.is_person]
        ones = [one for one in ones if not one.is_person]
        if len(people) == 1:
            is_or_was = "was" if people[0].is_renamed else "is"
            notes.append(f"{asked!r} {is_or_was} the name of {_person(people[0])}.")
        elif people:
            is_or_was = "is or was" if any(one.is_renamed for one in people) else "is"
            each = ", ".join(map(_person, people))
            notes.append(f"{asked!r} {is_or_was} the name of {len(people)} people: {each}.")
        if len(ones) == 1:
            notes.append(f"{asked!r} is now {ones[0].now!r}.")
        elif ones:
            each = "; ".join(_told_apart(one) for one in ones)
            notes.append(f"{asked!r} is or was the name of {len(ones)}: {each}.")
    return notes


def _person(one: name_index.Named) -> str:
    """The address, and of who had a name before, the name that took its place."""
    address = one.now or ulid.to_text(one.id)
    return f"{address}, now {one.called!r}" if one.is_renamed and one.called else address


def _told_apart(one: name_index.Named) -> str:
    now = f"now {one.now!r}" if one.is_renamed else "still called so"
    made = f", made {one.since:%Y-%m-%d %H:%M} UTC" if one.since else ""
    return f"{policy.RESOURCE_TYPES.get(one.type, one.type)} {ulid.to_text(one.id)}, {now}{made}"


_AS_PART = "paths that contain it are included."
_MORE_OF_NAME = "Write more of the name, or give the id."


class EntryFilter(django_filters.FilterSet):
    """A question to the log.

    period, zone: the time asked for, as exact instants; notes: what may surprise in the answer,
    such as a name that nothing ever had; left_out: the actions that are left out without having
    been named. Until it is valid, `qs` is empty.
    """

    class Meta:
        model = Entry
        fields: tuple[str, ...] = ()
        form = _EntryForm

    def __init__(
        self,
        data: Any,
        queryset: QuerySet[Entry],
        *,
        organizations: Sequence[Organization] | None = None,
        known: Collection[str] = (),
    ) -> None:
        """organizations: where to look names up; all that may be read, when None.
        known: parameters of the surface itself, which are no filters and no mistakes."""
        super().__init__({} if data is None else data, queryset)
        self.known = frozenset({*ELSEWHERE, *known})
        self.organization_ids = None if organizations is None else [o.pk for o in organizations]
        self.now = clock.now()
        self.zone: dt.tzinfo = dt.UTC
        self.period = periods.Period(None, None)
        self.notes: list[str] = []
        self.left_out: tuple[str, ...] = ()
        self.found: dict[str, name_index.Found] = {}
        self.pasted = pasted.Pasted()
        self.spans: dict[str, list[roles_held.Span]] = {}

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        """Those of EXCLUDABLE, the OTHERS, and the negatives."""
        asked = {
            name: _parameter(one.field, one.help_text, **one.options)
            for name, one in EXCLUDABLE.items()
        }
        left_out = {
            f"exclude_{name}": _parameter(one.field, one.without, **one.options)
            for name, one in EXCLUDABLE.items()
        }
        return {**asked, **OTHERS, **left_out}

    @property
    def order(self) -> str:
        """Which entries come first."""
        return self.form.cleaned_data.get("order") or paging.NEWEST

    def named(self, parameter: str, text: str | None = None) -> list[name_index.Named]:
        """What one has to know of what was asked for by name: of all of it, or of one text."""
        found = self.found.get(parameter, name_index.Found())
        return [one for one in found.named if text is None or one.asked == text]

    def get_form_class(self) -> Any:
        form = super().get_form_class()
        form.asked = self
        return form

    @property
    def params(self) -> dict[str, list[str]]:
        """The question as asked, without what is empty or says where in the answer one is."""
        widget = self.form.fields["actor"].widget
        asked = {
            name: [text for text in widget.value_from_datadict(self.data, {}, name) if text.strip()]
            for name in sorted(self.filters)
            if name in self.data and name not in POSITION
        }
        return {name: texts for name, texts in asked.items() if texts}

    def filter_queryset(self, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        if self.errors:
            return queryset.none()
        assert isinstance(queryset, EntryQuerySet)
        values = self.form.cleaned_data
        indexed, unindexed = self._conditions(values), self._unindexed(values)
        changed_ranges = self._changed_ranges(queryset)
        found = self._planned(queryset, indexed, unindexed, changed_ranges)
        return self._first_few(queryset, found, values["limit"]) if values["limit"] else found

    def _planned(
        self,
        queryset: EntryQuerySet,
        indexed: Mapping[str, Q],
        unindexed: Mapping[str, Q],
        changed_ranges: ChangedRanges | None,
    ) -> EntryQuerySet:
        """The entries that satisfy all conditions, and how to read them."""
        found = self._led(queryset, indexed, unindexed, changed_ranges)
        kept = indexed
        if not indexed.keys() & _WITH_AN_INDEX:
            # What is left out may be nearly all of the log, and no index leads past it.
            kept = {name: q for name, q in indexed.items() if not name.startswith("exclude_")}
        if unindexed or len(kept) < len(indexed):
            found.candidates = self._led(queryset, kept, {}, changed_ranges)
        return found

    def _led(
        self,
        queryset: EntryQuerySet,
        indexed: Mapping[str, Q],
        unindexed: Mapping[str, Q],
        changed_ranges: ChangedRanges | None,
    ) -> EntryQuerySet:
        conditions = {**indexed, **{f"exactly {name}": q for name, q in unindexed.items()}}
        if changed_ranges and changed_ranges.edge is None:
            conditions["changed_ranges"] = changed_ranges.condition
        found = queryset.filter(*conditions.values())
        leading = next((name for name in _LEADING if name in indexed), None)
        branches = self._branches(leading) if leading else ()
        keys = sum(len(branch.keys) for branch in branches)
        has_one_plan = (
            changed_ranges is None
            and _is_read_by(leading, indexed)
            and all(branch.is_all for branch in branches)
        )
        if leading and 1 < keys <= MOST_STREAMS:
            is_all = all(branch.is_all for branch in branches)
            others = [q for name, q in conditions.items() if name != leading or not is_all]
            rest = queryset.filter(*others)
            found.streams = Streams(rest, conditions[leading], branches, has_one_plan)
        found.since, found.until = map(_floor, self.period)
        found.changed_ranges = changed_ranges
        found.is_of_all_by_time = is_by_time = not indexed.keys() & _WITH_AN_INDEX
        found.is_by_time = is_by_time and (changed_ranges is not None or bool(unindexed))
        if len(queryset.visible_organizations) == 1:
            found.has_one_plan = has_one_plan and keys == (1 if leading else 0)
        return found

    def _first_few(
        self, queryset: EntryQuerySet, found: EntryQuerySet, limit: int
    ) -> EntryQuerySet:
        """The first `limit` entries by the order, by their ids: whatever counts or exports them has
        nothing to look for."""
        is_newest = self.order == paging.NEWEST
        part = found.first_part(Q(), "-id" if is_newest else "id", limit)
        if part.reached is not None:
            moment = f"{ulid.time_of(part.reached):%Y-%m-%d %H:%M:%S} UTC"
            self.notes.append(
                "limit: no index answers this question, so only a part of the log was searched:"
                f" {'down' if is_newest else 'up'} to {moment}. Fewer were found there."
            )
        ids = [entry.id for entry in part.entries]
        if not ids:
            return queryset.filter(pk__in=[])
        # The range leaves out the partitions in which none of them is.
        few = queryset.filter(id__range=(min(ids), max(ids)), id__in=ids)
        few.since, few.until = min(ids), None
        return few

    def _changed_ranges(self, queryset: EntryQuerySet) -> ChangedRanges | None:
        """Where to look for changed fields, in one organization; many share no order of ids."""
        values = self.form.cleaned_data
        names = (
            values["field"]
            or unindexed.of_fields(values["became"])
            or unindexed.of_fields(values["was"])
        )
        if not names or len(queryset.visible_organizations) != 1:
            return None
        [organization] = queryset.visible_organizations
        return of_fields(organization, names, queryset.db)

    def _conditions(self, values: Mapping[str, Any]) -> dict[str, Q]:
        """What has an index, or leaves out little."""
        conditions = {
            name: any_of(column, values[name]) for name, column in _EQUAL.items() if values[name]
        }
        for name, column in _EQUAL.items():
            if values.get(f"exclude_{name}"):
                conditions[f"exclude_{name}"] = ~any_of(column, values[f"exclude_{name}"])
        if values["action"]:
            conditions["action"] = kinds.keys_of_actions(values["action"])
        without = [*values["exclude_action"], *self.left_out]
        if kinds.has_view(without):
            conditions["no view"] = kinds.NO_VIEW
        if without and without != [VIEW]:
            conditions["exclude_action"] = ~kinds.of_actions(without)
        if values["severity"]:
            conditions["severity"] = kinds.of_severities(values["severity"])
        conditions |= self._named(values)
        if values["actor_type"] == [policy.ActorType.DATABASE]:
            # Written by the guards alone, and led to the index of rare ways: what somebody did past
            # the application is rare and has to be found.
            conditions["actor_type"] &= Q(interface=policy.Interface.DATABASE)
        if values["ip"]:
            conditions["ip"] = from_networks(values["ip"])
        for name in ("field", "became", "was"):
            names = values[name] if name == "field" else unindexed.of_fields(values[name])
            if names:
                conditions[name] = Q(changes__has_any_keys=names)
        conditions |= self._exclusions(values)
        if values["request"]:
            conditions["request"] = of_requests(values["request"])
        conditions["period"] = within(self.period)
        return conditions

    def _named(self, values: Mapping[str, Any]) -> dict[str, Q]:
        """What was looked up: by a name, an id or a role."""
        conditions = {}
        if values["actor"]:
            conditions["actor"] = by_actors(self.found["actor"])
        if values["actor_role"]:
            conditions["actor_role"] = any_of("actor_id", self._people("actor_role"))
        if values["resource"]:
            conditions["resource"] = on_resources(self.found["resource"])
        if values["q"]:
            found = self.found["q"]
            conditions["q"] = on_resources(found) | by_actors(found)
        if values["id"]:
            conditions["id"] = pasted.condition(self.pasted)
        return conditions

    def _unindexed(self, values: Mapping[str, Any]) -> dict[str, Q]:
        """What no index answers, and may fit one entry of a million."""
        conditions = {}
        if kinds.are_of_types(values["action"]):
            conditions["action"] = kinds.of_actions(values["action"])
        for name, find in _UNINDEXED.items():
            if values[name]:
                conditions[name] = find(values[name], self.zone)
            if values[f"exclude_{name}"]:
                conditions[f"exclude_{name}"] = ~find(values[f"exclude_{name}"], self.zone)
        if values["actor_role"]:
            conditions["actor_role"] = in_spans(self.spans["actor_role"])
        if self.spans.get("exclude_actor_role"):
            conditions["exclude_actor_role"] = ~in_spans(self.spans["exclude_actor_role"])
        return conditions

    def _exclusions(self, values: Mapping[str, Any]) -> dict[str, Q]:
        """What is left out, beyond the columns that are compared as they are."""
        left_out = {}
        if found := self.found["exclude_actor"]:
            left_out["exclude_actor"] = ~by_actors(found)
        if found := self.found["exclude_resource"]:
            left_out["exclude_resource"] = ~on_resources(found)
        if found := self.found["exclude_q"]:
            left_out["exclude_q"] = ~(on_resources(found) | by_actors(found))
        if values["exclude_severity"]:
            left_out["exclude_severity"] = ~kinds.of_severities(values["exclude_severity"])
        if values["exclude_ip"]:
            left_out["exclude_ip"] = ~from_networks(values["exclude_ip"])
        if values["exclude_field"]:
            left_out["exclude_field"] = ~Q(changes__has_any_keys=values["exclude_field"])
        return left_out

    def _people(self, name: str) -> list[uuid.UUID]:
        return sorted({span.person for span in self.spans[name]})

    def _branches(self, name: str) -> tuple[Branch, ...]:
        """The keys of a condition that has an index of its own; none if a key is missing."""
        values = self.form.cleaned_data
        if name == "action":
            return kinds.branches_of_actions(values[name])
        if name == "severity":
            assert isinstance(self.queryset, EntryQuerySet)
            return kinds.branches_of_severities(values[name], self.queryset)
        if name in _EQUAL:
            return (Branch(_EQUAL[name], values[name]),)
        if name == "actor_role":
            people = self._people(name)
            return (Branch("actor_id", people),) if people else ()
        if name == "id" and not self.pasted.is_of_names_alone:
            return ()
        found = self.found[name]
        if found.actor_types:
            return ()
        by_column = {"resource_id": found.resources, "actor_id": found.actors}
        return tuple(Branch(column, sorted(keys)) for column, keys in by_column.items() if keys)


_LEADING = ("id", "resource", "actor", "q", "actor_role", "action", "type", "severity")
"""Parameters with an index of their own, the most selective first."""

_WITH_AN_INDEX = {*_LEADING, "ip", "result", "interface", "actor_type", "request"}

_EQUAL = {
    "actor_type": "actor_type",
    "type": "resource_type",
    "result": "result",
    "interface": "interface",
}

_UNINDEXED: dict[str, Callable[[Any, dt.tzinfo], Q]] = {
    "reason": lambda sought, _: unindexed.reasons(sought),
    "user_agent": lambda sought, _: unindexed.user_agents(sought),
    "became": lambda sought, _: unindexed.values(sought, unindexed.AFTER),
    "was": lambda sought, _: unindexed.values(sought, unindexed.BEFORE),
    "hours": unindexed.hours,
    "days": unindexed.days,
}


def _is_read_by(name: str | None, conditions: Mapping[str, Q]) -> bool:
    """Whether the index of a condition, or else the one by time, is the one to use whatever the
    values are. Of several conditions with an index only who plans for the values knows which."""
    others = (conditions.keys() & _WITH_AN_INDEX) - {name}
    return not others or (name == "resource" and others <= {"action", "type"})


def in_spans(spans: Sequence[roles_held.Span]) -> Q:
    """By a person in a span of theirs."""
    condition = Q(pk__in=[])
    for span in spans:
        one = Q(actor_id=span.person, organization_id=span.organization)
        if span.since is not None:
            one &= Q(id__gte=span.since)
        if span.until is not None:
            one &= Q(id__lte=span.until) if span.has_ended else Q(id__lt=span.until)
        condition |= one
    return condition


def by_actors(found: name_index.Found) -> Q:
    condition = any_of("actor_id", sorted(found.actors))
    if found.actor_types:
        # None of these has an id; saying so leads to the index by actor.
        condition |= any_of("actor_type", sorted(found.actor_types)) & Q(actor_id=None)
    return condition


def on_resources(found: name_index.Found) -> Q:
    return any_of("resource_id", sorted(found.resources))


def from_networks(networks: Sequence[IPv4Network | IPv6Network]) -> Q:
    """The address lies in one of `networks`: as ranges, whose operators give nothing away, so that
    the planner may use what it knows of the column behind row-level security (`<<=` does not)."""
    condition = Q()
    for network in networks:
        first, last = str(network[0]), str(network[-1])
        condition |= Q(ip=first) if first == last else Q(ip__range=(first, last))
    return condition


def within(period: periods.Period) -> Q:
    """A window of time as a range of ids."""
    condition = Q()
    since, until = map(_floor, period)
    if since is not None:
        condition &= Q(id__gte=since)
    if until is not None:
        condition &= Q(id__lt=until)
    return condition


def _floor(moment: dt.datetime | None) -> uuid.UUID | None:
    return None if moment is None else ulid.floor(max(moment, _EPOCH))


_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)


def canonical(params: Mapping[str, Sequence[str]]) -> str:
    """A question as one query string, equal for equal questions."""
    return urlencode([(name, text) for name in sorted(params) for text in sorted(params[name])])
