"""What an entry refers to: its actor and its resource, as generic foreign keys.

Django's `GenericForeignKey` keeps the number of a content type, which differs from database to
database. An entry keeps the policy's word for it ("project", "api_key"): so it reads the same in
every database, in an export and in a proof.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.prefetch import GenericPrefetch
from django.core import checks
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Field, Model, QuerySet, Value, prefetch_related_objects
from django.db.models.functions import Cast

from audit import policy
from audit.policy import Resource
from organizations.permissions import people_in

Key = tuple[str, uuid.UUID | None, uuid.UUID | None]
"""A word, an id, and the tenant; None for rows of no tenant, such as people."""


class Reference(GenericForeignKey):
    """A row of an audited model, named by the policy's word and its id.

    None where the row is gone, where the word names no model ("system", "audit_log",
    words that the policy does not know), and where the row is not the organization's of the entry.
    Large contents of rows, such as the blobs of secrets, are left in the database until read.
    """

    def __init__(self, type_field: str, id_field: str) -> None:
        super().__init__(type_field, id_field, for_concrete_model=False)

    def __get__(self, entry: Any, owner: Any = None) -> Any:
        if entry is None:
            return self
        if not self.is_cached(entry):
            word, key = getattr(entry, self.ct_field), getattr(entry, self.fk_field)
            rows = _rows(word, entry._state.db)
            found = rows.filter(pk=key).first() if rows is not None and key is not None else None
            is_its_own = found is not None and _key_of_row(found) == self.key_of(entry)
            self.set_cached_value(entry, found if is_its_own else None)
        return self.get_cached_value(entry)

    def __set__(self, entry: Any, row: Model | None) -> None:
        if row is not None:
            setattr(entry, self.ct_field, _spec_of(type(row)).name)
        setattr(entry, self.fk_field, row.pk if row is not None else None)
        self.set_cached_value(entry, row)

    def get_prefetch_querysets(
        self, instances: Sequence[Any], querysets: Sequence[QuerySet[Any]] | None = None
    ) -> tuple[list[Model], Callable[[Model], Key], Callable[[Any], Key | None], bool, str, bool]:
        """One query a type, from `querysets` for the models that they are of."""
        given = {_spec_of(rows.model).name: rows for rows in querysets or ()}
        wanted: defaultdict[str, set[uuid.UUID]] = defaultdict(set)
        aliases: dict[str, str | None] = {}
        for entry in instances:
            key = getattr(entry, self.fk_field)
            if key is not None:
                word = getattr(entry, self.ct_field)
                wanted[word].add(key)
                aliases[word] = entry._state.db
        found: list[Model] = []
        for word, keys in wanted.items():
            rows = given[word] if word in given else _rows(word, aliases[word])
            if rows is not None:
                found += rows.filter(pk__in=keys)
        return found, _key_of_row, self.key_of, True, str(self.name), False

    def get_filter_kwargs_for_object(self, obj: Any) -> dict[str, Any]:
        return {name: getattr(obj, name) for name in (self.ct_field, self.fk_field)}

    def get_forward_related_filter(self, obj: Model) -> dict[str, Any]:
        return {self.ct_field: _spec_of(type(obj)).name, self.fk_field: obj.pk}

    def key_of(self, entry: Any) -> Key | None:
        """What an entry's row has to be; None if the word names no model."""
        word = getattr(entry, self.ct_field)
        spec = policy.resource(word)
        if spec is None:
            return None
        tenant = entry.organization_id if spec.organization else None
        return word, getattr(entry, self.fk_field), tenant

    def _check_content_type_field(self) -> list[checks.CheckMessage]:
        return self._check_column(self.ct_field, models.TextField, "audit.E201")

    def _check_object_id_field(self) -> list[checks.CheckMessage]:
        return self._check_column(self.fk_field, models.UUIDField, "audit.E202")

    def _check_column(
        self, name: str, kind: type[Field[Any, Any]], code: str
    ) -> list[checks.CheckMessage]:
        try:
            column = self.model._meta.get_field(name)
        except FieldDoesNotExist:
            column = None
        if isinstance(column, kind):
            return []
        return [
            checks.Error(
                f"The reference '{self.name}' needs a {kind.__name__} '{name}'.",
                hint=f"Add it to {self.model.__name__}, or name the field that holds it.",
                obj=self,
                id=code,
            )
        ]


def fetch(entries: Iterable[Any], organizations: Collection[uuid.UUID]) -> None:
    """Prefetch the actors and resources of `entries` that are there in these organizations: one
    query for each type. A person is there who is a member of one, or holds something there."""
    querysets = [_without_contents(rows_in(spec, organizations)) for spec in policy.RESOURCES]
    prefetch_related_objects(
        list(entries), GenericPrefetch("actor", querysets), GenericPrefetch("resource", querysets)
    )


