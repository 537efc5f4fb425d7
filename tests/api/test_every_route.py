"""What holds of every route: it wants a token, an ability, and its own organization."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from audit.coverage.routes import all_routes
from audit.evidence.notes import WitnessKey
from audit.models import Witness
from keys import secrets
from keys.authors import SYSTEM
from keys.levels import Level
from keys.models import SecretVersion
from organizations.models import Environment, Organization
from tests.api.conftest import Api, ApiWith, Recorded, caller
from tests.factories import ApiKeyFactory, EnvironmentFactory

pytestmark = pytest.mark.django_db

OPEN = {"/user", "/organization"}
"""Every token may ask who it is."""


def routes() -> Iterator[tuple[str, str]]:
    """Each method and path of the API that is about an organization or the caller."""
    for route in all_routes():
        path = route.path.removeprefix("/api/v1")
        is_about_one = "{organization}" in path or path in {*OPEN, "/organizations"}
        if route.path.startswith("/api/v1/") and is_about_one:
            yield from ((method, path) for method in [*route.methods, "HEAD"])


def named(path: str, **values: str) -> str:
    return re.sub(r"{(\w+)}", lambda match: values[match[1]], path)


ROUTES = sorted(set(routes()))
ABOUT_AN_ORGANIZATION = [route for route in ROUTES if "{organization}" in route[1]]


def references(environment: Environment) -> dict[str, str]:
    """Names of what is really there in the environment's organization."""
    organization = environment.organization
    witness = Witness.objects.create(
        organization=organization, name="w", vkey=WitnessKey("w", b"w" * 32).vkey
    )
    return {
        "organization": organization.slug,
        "project": environment.target.project.slug,
        "target": environment.target.slug,
        "environment": environment.slug,
        "api_key": ApiKeyFactory.create(organization=organization).api_key.ulid,
        "member": organization.memberships.get().ulid,
        "entry": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "tile": "0/000.p/1",
        "witness": witness.ulid,
        "version": str(version_of(environment)),
    }


def version_of(environment: Environment) -> int:
    """The number of a version of the environment's secret."""
    level = Level(environment.target.project, environment.target, environment)
    for text in ("A=1", "A=2"):
        secrets.store(level, text, author=SYSTEM)
    newest = SecretVersion.objects.filter(environment=environment).first()
    assert newest is not None
    return newest.number


def body(values: dict[str, str]) -> dict[str, Any]:
    """What every route finds something in."""
    place = {name: values[name] for name in ("project", "target", "environment")}
    return {
        **place,
        "name": "x",
        "role": "member",
        "action": "read",
        "content": "A=1",
        "confirmed": True,
        "history_policy": "keep",
    }


@pytest.fixture
def foreign(acme: Organization) -> Environment:
    """In another organization."""
    return EnvironmentFactory.create(target__project__organization__name="Rival")


def test_the_walk_sees_the_whole_api() -> None:
    assert len(ROUTES) > 60
    assert ("POST", "/{organization}/{project}/encryption-key/rotate") in ROUTES
    assert ("GET", "/organizations/{organization}/audit/entries/export") in ROUTES


def test_nothing_is_answered_without_a_token(live: Environment, no_limits: None) -> None:
    values = references(live)
    anonymous = Api(None)
    for method, path in ROUTES:
        response = anonymous.send(method, named(path, **values))
        assert response.status_code == 401, (method, path)


def test_another_organization_is_as_good_as_none(
    api: Api, foreign: Environment, no_limits: None
) -> None:
    there = references(foreign)
    nowhere = {**there, "organization": "nobody"}
    by_ulid = {**there, "organization": foreign.organization.ulid}
    for method, path in ABOUT_AN_ORGANIZATION:
        hidden = api.send(method, named(path, **there), body(there))
        absent = api.send(method, named(path, **nowhere), body(there))
        other = api.send(method, named(path, **by_ulid), body(there))
        assert hidden.status_code == absent.status_code == other.status_code == 404, (method, path)
        assert hidden.content == absent.content == other.content, (method, path)
    foreign.refresh_from_db()


def test_nothing_of_another_organization_is_reached_through_ones_own(
    api_with: ApiWith, acme: Organization, foreign: Environment, no_limits: None
) -> None:
    api = api_with("*", "audit:manage")
    target = foreign.target
    theirs = {
        **references(foreign),
        "organization": acme.slug,
        "project": target.project.ulid,
        "target": target.ulid,
        "environment": foreign.ulid,
    }
    below = [
        route
        for route in ABOUT_AN_ORGANIZATION
        if route[1].count("{") > 1 or "/secrets/" in route[1]
    ]
    assert len(below) > 30
    for method, path in below:
        response = api.send(method, named(path, **theirs), body(theirs))
        assert response.status_code in (404, 405), (method, path)
    foreign.refresh_from_db()


def test_every_route_needs_an_ability(
    api_with: ApiWith, live: Environment, no_limits: None
) -> None:
    """`billing:read` opens nothing here. HEAD needs what GET needs: a length reveals something."""
    values = references(live)
    powerless = api_with("billing:read")
    for method, path in ROUTES:
        response = powerless.send(method, named(path, **values), body(values))
        if path in OPEN or (path == "/organizations" and method in ("GET", "HEAD")):
            assert response.status_code == 200
        elif response.status_code != 405:
            assert response.status_code == 403, (method, path)
    live.refresh_from_db()


@pytest.mark.django_db(transaction=True)
def test_a_look_elsewhere_is_entered_where_the_token_belongs(
    api: Api, acme: Organization, foreign: Environment, left_by: Callable[..., list[Recorded]]
) -> None:
    api.get("/user")
    (entry,) = left_by(lambda: api.get(f"/{foreign.organization.slug}/projects"))
    assert entry.organization_id == acme.pk
    assert (entry.action, entry.result, entry.actor_type) == ("access", "denied", "api_key")
    assert entry.context["status"] == 404
    assert entry.context["reason"] == "not_found"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("abilities", "method", "path", "status", "reason"),
    [
        (["project:read"], "DELETE", "/{o}/shop", 403, "insufficient_permissions"),
        (["project:read"], "HEAD", "/{o}/shop/targets", 403, "insufficient_permissions"),
    ],
)
def test_a_refusal_is_entered(
    acme: Organization,
    live: Environment,
    left_by: Callable[..., list[Recorded]],
    abilities: list[str],
    method: str,
    path: str,
    status: int,
    reason: str,
) -> None:
    api = caller(acme, *abilities)
    api.get("/user")
    answers: list[Any] = []
    (entry,) = left_by(lambda: answers.append(api.send(method, path)))
    assert answers[0].status_code == status
    assert entry.organization_id == acme.pk
    assert entry.result == "denied"
    assert (entry.context["status"], entry.context["reason"]) == (status, reason)
