"""What holds of every answer: headers, errors as JSON, limits, addresses in any case."""

from __future__ import annotations

import datetime as dt
import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from django.db import connection

from dotenv_cloud.environment import Limit
from keys.models import ApiKey
from organizations import clock, ulid
from organizations.models import Environment, Organization, Project
from tests.api.conftest import Api, ApiWith

pytestmark = pytest.mark.django_db

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


def assert_headers(response: Any) -> None:
    assert response["X-API-Version"] == "1"
    assert ULID.fullmatch(response["X-Request-Id"])
    assert response["Cache-Control"] == "no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-XSS-Protection"] == "1; mode=block"


def assert_error(response: Any, status: int, error: str) -> dict[str, Any]:
    """The envelope, and the headers that errors have too."""
    assert response.status_code == status, response.content
    assert_headers(response)
    assert response["Content-Type"] == "application/json"
    body: dict[str, Any] = response.json()
    assert body["error"] == error
    assert body["message"]
    assert not {"data", "response"} & set(body)
    return body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/user", 200),
        ("get", "/organization", 200),
        ("get", "/organizations", 200),
        ("get", "/organizations/{o}", 200),
        ("get", "/{o}/projects", 200),
        ("post", "/{o}/projects", 201),
        ("get", "/organizations/{o}/audit/entries", 200),
        ("get", "/organizations/{o}/audit/entries/export", 200),
        ("get", "/openapi.json", 200),
        ("post", "/cli/telemetry", 200),
        ("post", "/api/oauth/token", 400),
    ],
)
def test_every_answer_carries_the_headers(api: Api, method: str, path: str, status: int) -> None:
    response = api.send(method, path, {"name": "Shop"} if method == "post" else None)
    assert response.status_code == status
    assert_headers(response)


@pytest.mark.parametrize("path", ["/api/oauth/token", "/api/oauth/revoke"])
def test_answers_to_oauth_say_what_to_do(api: Api, path: str) -> None:
    body = api.post(path, {"grant_type": "authorization_code"}).json()
    assert body["error"] == "unsupported_grant_type"
    assert body["message"] == body["error_description"]
    assert "dotenv login --api-key" in body["message"]


def test_the_page_of_oauth_says_what_to_do(client: Any) -> None:
    """Clients open it in a browser; it follows nothing that its address says."""
    query = {"redirect_uri": "https://evil.example.org/callback", "state": "<script>"}
    response = client.get("/oauth/authorize", query)
    assert response.status_code == 200
    assert "dotenv login --api-key" in response.content.decode()
    assert "evil.example.org" not in response.content.decode()
    assert "<script>" not in response.content.decode()
    assert client.post("/oauth/authorize", query).status_code == 405


def test_an_answer_without_a_body_carries_them_too(api: Api, shop: Project) -> None:
    response = api.delete("/{o}/shop")
    assert (response.status_code, response.content) == (204, b"")
    assert_headers(response)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/plans",
        "/cli/anything",
        "/organizations/{o}/teams",
        "/organizations/{o}/audit",
        "/user/keys",
        "/{o}/projects/",
        "/{o}/shop/",
        "/user/",
        "/api/v2/user",
        "/api/",
        "/{o}/shop/web/live/secrets/more",
    ],
)
def test_unknown_paths_are_answered_in_json_and_never_redirected(
    api: Api, live: Environment, path: str
) -> None:
    for method in ("get", "post", "delete"):
        assert_error(api.send(method, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("delete", "/{o}/projects"),
        ("post", "/{o}/shop"),
        ("put", "/user"),
        ("get", "/{o}/shop/encryption-key/rotate"),
        ("delete", "/organizations/{o}/audit/entries"),
        ("post", "/organizations/{o}/projects"),
    ],
)
def test_a_method_that_is_not_offered_is_405(
    api: Api, shop: Project, method: str, path: str
) -> None:
    response = api.send(method, path)
    assert_error(response, 405, "method_not_allowed")
    assert "GET" in response["Allow"] or "POST" in response["Allow"]