def look_up(
    entries: Iterable[Any],
    organizations: Collection[uuid.UUID],
    rows: Iterable[QuerySet[Any]] = (),
) -> None:
    """Like `fetch`, but reads of each row only that it exists, and what people are called, for
    lists: one query for all types. The other fields are deferred.

    rows: where to look instead for some models.
    """
    listed, replaced = list(entries), {found.model: found for found in rows}
    wanted: defaultdict[str, set[uuid.UUID]] = defaultdict(set)
    for entry in listed:
        for field in _references_of(entry):
            if (key := field.key_of(entry)) and key[1]:
                wanted[key[0]].add(key[1])
    parts = []
    for word, keys in wanted.items():
        spec = policy.resource(word)
        assert spec is not None
        within = replaced.get(spec.model_class())
        within = rows_in(spec, organizations) if within is None else within
        parts.append(_keys(spec, within.filter(pk__in=keys)))
    found = parts[0].union(*parts[1:], all=True) if parts else ()
    there = {row[:3]: _deferred(*row) for row in found}
    for entry in listed:
        for field in _references_of(entry):
            field.set_cached_value(entry, there.get(field.key_of(entry)))


def rows_in(spec: Resource, organizations: Collection[uuid.UUID]) -> QuerySet[Any]:
    """The rows of a type that belong to these organizations."""
    rows = spec.model_class()._base_manager
    if spec.organization:
        return rows.filter(**{f"{spec.organization}__in": organizations})
    return rows.filter(people_in(organizations, spec.person))


def _references_of(entry: Any) -> tuple[Any, ...]:
    return type(entry).actor, type(entry).resource


PEOPLE = "user"
"""The type of resource whose rows have a name that entries do not say."""


def _keys(spec: Resource, rows: QuerySet[Any]) -> QuerySet[Any, tuple[Any, ...]]:
    tenant = spec.organization or Cast(Value(None), models.UUIDField())
    word = Value(spec.name, models.TextField())
    name = Cast("name" if spec.name == PEOPLE else Value(""), models.TextField())
    return rows.order_by().values_list(word, "pk", tenant, name)


def _deferred(word: str, key: uuid.UUID, tenant: uuid.UUID | None, name: str) -> Model:
    """A row of which the key alone has been read, and of a person the name."""
    spec = policy.resource(word)
    assert spec is not None
    model = spec.model_class()
    known: dict[str, Any] = {str(model._meta.pk.attname): key}
    if spec.organization:
        known[spec.organization] = tenant
    if word == PEOPLE:
        known["name"] = name
    return model.from_db(None, list(known), list(known.values()))


def _without_contents(rows: QuerySet[Any]) -> QuerySet[Any]:
    fields = rows.model._meta.concrete_fields
    return rows.defer(*(f.name for f in fields if isinstance(f, models.BinaryField)))


def is_gone(entry: Any, name: str) -> bool:
    """Whether the "actor" or the "resource" of an entry was looked for and is gone."""
    field: Any = getattr(type(entry), name)
    spec = policy.resource(getattr(entry, field.ct_field))
    named = spec is not None and getattr(entry, field.fk_field) is not None
    return named and field.is_cached(entry) and field.get_cached_value(entry) is None


def name_of(entry: Any, name: str) -> str:
    """What the person is called who is the "actor" or the "resource" of an entry, if that was
    looked up."""
    field: Any = getattr(type(entry), name)
    if getattr(entry, field.ct_field) != PEOPLE or not field.is_cached(entry):
        return ""
    return getattr(field.get_cached_value(entry), "name", "") or ""


def names_of_people(
    people: Collection[uuid.UUID], organizations: Collection[uuid.UUID], using: str
) -> dict[uuid.UUID, str]:
    """What those of `people` are called now who are in one of these organizations."""
    spec = policy.resource(PEOPLE)
    assert spec is not None
    rows = rows_in(spec, organizations).using(using).filter(pk__in=people)
    return dict(rows.values_list("pk", "name"))


def _rows(word: str, using: str | None) -> QuerySet[Any] | None:
    """All rows of what a word names; None if it names no model."""
    spec = policy.resource(word)
    if spec is None:
        return None
    return _without_contents(spec.model_class()._base_manager.using(using))


def _key_of_row(row: Model) -> Key:
    spec = _spec_of(type(row))
    return spec.name, row.pk, getattr(row, spec.organization) if spec.organization else None


def _spec_of(model: type[Model]) -> Resource:
    spec = policy.for_model(model)
    if not isinstance(spec, Resource):
        raise ValueError(
            f"{model.__name__} is not a resource of the policy, so no entry refers to it."
        )
    return spec
