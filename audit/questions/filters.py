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
from typing import Any
from urllib.parse import urlencode

import django_filters
from django import forms
from django.db.models import Q, QuerySet

from audit import policy
from audit.models import Entry
from audit.questions import fields, name_index, periods
from audit.questions.field_index import ChangedRanges, of_fields
from audit.questions.fields import suggest
from audit.questions.querysets import Branch, EntryQuerySet, Streams, any_of, of_requests
from organizations import clock, ulid
from organizations.models import Organization

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

_ACTIONS = [action.name for action in policy.ACTIONS]
_TYPES = list(policy.RESOURCE_TYPES)


class _Parameter(django_filters.Filter):
    """Declares a parameter; `EntryFilter.filter_queryset` applies them all."""

    def __init__(self, help_text: str, **kwargs: Any) -> None:
        super().__init__(help_text=help_text, **kwargs)


class _Values(_Parameter):
    field_class = fields.ValuesField


class _Choices(_Parameter):
    field_class = fields.ChoicesField


class _Networks(_Parameter):
    field_class = fields.NetworksField


class _Ulids(_Parameter):
    field_class = fields.UlidsField


class _FieldNames(_Parameter):
    field_class = fields.FieldNamesField


class _Text(_Parameter):
    field_class = fields.TextField


class _Cursor(_Parameter):
    field_class = fields.CursorField


class _PageSize(_Parameter):
    field_class = fields.PageSizeField


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


def notes_of_names(named: Sequence[name_index.Named]) -> list[str]:
    """What one has to know of things that were asked for by name: what they are called now, and
    which of several they are."""
    notes = []
    for asked in dict.fromkeys(one.asked for one in named):
        ones = [one for one in named if one.asked == asked]
        if len(ones) == 1:
            notes.append(f"{asked!r} is now {ones[0].now!r}.")
        else:
            each = "; ".join(_told_apart(one) for one in ones)
            notes.append(f"{asked!r} is or was the name of {len(ones)}: {each}.")
    return notes


def _told_apart(one: name_index.Named) -> str:
    now = f"now {one.now!r}" if one.is_renamed else "still called so"
    made = f", made {one.since:%Y-%m-%d %H:%M} UTC" if one.since else ""
    return f"{policy.RESOURCE_TYPES.get(one.type, one.type)} {ulid.to_text(one.id)}, {now}{made}"


_AS_PART = "paths that contain it are included."
_MORE_OF_NAME = "Write more of the name, or give the id."


