"""The OpenAPI document: valid, whole, and true of what is answered."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate

from audit.coverage.routes import all_routes
from organizations.models import Environment, Organization
from tests.api.conftest import Api
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.django_db

UNDESCRIBED = re.compile(
    r"openapi|api/docs|schemas/|telemetry|oauth|organizations/\{organization\}/(?:projects|secrets)|\(|api/$"
)
"""The document itself, what is dropped unread, and the long paths that are on their way out."""


@pytest.fixture
def document(db: None) -> dict[str, Any]:
    response = Api(None).get("/openapi.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.0")
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_every_operation_is_described_and_named_once(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    offered = {
        (method, path)
        for route in all_routes()
        if route.path.startswith("/api/")
        for path in [route.path]
        if not UNDESCRIBED.search(path)
        for method in route.methods
    }
    assert described == offered
    operations = [o for path in document["paths"].values() for o in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["summary"]
        assert {"401", "403", "404", "422", "429"} <= operation["responses"].keys()


def test_the_log_describes_what_it_may_be_asked(document: dict[str, Any]) -> None:
    path = "/api/v1/organizations/{organization}/audit/entries"
    named = {parameter["name"] for parameter in document["paths"][path]["get"]["parameters"]}
    assert {"actor", "action", "type", "resource", "result", "ip", "since", "until"} <= named


def test_an_entry_is_as_its_schema_says_in_the_api_and_in_an_export(
    api: Api, acme: Organization, live: Environment
) -> None:
    published = Api(None).get("/schemas/entry-1.json").json()
    assert published["$id"].endswith("/api/v1/schemas/entry-1.json")
    Draft202012Validator.check_schema(published)
    validator = Draft202012Validator(published)
    listed = [
        each["attributes"] for each in api.get("/organizations/{o}/audit/entries").json()["data"]
    ]
    export = api.get("/organizations/{o}/audit/entries/export")
    lines = [json.loads(line) for line in b"".join(export.streaming_content).splitlines()]
    assert len(lines) >= len(listed) > 3
    for entry in (*listed, *lines):
        assert [problem.message for problem in validator.iter_errors(entry)] == []
        for name in ("actor", "seq", "changes"):
            assert list(validator.iter_errors({**entry, name: "neither"}))
            assert list(validator.iter_errors({k: v for k, v in entry.items() if k != name}))


def test_answers_are_as_described(
    document: dict[str, Any], api: Api, acme: Organization, live: Environment
) -> None:
    names = {
        "organization": acme.slug,
        "project": "shop",
        "target": "web",
        "environment": "live",
        "member": acme.memberships.get().ulid,
        "api_key": ApiKeyFactory.create(organization=acme, name="other").api_key.ulid,
        "entry": api.get("/organizations/{o}/audit/entries").json()["data"][0]["id"],
    }
    assert api.post("/{o}/shop/encryption-key/rotate").status_code == 200
    place = {"project": "shop", "target": "web", "environment": "live"}
    for text in ("A=1", "A=2"):
        api.post("/{o}/secrets/store", {**place, "content": text})
    names["version"] = api.post("/{o}/secrets/versions", place).json()["data"][0]["id"]
    checked = 0
    for path, operations in document["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content")
        if content is None:
            continue
        query = "?by=actor" if path.endswith("/counts") else ""
        response = api.get(path.format(**names) + query)
        assert response.status_code == 200, path
        schema = {**content["application/json"]["schema"], "components": document["components"]}
        problems = list(OAS30Validator(schema).iter_errors(response.json()))
        assert not problems, (path, problems[0].message)
        checked += 1
    assert checked >= 18


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        (
            "post",
            "/{organization}/secrets/store",
            {"project": "shop", "target": None, "content": "A=1"},
            200,
        ),
        ("post", "/{organization}/secrets/versions", {"project": "shop", "per_page": 2}, 200),
        (
            "post",
            "/{organization}/secrets/versions/purge",
            {"project": "shop", "scope": "project", "confirmed": True},
            200,
        ),
        ("post", "/{organization}/projects", {"name": "New"}, 201),
        ("post", "/{organization}/{project}/targets", {"name": "New"}, 201),
        ("patch", "/{organization}/{project}", {"name": "New"}, 200),
        ("post", "/{organization}/{project}/encryption-key/rotate", {}, 200),
        (
            "post",
            "/organizations/{organization}/api-keys",
            {"name": "New", "abilities": ["*"]},
            201,
        ),
        (
            "post",
            "/organizations/{organization}/members",
            {"email": "new@example.org", "role": "member"},
            201,
        ),
        ("post", "/organizations", {"name": "New"}, 201),
    ],
)
def test_bodies_and_answers_to_them_are_as_described(
    document: dict[str, Any],
    api: Api,
    live: Environment,
    method: str,
    path: str,
    body: dict[str, Any],
    status: int,
) -> None:
    operation = document["paths"][f"/api/v1{path}"][method]
    more = {"components": document["components"]}
    asked = operation["requestBody"]["content"]["application/json"]["schema"]
    assert not list(OAS30Validator({**asked, **more}).iter_errors(body))
    response = api.send(method, path.format(organization="acme", project="shop"), body)
    assert response.status_code == status
    answered = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    problems = list(OAS30Validator({**answered, **more}).iter_errors(response.json()))
    assert not problems, problems[0].message


def test_errors_are_as_described(document: dict[str, Any], api: Api) -> None:
    operation = document["paths"]["/api/v1/{organization}/projects"]["post"]
    for response in (api.post("/{o}/projects", {}), Api(None).post("/acme/projects", {})):
        answers = operation["responses"][str(response.status_code)]
        schema = {
            **answers["content"]["application/json"]["schema"],
            "components": document["components"],
        }
        assert not list(OAS30Validator(schema).iter_errors(response.json()))
