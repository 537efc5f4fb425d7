"""Projects, targets, environments: made, listed, changed, deleted, on short and long paths."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from keys.models import KeyVersion
from organizations.models import Environment, Organization, Project
from tests.api.conftest import Api
from tests.factories import EnvironmentFactory, ProjectFactory, TargetFactory

PROOF = {
    "key_check": "A" * 43 + "=",
    "key_check_salt": "A" * 22 + "==",
    "key_check_iterations": 600_000,
}

pytestmark = pytest.mark.django_db(transaction=True)

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def production(acme: Organization) -> Environment:
    return EnvironmentFactory.create(target__project__organization=acme, status="production")


def test_a_project_is_made_with_its_key(api: Api, acme: Organization) -> None:
    response = api.post(f"/{acme.slug}/projects", {"name": "My App", "secret_format": "json"})
    assert response.status_code == 201
    resource = response.json()["data"]
    attributes = resource["attributes"]
    project = Project.objects.get()
    assert resource["type"] == "projects"
    assert resource["id"] == attributes["ulid"] == project.ulid
    assert attributes["slug"] == "my-app"
    assert attributes["organization_id"] == acme.ulid
    assert (attributes["encryption_type"], attributes["storage_mode"]) == ("server", "server")
    assert attributes["metadata"] == {}
    assert attributes["has_secrets"] is False
    assert [attributes[f"{what}_count"] for what in ("secret", "target", "environment")] == [0] * 3
    assert TIMESTAMP.fullmatch(attributes["created_at"])
    assert KeyVersion.objects.get().project == project


def test_an_explicit_key_is_taken_and_never_shown(api: Api, acme: Organization) -> None:
    secret = "correct horse battery staple!"
    response = api.post(f"/{acme.slug}/projects", {"name": "App", "encryption_key": secret})
    assert response.status_code == 201
    assert secret not in response.content.decode()
    content = api.get(f"/{acme.slug}/app/encryption-key").json()["data"]["attributes"]["content"]
    assert secret in content


@pytest.mark.parametrize(
    ("body", "named", "says"),
    [
        ({}, "name", "required"),
        ({"name": "x", "slug": "secrets"}, "slug", "reserved"),
        ({"name": "x", "slug": "A b"}, "slug", "lower-case"),
        ({"name": "x", "secret_format": "toml"}, "secret_format", "toml"),
        ({"name": "x", "storage_mode": "client"}, "key_check", "needs the proof"),
        (
            {"name": "x", "storage_mode": "client", **PROOF, "key_check": "c2hvcnQ="},
            "key_check",
            "exactly 32 bytes",
        ),
        (
            {"name": "x", "storage_mode": "client", **PROOF, "key_check_iterations": 1000},
            "key_check_iterations",
            "100,000",
        ),
        (
            {"name": "x", "storage_mode": "client", **PROOF, "encryption_key": "k" * 48},
            "encryption_key",
            "Do not send the key",
        ),
        ({"name": "x", "storage_mode": "paper"}, "storage_mode", "paper"),
        ({"name": "x", "encryption_key": "k" * 32}, "encryption_key", "exactly 32 bytes"),
        ({"name": "x", "encryption_key": "short"}, "encryption_key", "at least 16"),
        ({"name": "a\x00b"}, "name", "Null"),
        ({"name": "\ud800"}, "name", "urrogate"),
        ({"name": {"an": "object"}}, "name", "string"),
    ],
)
def test_a_project_that_cannot_be_is_refused_by_name(
    api: Api, acme: Organization, body: Any, named: str, says: str
) -> None:
    response = api.post(f"/{acme.slug}/projects", body)
    answer = response.json()
    assert (response.status_code, answer["error"]) == (422, "validation_failed")
    assert answer["message"].startswith(f"{named}: ")
    assert says in answer["errors"][named][0]
    assert "kkkk" not in response.content.decode()
    assert not Project.objects.exists()


def test_slugs_come_from_names_and_stay_unique(api: Api, acme: Organization) -> None:
    names = ["Über.App", "uber app", "Projects", "!!!"]
    slugs = [
        api.post(f"/{acme.slug}/projects", {"name": name}).json()["data"]["attributes"]["slug"]
        for name in names
    ]
    assert slugs == ["uber-app", "uber-app-2", "projects-2", "default"]
    taken = api.post(f"/{acme.slug}/projects", {"name": "x", "slug": "uber-app"})
    assert (taken.status_code, taken.json()["error"]) == (409, "slug_taken")


def test_lists_hold_all_rows_unless_paging_is_asked_for(api: Api, acme: Organization) -> None:
    for number in range(30):
        Project.objects.create(organization=acme, name=f"p{number:02}", slug=f"p{number:02}")
    whole = api.get(f"/{acme.slug}/projects?sort=name&filter[name]=x").json()
    assert len(whole["data"]) == whole["meta"]["total"] == 30
    page = api.get(f"/{acme.slug}/projects?page=2&per_page=25").json()
    assert page["meta"] == {
        "current_page": 2,
        "from": 26,
        "last_page": 2,
        "per_page": 25,
        "to": 30,
        "total": 30,
    }
    assert [item["attributes"]["slug"] for item in page["data"]][0] == "p25"
    assert page["links"]["next"] is None
    assert api.get(page["links"]["prev"]).json()["meta"]["current_page"] == 1
    beyond = api.get(f"/{acme.slug}/projects?page=9").json()
    assert (beyond["data"], beyond["meta"]["from"]) == ([], None)


def test_lists_are_in_the_order_of_names(api: Api, acme: Organization) -> None:
    for name in ("Cellar", "attic", "Bath"):
        api.post(f"/{acme.slug}/projects", {"name": name})
        api.post(f"/{acme.slug}/cellar/targets", {"name": name})
        api.post(f"/{acme.slug}/cellar/cellar/environments", {"name": name})
    lists = [
        [item["attributes"]["name"] for item in api.get(f"/{acme.slug}/{path}").json()["data"]]
        for path in ("projects", "cellar/targets", "cellar/cellar/environments")
    ]
    assert lists[0] == lists[1] == lists[2]
    assert sorted(lists[0]) == ["Bath", "Cellar", "attic"]
    paged = [
        api.get(f"/{acme.slug}/projects?per_page=1&page={page}").json()["data"][0]
        for page in (1, 2, 3)
    ]
    assert [item["attributes"]["name"] for item in paged] == lists[0]


@pytest.mark.parametrize(
    "query",
    [
        "per_page=0",
        "per_page=101",
        "page=0",
        "page=-1",
        "page=x",
        f"page={'9' * 30}",
        f"page={'0' * 11}1{'9' * 20}",
        "page=%C2%B2",
    ],
)
def test_a_page_out_of_range_is_refused_by_name(api: Api, acme: Organization, query: str) -> None:
    response = api.get(f"/{acme.slug}/projects?{query}")
    assert response.status_code == 422
    assert response.json()["message"].startswith(query.partition("=")[0])


def test_counts_include_what_lies_below(
    api: Api, acme: Organization, production: Environment
) -> None:
    EnvironmentFactory.create(target=production.target, name="Staging", status="staging")
    TargetFactory.create(project=production.target.project, name="Frontend")
    project = api.get(f"/{acme.slug}/my-app").json()["data"]["attributes"]
    assert (project["target_count"], project["environment_count"]) == (2, 2)
    listed = api.get(f"/{acme.slug}/projects").json()["data"][0]["attributes"]
    assert (listed["target_count"], listed["environment_count"]) == (2, 2)
    target = api.get(f"/{acme.slug}/my-app/backend").json()["data"]["attributes"]
    assert (target["environment_count"], target["secret_count"]) == (2, 0)


def test_the_whole_hierarchy_is_made_through_the_api(api: Api, acme: Organization) -> None:
    base = f"/{acme.slug}"
    api.post(f"{base}/projects", {"name": "App"})
    made = api.post(f"{base}/app/targets", {"name": "Back end", "description": "d"})
    assert made.status_code == 201
    assert made.json()["data"]["attributes"]["slug"] == "back-end"
    assert made.json()["data"]["attributes"]["project_id"] == Project.objects.get().ulid
    made = api.post(f"{base}/app/back-end/environments", {"name": "Live", "status": "production"})
    attributes = made.json()["data"]["attributes"]
    assert attributes["is_production"] is True
    assert attributes["target_id"] == Environment.objects.get().target.ulid
    made = api.post(f"{base}/app/back-end/environments", {"name": "QA", "status": "team-qa"})
    assert made.json()["data"]["attributes"]["is_production"] is False
    assert made.json()["data"]["attributes"]["status"] == "team-qa"
    listed = api.get(f"{base}/app/back-end/environments").json()["data"]
    assert [item["attributes"]["name"] for item in listed] == ["Live", "QA"]
    assert [item["type"] for item in listed] == ["environments"] * 2
    assert len(api.get(f"{base}/app/targets").json()["data"]) == 1


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_each_field_changes_by_itself_and_nothing_is_fine(
    api: Api, acme: Organization, production: Environment, method: str
) -> None:
    base = f"/{acme.slug}"
    for path in ("/my-app", "/my-app/backend", "/my-app/backend/production"):
        unchanged = api.send(method, base + path, {})
        assert unchanged.status_code == 200
        changed = api.send(method, base + path, {"description": "new"})
        assert changed.json()["data"]["attributes"]["description"] == "new"
        assert (
            changed.json()["data"]["attributes"]["name"]
            == (unchanged.json()["data"]["attributes"]["name"])
        )
    moved = api.send(method, f"{base}/my-app/backend", {"slug": "api"})
    assert moved.json()["data"]["attributes"]["slug"] == "api"
    assert api.get(f"{base}/my-app/backend").status_code == 404
    assert api.get(f"{base}/my-app/api/production").status_code == 200


def test_metadata_is_kept_as_it_is_or_refused(api: Api, acme: Organization) -> None:
    ProjectFactory.create(organization=acme)
    path = f"/{acme.slug}/my-app"
    kept = {"owner": "jo", "tags": ["a", {"b": None}], "backslash": "\\u0000"}
    assert api.patch(path, {"metadata": kept}).json()["data"]["attributes"]["metadata"] == kept
    for bad in (
        '{"metadata": {"a": "\\u0000"}}',
        '{"metadata": {"a": "\\ud800"}}',
        '{"metadata": {"a": 1e999}}',
        '{"metadata": ["a"]}',
        '{"metadata": {"a": "%s"}}' % ("x" * 20_000),
    ):
        response = api.patch(path, bad)
        assert response.status_code == 422, bad
        assert response.json()["message"].startswith("metadata: ")
    assert api.get(path).json()["data"]["attributes"]["metadata"] == kept


def test_deleting_deletes_what_is_below(
    api: Api, acme: Organization, production: Environment
) -> None:
    base = f"/{acme.slug}/my-app"
    assert api.delete(f"{base}/backend/production").status_code == 204
    assert api.delete(f"{base}/backend/production").status_code == 404
    response = api.delete(base)
    assert (response.status_code, response.content) == (204, b"")
    assert api.get(f"{base}/backend").status_code == 404
    assert not Project.objects.exists()


def test_nodes_answer_to_their_ulid_too(
    api: Api, acme: Organization, production: Environment
) -> None:
    target = production.target
    path = f"/{acme.ulid}/{target.project.ulid}/{target.ulid.lower()}/{production.ulid}"
    assert api.get(path).json()["data"]["id"] == production.ulid


def test_long_paths_read_the_same_and_say_that_they_end(
    api: Api, acme: Organization, production: Environment
) -> None:
    short = f"/{acme.slug}"
    long = f"/organizations/{acme.ulid}/projects"
    for one, other in (
        ("/projects", ""),
        ("/my-app", "/my-app"),
        ("/my-app/targets", "/my-app/targets"),
        ("/my-app/backend", "/my-app/targets/backend"),
        ("/my-app/backend/environments", "/my-app/targets/backend/environments"),
        ("/my-app/backend/production", "/my-app/targets/backend/environments/production"),
    ):
        new, old = api.get(short + one), api.get(long + other)
        assert old.json()["data"] == new.json()["data"]
        assert old["Deprecation"] == "true"
        assert old["Sunset"].endswith("GMT")
        assert "Deprecation" not in new.headers
        for method in ("POST", "PATCH", "PUT", "DELETE"):
            refused = api.send(method, long + other, {"name": "x"})
            assert (refused.status_code, refused.json()["error"]) == (405, "method_not_allowed")
    assert "Deprecation" not in api.get(f"/organizations/{acme.slug}").headers


@pytest.mark.parametrize("path", ["nothing", "%00", "my-app/%00/x", "my-app/%F0%9F%92%A9", "a.b"])
def test_what_is_not_there_is_not_found(api: Api, acme: Organization, path: str) -> None:
    ProjectFactory.create(organization=acme)
    response = api.get(f"/{acme.slug}/{path}")
    assert (response.status_code, response.json()["error"]) == (404, "not_found")


def test_a_list_takes_as_many_statements_whatever_its_length(
    api: Api, acme: Organization, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    def make(numbers: range) -> None:
        for number in numbers:
            project = ProjectFactory.create(organization=acme, name=f"p{number}")
            target = TargetFactory.create(project=project)
            EnvironmentFactory.create(target=target)

    make(range(2))
    api.get(f"/{acme.slug}/projects")  # the first use of a key writes its time down
    counts = []
    for numbers in (range(0), range(2, 12)):
        make(numbers)
        for path in ("projects", "p0/targets", "p0/backend/environments"):
            with django_assert_max_num_queries(8) as captured:
                assert api.get(f"/{acme.slug}/{path}").status_code == 200
            counts.append(len(captured))
    assert counts[:3] == counts[3:]
