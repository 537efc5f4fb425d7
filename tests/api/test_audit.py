"""The log over HTTP: asked, paged, counted, exported; reading it leaves entries too."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from audit.ledger import sealing
from organizations.models import Environment, Organization
from tests.api.conftest import Api, ApiWith, Recorded
from tests.factories import ApiKeyFactory, OrganizationFactory, ProjectFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

LOG = "/organizations/{o}/audit"


@pytest.fixture
def auditor(api_with: ApiWith, api: Api, live: Environment) -> Api:
    """Reads the log of an organization in which something has happened."""
    api.patch("/{o}/shop/web/live", {"status": "production"})
    api.delete("/{o}/shop/web/live")
    api.post("/{o}/shop/encryption-key/rotate")
    return api_with("audit:read", "audit:export")


def described(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 200, response.content
    return [
        (entry["attributes"]["action"], entry["attributes"]["resource"]["type"])
        for entry in response.json()["data"]
    ]


def content(response: Any) -> str:
    assert response.status_code == 200
    parts = response.streaming_content if response.streaming else [response.content]
    return b"".join(parts).decode()


def test_who_deleted_the_environment(auditor: Api) -> None:
    response = auditor.get(f"{LOG}/entries?action=delete&type=environment")
    (entry,) = response.json()["data"]
    attributes = entry["attributes"]
    assert entry["type"] == "audit-entries"
    assert attributes["id"] == entry["id"]
    assert attributes["actor"]["label"] == "ci"
    assert attributes["resource"]["label"] == "shop/web/live"
    assert attributes["changes"]["status"] == ["production", None]
    assert attributes["interface"] == "api"
    assert response.json()["meta"]["per_page"] == 50
    one = auditor.get(f"{LOG}/entries/{entry['id'].lower()}").json()["data"]
    assert one == entry


def test_pages_follow_each_other_without_gap(auditor: Api) -> None:
    auditor.get(f"{LOG}/entries")  # its own entry is there from now on, and counts up
    whole = [entry["id"] for entry in auditor.get(f"{LOG}/entries").json()["data"]]
    pages, path = [], f"{LOG}/entries?per_page=2"
    while path:
        body = auditor.get(path).json()
        assert len(body["data"]) <= 2
        pages += [entry["id"] for entry in body["data"]]
        path = body["links"]["next"]
    assert pages == sorted(pages, reverse=True)
    assert set(pages) >= set(whole)
    assert len(pages) == len(set(pages))


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("colour=red", "colour"),
        ("action=explode", "action"),
        ("since=someday", "since"),
        ("tz=Mars/Phobos", "tz"),
        ("per_page=201", "per_page"),
        ("cursor=x", "cursor"),
        ("ip=300.1.1.1", "ip"),
        ("resource=%00", "resource"),
        ("q=%00", "q"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_by_name(
    auditor: Api, query: str, named: str
) -> None:
    for part in ("entries", "histogram", "facets", "entries/export"):
        response = auditor.get(f"{LOG}/{part}?{query}")
        assert response.status_code == 422, part
        assert response.json()["error"] == "validation_failed"
        assert named in response.json()["errors"]


def test_export_has_the_same_rows_as_the_list(auditor: Api) -> None:
    query = "type=environment,key_version"
    listed = auditor.get(f"{LOG}/entries?{query}").json()["data"]
    response = auditor.get(f"{LOG}/entries/export?{query}")
    assert response["Content-Type"] == "application/x-ndjson"
    lines = content(response).splitlines()
    assert [json.loads(line) for line in lines] == [
        entry["attributes"] for entry in reversed(listed)
    ]
    response = auditor.get(f"{LOG}/entries/export?{query}&format=csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="acme-audit.csv"'
    rows = list(csv.DictReader(io.StringIO(content(response))))
    assert [row["id"] for row in rows] == [entry["id"] for entry in reversed(listed)]
    response = auditor.get(f"{LOG}/entries/export?{query}&format=ocsf")
    assert response["Content-Type"] == "application/x-ndjson"
    assert response["Content-Disposition"] == 'attachment; filename="acme-audit.ocsf.ndjson"'
    events = [json.loads(line) for line in content(response).splitlines()]
    assert [event["metadata"]["uid"] for event in events] == [row["id"] for row in rows]
    assert auditor.get(f"{LOG}/entries/export?format=xml").status_code == 422


def test_counts_are_of_the_same_rows(auditor: Api) -> None:
    query = "since=1h&type=environment"
    listed = auditor.get(f"{LOG}/entries?{query}").json()["data"]
    bars = auditor.get(f"{LOG}/histogram?{query}").json()["data"]
    assert sum(bar["count"] for bar in bars) == len(listed) == 3
    facets = auditor.get(f"{LOG}/facets?{query}").json()
    assert {value["value"]: value["count"] for value in facets["data"]["action"]} == {
        "create": 1,
        "update": 1,
        "delete": 1,
    }
    assert (facets["meta"]["counted"], facets["meta"]["is_exact"]) == (3, True)


def test_counts_say_what_the_rows_have_in_common(auditor: Api) -> None:
    body = auditor.get(f"{LOG}/counts?by=action&type=environment").json()
    assert [(row["value"], row["count"]) for row in body["data"]] == [
        ("create", 1),
        ("delete", 1),
        ("update", 1),
    ]
    meta = body["meta"]
    assert (meta["groups"], meta["counted"], meta["is_exact"]) == (3, 3, True)
    assert meta["counted_from"] is None
    [shop] = auditor.get(f"{LOG}/counts?by=project&limit=1&search=shop").json()["data"]
    assert shop["label"] == "shop"
    listed = auditor.get(f"{LOG}/entries?resource={shop['params']['resource']}&per_page=200")
    assert auditor.get(f"{LOG}/counts?by=project&at_least={shop['count'] + 1}").json()["data"] == []
    below = {entry["attributes"]["resource"]["label"] for entry in listed.json()["data"]}
    assert {"shop", "shop/web", "shop/web/live", "shop/encryption-key/1"} <= below
    [today] = auditor.get(f"{LOG}/counts?by=day&action=delete").json()["data"]
    assert today["count"] == 1
    query = "&".join(f"{name}={text}" for name, text in today["params"].items())
    assert described(auditor.get(f"{LOG}/entries?action=delete&{query}")) == [
        ("delete", "environment")
    ]


@pytest.mark.parametrize("query", ["", "by=colour", "by=actor&limit=x", "by=actor&at_least=-1"])
def test_counts_of_what_cannot_be_counted_are_refused(auditor: Api, query: str) -> None:
    assert auditor.get(f"{LOG}/counts?{query}").status_code == 422


def test_looking_at_the_log_does_not_bury_it(auditor: Api) -> None:
    for action in ("create", "delete", "update"):
        auditor.get(f"{LOG}/entries?action={action}")
    body = auditor.get(f"{LOG}/entries").json()
    assert body["meta"]["left_out"] == ["view"]
    assert "view" not in {action for action, _ in described(auditor.get(f"{LOG}/entries"))}
    for part in ("histogram", "facets", "counts"):
        query = "?by=action" if part == "counts" else ""
        assert auditor.get(f"{LOG}/{part}{query}").json()["meta"]["left_out"] == ["view"]
    for query in ("views=true", "action=view", "type=audit_log", "action=looks"):
        answer = auditor.get(f"{LOG}/entries?{query}")
        assert answer.json()["meta"]["left_out"] == []
        assert ("view", "audit_log") in described(answer)
    exported = auditor.get(f"{LOG}/entries/export")
    assert exported["Audit-Left-Out"] == "view"
    assert '"action":"view"' not in content(exported)
    # Who follows the log copies all of it.
    sealing.seal()
    followed = auditor.get(f"{LOG}/entries?after_seq=0&per_page=200")
    assert ("view", "audit_log") in described(followed)


def test_the_oldest_come_first_if_asked_for(auditor: Api) -> None:
    newest = described(auditor.get(f"{LOG}/entries?action=changes"))
    pages, path = [], f"{LOG}/entries?action=changes&order=oldest&per_page=3"
    bodies = []
    while path:
        answer = auditor.get(path)
        bodies.append(answer.json())
        pages += described(answer)
        path = bodies[-1]["links"]["next"]
    assert pages == newest[::-1]
    assert described(auditor.get(bodies[1]["links"]["prev"])) == pages[:3]
    first = auditor.get(f"{LOG}/entries?action=changes&order=oldest&limit=2")
    assert described(first) == pages[:2]
    last = auditor.get(f"{LOG}/entries/export?action=changes&limit=2")
    assert len(content(last).splitlines()) == 2 == int(last["Audit-Count"])


def test_a_key_is_found_by_its_fingerprint(auditor: Api, acme: Organization) -> None:
    made = ApiKeyFactory.create(organization=acme, name="printed").api_key
    answer = auditor.get(f"{LOG}/entries?id={made.fingerprint}")
    [entry] = answer.json()["data"]
    assert entry["attributes"]["resource"]["id"] == made.ulid
    rival = OrganizationFactory.create(name="Rival")
    theirs = ApiKeyFactory.create(organization=rival, name="theirs").api_key
    body = auditor.get(f"{LOG}/entries?id={theirs.fingerprint}").json()
    assert body["data"] == []
    assert "nothing in this log" in body["meta"]["notes"][0]


def test_the_catalogue_says_what_is_recorded(auditor: Api) -> None:
    catalogue = auditor.get(f"{LOG}/catalogue").json()["data"]
    assert {"create", "delete", "rotate", "view"} <= {one["name"] for one in catalogue["actions"]}
    fields = {one["name"]: one["fields"] for one in catalogue["types"]}
    assert "status" in fields["environment"]
    assert "wrapped_key" not in fields["key_version"]
    assert "denied" in catalogue["results"]
    assert "cli" in catalogue["interfaces"]


def test_reading_and_exporting_leave_entries(
    auditor: Api, left_by: Callable[..., list[Recorded]]
) -> None:
    auditor.get("/user")
    (view,) = left_by(lambda: auditor.get(f"{LOG}/entries?action=delete"))
    assert (view.action, view.type, view.actor) == ("view", "audit_log", "narrow")
    assert view.context["filters"] == "action=delete"
    # The entry is committed when the answer begins, whether or not it is read to its end.
    (export,) = left_by(lambda: auditor.get(f"{LOG}/entries/export?action=delete"))
    assert (export.action, export.context["format"]) == ("export", "ndjson")


def test_exporting_needs_an_ability_of_its_own(api_with: ApiWith, shop: Any) -> None:
    reader = api_with("audit:read")
    assert reader.get(f"{LOG}/entries").status_code == 200
    assert reader.get(f"{LOG}/entries/export").status_code == 403
    exporter = api_with("audit:export")
    assert exporter.get(f"{LOG}/entries").status_code == 403


def test_nothing_of_another_organization_shows(auditor: Api, acme: Organization) -> None:
    rival = OrganizationFactory.create(name="Rival")
    ProjectFactory.create(organization=rival, name="Ballast")
    token = ApiKeyFactory.create(
        organization=rival, abilities=["audit:read"], name="rival-key"
    ).token
    entry = Api(token, rival).get(f"{LOG}/entries").json()["data"][0]["id"]
    assert auditor.get(f"{LOG}/entries/{entry}").status_code == 404
    parts = ("entries", "entries/export", "histogram", "facets")
    for part in parts:
        whole = content(auditor.get(f"{LOG}/{part}"))
        assert "allast" not in whole
        assert rival.ulid not in whole
    # A name that only they have gets the answer of a name that nobody has.
    for part in parts:
        if part == "histogram":  # its first bar begins now
            continue
        for asked in ("q=%s", "resource=%s", "actor=%s"):
            theirs, nobodys = (
                content(auditor.get(f"{LOG}/{part}?{asked % name}")).replace(name, "…")
                for name in ("ballast", "nothing")
            )
            assert theirs == nobodys


def test_an_entry_is_found_by_the_request_that_left_it(auditor: Api, api: Api) -> None:
    request = api.post("/{o}/projects", {"name": "Traced"})["X-Request-Id"]
    found = described(auditor.get(f"{LOG}/entries?request={request}"))
    assert sorted(found) == [("create", "key_version"), ("create", "project")]


def test_a_page_takes_as_many_statements_whatever_its_length(
    auditor: Api, api: Api, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    auditor.get(f"{LOG}/entries")
    counts = []
    for _ in range(2):
        with django_assert_max_num_queries(13) as captured:
            assert auditor.get(f"{LOG}/entries?per_page=100").status_code == 200
        counts.append(len(captured))
        for number in range(10):
            api.post("/{o}/projects", {"name": f"p{number}"})
    assert counts[0] == counts[1]