@pytest.mark.parametrize("body", ["{", '{"name": }', "name=Shop", '{"name": NaN}', "\xff"])
def test_a_body_that_is_not_json_is_400(api: Api, body: str) -> None:
    assert_error(api.post("/{o}/projects", body.encode("latin-1")), 400, "malformed_json")


@pytest.mark.parametrize("body", ["[]", '"Shop"', "3", "null", "[{}]"])
def test_json_that_is_not_an_object_is_422(api: Api, body: str) -> None:
    error = assert_error(api.post("/{o}/projects", body.encode()), 422, "validation_failed")
    assert "JSON object" in error["message"]


def test_a_form_is_415(api: Api) -> None:
    form = "application/x-www-form-urlencoded"
    response = api.post("/{o}/projects", "name=Shop", content_type=form)
    assert_error(response, 415, "unsupported_media_type")


def test_a_body_that_is_too_large_is_413(api: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert_error(api.post("/{o}/projects", {"name": "a" * 2000}), 413, "payload_too_large")


def test_nul_characters_are_refused_and_not_a_crash(api: Api) -> None:
    assert_error(api.post("/{o}/projects", {"name": "a\0b"}), 422, "validation_failed")
    assert_error(
        api.post("/{o}/projects", {"name": "a", "description": "\0"}), 422, "validation_failed"
    )
    assert_error(api.get("/{o}/a%00b"), 404, "not_found")


def test_half_a_character_is_refused_and_not_a_crash(api: Api) -> None:
    """A refusal may quote what it refuses, and this is nothing that can be written."""
    for name in ("name", "secret_format", "storage_mode"):
        answer = api.post("/{o}/projects", {"name": "a", name: "\ud800"})
        assert set(assert_error(answer, 422, "validation_failed")["errors"]) == {name}


def test_an_error_names_each_field_in_its_message(api: Api) -> None:
    body = {"description": "x" * 1001, "storage_mode": "none"}
    error = assert_error(api.post("/{o}/projects", body), 422, "validation_failed")
    assert set(error["errors"]) == {"name", "description", "storage_mode"}
    for name, texts in error["errors"].items():
        assert isinstance(texts, list)
        assert f"{name}: {texts[0]}" in error["message"]


def test_who_accepts_something_else_gets_json(api: Api) -> None:
    for accept in ("text/html", "application/xml", "application/json;q=0.1"):
        response = api.get("/user", headers={"accept": accept})
        assert response["Content-Type"] == "application/json"


def test_a_crash_is_json_without_a_trace(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*args: Any) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr("dotenv_cloud.api.resources.organization", crash)
    response = api.get("/organization")
    assert_error(response, 500, "server_error")
    assert b"swordfish" not in response.content


# -- Who calls


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic b2xnYTpzZWNyZXQ=",
        "Token abc",
        "Bearer dotenv_nothing",
        "Bearer dotenv_\u00e9\u00e9",
    ],
)
def test_without_a_good_token_it_is_401(header: str) -> None:
    response = Api(None).get("/user", headers={"authorization": header} if header else None)
    assert_error(response, 401, "unauthenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="dotenv"'


def test_revoked_and_expired_tokens_are_401(acme: Organization, api_with: ApiWith) -> None:
    api = api_with("*", expires_at=clock.now() + dt.timedelta(hours=1))
    assert api.get("/user").status_code == 200
    ApiKey.objects.filter(name="narrow").update(expires_at=clock.now())
    error = assert_error(api.get("/user"), 401, "unauthenticated")
    assert "expired" in error["message"]
    ApiKey.objects.get(name="narrow").delete()
    assert_error(api.get("/user"), 401, "unauthenticated")


def test_a_missing_ability_is_403_and_named(api_with: ApiWith, shop: Project) -> None:
    error = assert_error(
        api_with("project:read").delete("/{o}/shop"), 403, "insufficient_permissions"
    )
    assert error["details"] == {"required": "project:delete"}
    assert Project.objects.filter(pk=shop.pk).exists()


def test_an_organization_that_is_not_active_reaches_nothing(api: Api, acme: Organization) -> None:
    acme.status = "suspended"
    acme.save()
    assert_error(api.get("/{o}/projects"), 403, "organization_inactive")


# -- Limits


def test_the_limits_are_those_that_clients_know(settings: Any) -> None:
    assert settings.RATE_LIMITS["api"] == Limit(100, 60)
    assert settings.RATE_LIMITS["rotate"] == Limit(10, 3600)
    assert settings.RATE_LIMITS["failed_authentication"] == Limit(30, 60)


def test_answers_say_how_much_is_left(api: Api, settings: Any) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "api": Limit(3, 60)}
    for left in (2, 1, 0):
        response = api.get("/user")
        assert (response["X-RateLimit-Limit"], response["X-RateLimit-Remaining"]) == (
            "3",
            str(left),
        )
        assert 0 < int(response["X-RateLimit-Reset"]) - clock.now().timestamp() <= 61
    response = api.get("/user")
    assert_error(response, 429, "rate_limited")
    assert 1 <= int(response["Retry-After"]) <= 61
    assert response["X-RateLimit-Remaining"] == "0"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE organizations_limit SET ends_at = now() - interval '1 second'")
    assert api.get("/user")["X-RateLimit-Remaining"] == "2"


