"""An entry's actor and resource are rows as long as these are there, and in one organization."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.prefetch import GenericPrefetch
from django.core.exceptions import FieldError
from django.db import connection, models, transaction
from django.test.utils import CaptureQueriesContext, isolate_apps

from audit.entry import references
from audit.entry.references import Reference
from audit.models import Entry
from audit.questions import paging
from audit.questions.filters import EntryFilter
from keys import authors, rotation, secrets
from keys.levels import Level
from keys.models import ApiKey, Secret
from organizations import members, ulid
from organizations.models import Organization, Project, User
from organizations.ulid import NIL
from tests.factories import (
    PASSWORD,
    ApiKeyFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    TargetFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return UserFactory.create(email="owner@example.org")


@pytest.fixture
def acme(owner: User) -> Organization:
    return OrganizationFactory.create(name="Acme", owner=owner)


def of(organization: Organization, **columns: Any) -> list[Entry]:
    return list(Entry.objects.visible([organization.pk]).filter(**columns).order_by("id"))


def newest(organization: Organization, **columns: Any) -> Entry:
    return of(organization, **columns)[-1]


def entry(**columns: Any) -> Entry:
    facts = {"organization_id": uuid.uuid4(), "actor_type": "system", "resource_type": "project"}
    return Entry(**{**facts, **columns})


def test_a_resource_is_the_row_that_it_happened_to(acme: Organization) -> None:
    project = ProjectFactory.create(organization=acme)
    assert newest(acme, resource_type="project").resource == project


def test_an_actor_is_the_person_or_the_key_that_acted(acme: Organization, owner: User) -> None:
    key = ApiKeyFactory.create(organization=acme).api_key
    by_owner = entry(organization_id=acme.pk, actor_type="user", actor_id=owner.pk)
    by_key = entry(organization_id=acme.pk, actor_type="api_key", actor_id=key.pk)
    assert by_owner.actor == owner
    assert by_key.actor == key


def test_what_is_gone_is_none_and_keeps_its_label(acme: Organization) -> None:
    key = ApiKeyFactory.create(organization=acme, name="ci-deploy").api_key
    key.delete()
    found = newest(acme, resource_type="api_key", action="create")
    assert found.resource is None
    assert found.resource_label == "ci-deploy"


@pytest.mark.parametrize(
    "word", ["system", "anonymous", "database", "audit_log", "endpoint", "yak"]
)
def test_words_that_name_no_model_are_none(word: str) -> None:
    key = uuid.uuid4()
    found = entry(actor_type=word, actor_id=key, resource_type=word, resource_id=key)
    with CaptureQueriesContext(connection) as queries:
        assert found.actor is None
        assert found.resource is None
        models.prefetch_related_objects([entry(actor_type=word, actor_id=key)], "actor")
        references.look_up([entry(actor_type=word, actor_id=key)], [uuid.uuid4()])
    assert len(queries) == 0


def test_a_row_of_another_organization_is_none(acme: Organization) -> None:
    theirs = ProjectFactory.create(organization__name="Theirs")
    forged = entry(organization_id=acme.pk, resource_type="project", resource_id=theirs.pk)
    assert forged.resource is None
    again = entry(organization_id=acme.pk, resource_type="project", resource_id=theirs.pk)
    models.prefetch_related_objects([again], "resource")
    assert again.resource is None
    both = [acme.pk, theirs.organization_id]
    for look in (references.look_up, references.fetch):
        once_more = entry(organization_id=acme.pk, resource_id=theirs.pk)
        look([once_more], both)
        assert once_more.resource is None
        assert references.is_gone(once_more, "resource")


def test_someone_who_left_is_not_there_for_those_who_stay(acme: Organization) -> None:
    user = UserFactory.create(email="gone@example.org")
    membership = MembershipFactory.create(organization=acme, user=user)
    by_user = entry(organization_id=acme.pk, actor_type="user", actor_id=user.pk)
    references.look_up([by_user], [acme.pk])
    assert by_user.actor == user
    members.remove(membership)
    for look in (references.look_up, references.fetch):
        by_user = entry(organization_id=acme.pk, actor_type="user", actor_id=user.pk)
        look([by_user], [acme.pk])
        assert by_user.actor is None


def test_an_entry_is_made_of_rows_too(acme: Organization, owner: User) -> None:
    project = ProjectFactory.create(organization=acme)
    made = Entry(organization_id=acme.pk, actor=owner, resource=project)
    assert (made.actor_type, made.actor_id) == ("user", owner.pk)
    assert (made.resource_type, made.resource_id) == ("project", project.pk)
    with pytest.raises(ValueError, match="Permission is not a resource"):
        made.resource = Permission.objects.first()


def kinds(acme: Organization, number: int) -> list[Entry]:
    """Entries about `number` things of each of four types."""
    for n in range(number):
        project = ProjectFactory.create(organization=acme, name=f"Project {n}")
        TargetFactory.create(project=project)
        ApiKeyFactory.create(organization=acme, name=f"key-{n}")
    types = ["project", "target", "key_version", "api_key"]
    return of(acme, resource_type__in=types)


@pytest.mark.parametrize("number", [1, 13])
def test_prefetching_is_one_query_a_type(acme: Organization, number: int) -> None:
    kinds(acme, number)
    asked = Entry.objects.visible([acme.pk]).exclude(
        resource_type__in=["user", "membership", "organization"]
    )
    with CaptureQueriesContext(connection) as queries:
        found = list(asked.prefetch_related("actor", "resource"))
        named = [each.resource for each in found]
    assert len(queries) == 1 + 4
    assert len(found) >= 4 * number
    assert all(named)


@pytest.mark.parametrize("number", [1, 13])
def test_looking_up_is_one_query_for_all_types(acme: Organization, number: int) -> None:
    found = kinds(acme, number)
    with CaptureQueriesContext(connection) as queries:
        references.look_up(found, [acme.pk])
        named = [(each.resource.pk, type(each.resource)) for each in found]
    assert len(queries) == 1
    assert all(pk == each.resource_id for (pk, _), each in zip(named, found, strict=True))
    assert len({kind for _, kind in named}) == 4


def test_the_page_of_a_question_prefetches_once(acme: Organization) -> None:
    """A page may be read in several parts: here the last month and what came before."""
    kinds(acme, 3)
    entries = Entry.objects.visible([acme.pk]).prefetch_related("resource")
    asked = EntryFilter({"type": "project,target"}, entries, organizations=[acme])
    assert asked.is_valid()
    with CaptureQueriesContext(connection) as queries:
        page = paging.page(asked.qs)
        assert all(each.resource for each in page.entries)
    of_rows = [q["sql"] for q in queries if "audit_entry" not in q["sql"] and "FROM" in q["sql"]]
    assert len(of_rows) == 2


def test_rows_to_prefetch_may_be_chosen(acme: Organization) -> None:
    shop, other = (
        ProjectFactory.create(organization=acme, name="Shop"),
        ProjectFactory.create(organization=acme, name="Other"),
    )
    chosen = GenericPrefetch("resource", [Project.objects.filter(slug="shop")])
    entries = Entry.objects.visible([acme.pk]).filter(resource_type="project")
    found = {each.resource_id: each.resource for each in entries.prefetch_related(chosen)}
    assert found == {shop.pk: shop, other.pk: None}


def test_contents_stay_in_the_database(acme: Organization) -> None:
    level = Level(ProjectFactory.create(organization=acme))
    secrets.store(level, "TOKEN=1", author=authors.SYSTEM)
    asked = Entry.objects.visible([acme.pk]).filter(resource_type="secret")
    with CaptureQueriesContext(connection) as queries:
        [found] = asked.prefetch_related("resource")
        assert isinstance(found.resource, Secret)
    assert not any('"content"' in query["sql"] for query in queries)


def test_one_asks_for_what_happened_to_a_thing(acme: Organization) -> None:
    project = ProjectFactory.create(organization=acme)
    rotation.rotate(project)
    entries = Entry.objects.visible([acme.pk])
    assert [each.resource for each in entries.about(project)] == [project]
    assert {each.resource for each in entries.about(acme)} == {acme}


def test_one_asks_for_what_someone_did(acme: Organization, owner: User, client: Any) -> None:
    ProjectFactory.create(organization=acme)
    client.force_login(owner)
    assert client.get("/o/acme/activity").status_code == 200
    with transaction.atomic():
        done = list(Entry.objects.visible([acme.pk]).by(owner))
        assert {each.action for each in done} >= {"view"}
        assert {each.actor for each in done} == {owner}
        assert not Entry.objects.visible([acme.pk]).by(ApiKey(pk=ulid.new()))


def test_one_asks_for_what_a_request_left(acme: Organization, owner: User, client: Any) -> None:
    client.force_login(owner)
    request = ulid.parse(client.get("/o/acme/activity")["X-Request-Id"])
    with transaction.atomic():
        left = list(Entry.objects.visible([acme.pk]).of_request(request))
        assert [each.action for each in left] == ["view"]
        assert not Entry.objects.visible([acme.pk]).of_request(NIL)


def test_one_asks_for_what_someone_may_see(acme: Organization, owner: User) -> None:
    OrganizationFactory.create(name="Theirs")
    auditor = MembershipFactory.create(organization=acme, auditor=True).user
    developer = MembershipFactory.create(organization=acme, role="developer").user
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    for reader in (owner, auditor):
        seen = {each.organization_id for each in Entry.objects.visible_to(reader)}
        assert seen == {acme.pk}
    for stranger in (developer, root):
        assert not Entry.objects.visible_to(stranger)


def test_a_reference_cannot_be_filtered_by_as_a_column(acme: Organization, owner: User) -> None:
    """`by` and `about` are the way."""
    with pytest.raises(FieldError):
        Entry.objects.filter(actor=owner)  # type: ignore[misc]


@isolate_apps("audit")
def test_the_checks_name_the_column_that_is_missing() -> None:
    class Wrong(models.Model):  # noqa: DJ008  # nobody shows it
        kind = models.ForeignKey("contenttypes.ContentType", on_delete=models.CASCADE)
        actor = Reference("kind", "actor_id")

        class Meta:
            app_label = "audit"

    field: Any = Wrong._meta.get_field("actor")
    assert {error.id for error in field.check()} >= {"audit.E201", "audit.E202"}
    assert "needs a UUIDField 'actor_id'" in " ".join(error.msg for error in field.check())
    actual: Any = Entry._meta.get_field("actor")
    assert actual.check() == []