class EntryFilter(django_filters.FilterSet):
    """A question to the log.

    period, zone: the time asked for, as exact instants; notes: what may surprise in the answer,
    such as a name that nothing ever had. Until it is valid, `qs` is empty.
    """

    actor = _Values(
        "The actor: an e-mail address, part of one, the name of an API key, the beginning of"
        " any of these (ja*), or an id."
    )
    actor_type = _Choices("The kind of actor.", choices=list(policy.ActorType))
    action = _Choices("What was done.", choices=_ACTIONS)
    type = _Choices("The type of the resource.", choices=_TYPES, aliases=TYPE_ALIASES)
    resource = _Values(
        "A path and everything below it, such as my-app/production; the beginning of a path"
        " (my-app/prod*); part of a path, if nothing has exactly this name; or an id."
    )
    result = _Choices("The result.", choices=list(policy.Result))
    ip = _Networks("The client's IP address, or its network.")
    request = _Ulids("The id of a request.")
    interface = _Choices("The interface that was used.", choices=list(policy.Interface))
    field = _FieldNames("A field that was changed.")
    q = _Text("Words in the name of the resource or the actor.")
    since = _Text("At or after this time or day.")
    until = _Text("Before this time, or up to the end of this day.")
    when = _Text("Within this period.")
    tz = _Text("The time zone of days and times; UTC unless given.")
    exclude_actor = _Values("None of these actors.")
    exclude_actor_type = _Choices("None of these kinds of actor.", choices=list(policy.ActorType))
    exclude_action = _Choices("None of these actions.", choices=_ACTIONS)
    exclude_type = _Choices("None of these types.", choices=_TYPES, aliases=TYPE_ALIASES)
    exclude_resource = _Values("None of these resources, nor anything below them.")
    exclude_ip = _Networks("None of these addresses or networks.")
    exclude_field = _FieldNames("Entries that changed none of these fields.")
    exclude_q = _Values("Entries without these words in the name of the resource or the actor.")
    exclude_interface = _Choices("None of these interfaces.", choices=list(policy.Interface))
    exclude_result = _Choices("None of these results.", choices=list(policy.Result))
    cursor = _Cursor("Entries older than this id.")
    before = _Cursor("The same as cursor.")
    after = _Cursor("Entries newer than this id.")
    per_page = _PageSize("Entries per page, 1 to 200.")

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
        self.found: dict[str, name_index.Found] = {}

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
        conditions = self._conditions(self.form.cleaned_data)
        changed_ranges = self._changed_ranges(queryset)
        if changed_ranges and changed_ranges.edge is None:
            conditions["changed_ranges"] = changed_ranges.condition
        found = queryset.filter(*conditions.values())
        leading = next((name for name in _LEADING if name in conditions), None)
        branches = self._branches(leading) if leading else ()
        assert isinstance(found, EntryQuerySet)
        assert isinstance(queryset, EntryQuerySet)
        keys = sum(len(branch.keys) for branch in branches)
        has_one_plan = changed_ranges is None and _is_read_by(leading, conditions)
        if leading and 1 < keys <= MOST_STREAMS:
            others = [each for name, each in conditions.items() if name != leading]
            rest = queryset.filter(*others)
            assert isinstance(rest, EntryQuerySet)
            found.streams = Streams(rest, conditions[leading], branches, has_one_plan)
        found.since, found.until = map(_floor, self.period)
        found.changed_ranges = changed_ranges
        is_by_time = not conditions.keys() & _WITH_AN_INDEX
        found.is_by_time = is_by_time and changed_ranges is not None
        if len(queryset.visible_organizations) == 1:
            found.has_one_plan = has_one_plan and keys == (1 if leading else 0)
        return found

    def _changed_ranges(self, queryset: QuerySet[Entry]) -> ChangedRanges | None:
        """Where to look for changed fields, in one organization; many share no order of ids."""
        fields = self.form.cleaned_data["field"]
        assert isinstance(queryset, EntryQuerySet)
        if not fields or len(queryset.visible_organizations) != 1:
            return None
        [organization] = queryset.visible_organizations
        return of_fields(organization, fields, queryset.db)

    def _conditions(self, values: Mapping[str, Any]) -> dict[str, Q]:
        conditions = {
            name: any_of(column, values[name]) for name, column in _EQUAL.items() if values[name]
        }
        for name, column in _EQUAL.items():
            if values.get(f"exclude_{name}"):
                conditions[f"exclude_{name}"] = ~any_of(column, values[f"exclude_{name}"])
        if values["actor"]:
            conditions["actor"] = by_actors(self.found["actor"])
        if values["resource"]:
            conditions["resource"] = on_resources(self.found["resource"])
        if values["q"]:
            found = self.found["q"]
            conditions["q"] = on_resources(found) | by_actors(found)
        if values["actor_type"] == [policy.ActorType.DATABASE]:
            # Written by the guards alone, and led to the index of rare ways: what somebody did past
            # the application is rare and has to be found.
            conditions["actor_type"] &= Q(interface=policy.Interface.DATABASE)
        if values["ip"]:
            conditions["ip"] = from_networks(values["ip"])
        if values["field"]:
            conditions["field"] = Q(changes__has_any_keys=values["field"])
        conditions |= self._exclusions(values)
        if values["request"]:
            conditions["request"] = of_requests(values["request"])
        conditions["period"] = within(self.period)
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
        if values["exclude_ip"]:
            left_out["exclude_ip"] = ~from_networks(values["exclude_ip"])
        if values["exclude_field"]:
            left_out["exclude_field"] = ~Q(changes__has_any_keys=values["exclude_field"])
        return left_out

    def _branches(self, name: str) -> tuple[Branch, ...]:
        """The keys of a condition that has an index of its own; none if a key is missing."""
        if name in _EQUAL:
            return (Branch(_EQUAL[name], self.form.cleaned_data[name]),)
        found = self.found[name]
        if found.actor_types:
            return ()
        by_column = {"resource_id": found.resources, "actor_id": found.actors}
        return tuple(Branch(column, sorted(keys)) for column, keys in by_column.items() if keys)


_LEADING = ("resource", "actor", "q", "action", "type")
"""Parameters with an index of their own, the most selective first."""

_WITH_AN_INDEX = {*_LEADING, "ip", "result", "interface", "actor_type", "request"}

_EQUAL = {
    "actor_type": "actor_type",
    "action": "action",
    "type": "resource_type",
    "result": "result",
    "interface": "interface",
}


def _is_read_by(name: str | None, conditions: Mapping[str, Q]) -> bool:
    """Whether the index of a condition, or else the one by time, is the one to use whatever the
    values are. Of several conditions with an index only who plans for the values knows which."""
    others = (conditions.keys() & _WITH_AN_INDEX) - {name}
    return not others or (name == "resource" and others <= {"action", "type"})


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