def test_refusals_count_and_the_whole_organization_shares_the_limit(
    api: Api, api_with: ApiWith, settings: Any
) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "api": Limit(2, 60)}
    assert api_with("project:read").get("/organizations/{o}/members").status_code == 403
    assert api.get("/{o}/nothing").status_code == 404
    assert_error(api.get("/user"), 429, "rate_limited")


def test_wrong_tokens_are_limited_by_address(settings: Any) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "failed_authentication": Limit(2, 60)}
    wrong = Api("dotenv_wrong")
    assert [wrong.get("/user").status_code for _ in range(3)] == [401, 401, 429]
    response = wrong.get("/user")
    assert_error(response, 429, "rate_limited")
    assert int(response["Retry-After"]) >= 1
    assert response["X-RateLimit-Limit"] == "2"
    elsewhere = wrong.send("GET", "/user", REMOTE_ADDR="192.0.2.9")
    assert_error(elsewhere, 401, "unauthenticated")
    assert elsewhere["X-RateLimit-Remaining"] == "1"


# -- Addresses


def test_organizations_and_nodes_are_named_by_slug_or_ulid_in_any_case(
    api: Api, acme: Organization, live: Environment
) -> None:
    web, shop = live.target, live.target.project
    for change in (str.upper, str.lower):
        for name in (
            [acme.slug, shop.slug, web.slug, live.slug],
            [ulid.to_text(node.pk) for node in (acme, shop, web, live)],
        ):
            path = "/".join(change(part) for part in name)
            response = api.get(f"/{path}")
            assert response.status_code == 200, path
            assert response.json()["data"]["id"] == ulid.to_text(live.pk)
        for part in (acme.slug, acme.ulid):
            assert api.get(f"/organizations/{change(part)}").status_code == 200
            assert api.get(f"/{change(part)}/projects").status_code == 200


def test_long_paths_are_read_only_and_on_their_way_out(api: Api, live: Environment) -> None:
    path = "/organizations/{o}/projects"
    for part in ("", "/shop", "/targets", "/web", "/environments", "/live"):
        path += part
        response = api.get(path)
        assert response.status_code == 200, path
        assert_headers(response)
        assert response["Deprecation"] == "true"
        assert parsedate_to_datetime(response["Sunset"]) > clock.now()
        for method in ("post", "put", "patch", "delete"):
            assert_error(api.send(method, path, {}), 405, "method_not_allowed")
    short = "/{o}/shop/web/live"
    assert api.get(path).json() == api.get(short).json()
    for path in (short, "/organizations", "/organizations/{o}", "/organizations/{o}/api-keys"):
        response = api.get(path)
        assert "Deprecation" not in response
        assert "Sunset" not in response
