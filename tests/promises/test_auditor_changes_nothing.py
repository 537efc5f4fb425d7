"""Promise 5: an auditor reads. No route, by page or by API, changes a row or reveals a secret.

The walk is over the URL map itself, with every method, so a new route is walked without being named
here. The same walk as an owner changes much: it does reach the verbs.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from audit.coverage.routes import all_routes
from audit.evidence.notes import WitnessKey
from audit.models import Witness
from audit.questions import saved_views
from dotenv_cloud.environment import Limit
from keys import access_tokens, retrieval, rotation, secrets
from keys.authors import SYSTEM
from keys.levels import Level
from keys.models import AccessToken, ApiKey, KeyVersion, Secret, SecretVersion
from organizations import members, roles
from organizations.grants import EVERYTHING
from organizations.models import Invitation, Organization, User
from organizations.roles import Role
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

# Signing in makes a session, is counted, and leaves entries; a key remembers its last use.
_UNCOMPARED = re.compile(
    r"audit_(?!savedview)|django_session$|organizations_limit$|django_migrations$"
)
_UNCOMPARED_COLUMNS = ["last_login", "last_used_at", "last_used_ip", "seen_from", "updated_at"]

_VERBS = ("role", "remove", "rotate", "revoke", "accept", "withdraw", "delete")
"""What the buttons of pages send as their action."""

PLAINTEXT = "what only who decrypts may read"

BODY = {
    "name": "Mine now",
    "slug": "mine-now",
    "description": "changed",
    "metadata": {"changed": True},
    "status": "production",
    "email": "friend@example.org",
    "role": "owner",
    "abilities": ["project:read"],
    "history_policy": "re_encrypt",
    "expires_at": None,
    "sure": "yes",
    # The level that bodies name, what is done to it, and what it would hold.
    "project": "my-app",
    "target": "backend",
    "environment": "production",
    "content": "TOKEN=mine now",
    "scope": "project",
    "confirmed": True,
    "force": True,
    "decrypt": True,
}
FORM = {
    **{name: value for name, value in BODY.items() if isinstance(value, str | list)},
    "old_password": "wrong",
    "new_password1": "an altogether different one",
    "new_password2": "an altogether different one",
    "username": "friend@example.org",
    "password": "an altogether different one",
}


class Scene(NamedTuple):
    """An organization with one of everything; `secrets`: what only few may see, by what it is."""

    organization: Organization
    paths: dict[str, str]
    secrets: dict[str, str]


def _texts(name: str, value: bytes) -> dict[str, str]:
    """Binary, as an answer may spell it."""
    return {
        f"{name}, in hexadecimal": value.hex(),
        f"{name}, in base64": base64.b64encode(value).decode().rstrip("="),
        f"{name}, in base64 of addresses": base64.urlsafe_b64encode(value).decode().rstrip("="),
    }


def _secrets(*tokens: str) -> dict[str, str]:
    found = {f"token {number}": token for number, token in enumerate(tokens)}
    for version in KeyVersion.objects.all():
        assert version.wrapped_key is not None
        found |= _texts(f"wrapped key {version.version}", bytes(version.wrapped_key))
    for model in (Secret, SecretVersion):
        for row in model.objects.all():
            found |= _texts(f"content of {row}", bytes(row.content))
    for api_key in ApiKey.objects.all():
        found |= _texts(f"token hash of {api_key.name}", bytes(api_key.token_hash))
    for access_token in AccessToken.objects.all():
        found |= _texts(f"token hash of {access_token.name}", bytes(access_token.token_hash))
    for invitation in Invitation.objects.all():
        found |= _texts("invitation hash", bytes(invitation.token_hash))
    for user in User.objects.all():
        found[f"password hash of {user.email}"] = user.password
    return found


@pytest.fixture
def scene(transactional_db: None, settings: Any) -> Scene:
    settings.RATE_LIMITS = {name: Limit(100_000, 60) for name in settings.RATE_LIMITS}
    organization = OrganizationFactory.create(name="Acme")
    project = ProjectFactory.create(organization=organization)
    environment = EnvironmentFactory.create(target__project=project)
    level = Level(project, environment.target, environment)
    for number in (1, 2):
        secrets.store(level, f"TOKEN={PLAINTEXT}{number}", author=SYSTEM)
    _, first = retrieval.retrieve(project)
    rotation.rotate(project)
    _, second = retrieval.retrieve(project)
    assert first and second
    developer = MembershipFactory.create(organization=organization, role="developer")
    issued = ApiKeyFactory.create(organization=organization, name="deploy")
    laptop = access_tokens.create(developer.user, "laptop")
    invited = members.invite(
        organization, "new@example.org", "developer", invited_by=None, granter=EVERYTHING
    )
    view = saved_views.save(
        organization, developer.user, "Deletions", "action=delete", is_shared=True
    )
    witness = Witness.objects.create(
        organization=organization, name="w", vkey=WitnessKey("w", b"w" * 32).vkey
    )
    paths = {
        "organization": organization.slug,
        "project": project.slug,
        "target": environment.target.slug,
        "environment": environment.slug,
        "api_key": issued.api_key.ulid,
        "access_token": laptop.access_token.ulid,
        "member": developer.ulid,
        "resource": project.ulid,
        "view": view.ulid,
        "witness": witness.ulid,
        "actor": developer.user.ulid,
        "membership": developer.ulid,
        "invitation": invited.invitation.ulid,
        "entry": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "version": str(SecretVersion.objects.order_by("number")[0].number),
        # The link itself went out by mail, and its holder may join; an auditor does not have it.
        "token": "a-token-that-somebody-guessed",
        "tile": "0/000.p/1",
        "uidb64": base64.urlsafe_b64encode(str(developer.user.pk).encode()).decode().rstrip("="),
        "object_id": str(project.pk),
    }
    hidden = _secrets(issued.token, laptop.token, invited.token)
    hidden |= {"the first key": first, "the key": second, "what a secret says": PLAINTEXT}
    return Scene(organization, paths, hidden)


def addresses(paths: dict[str, str]) -> list[str]:
    """Every route of the site, with names of what is there."""
    found = []
    for route in all_routes():
        path = re.sub(r"{(\w+)}", lambda match: paths[match[1]], route.path)
        path = re.sub(r"\(\?P<\w+>(\w+)[^)]*\)", r"\1", path)
        path = re.sub(r"\(\?:/\.\*\)\?", "/anything", path)
        path = re.sub(r"\(\?:(\w+)[^)]*\)", r"\1", path).removesuffix("$")
        assert not re.search(r"[<>{}()?*$]", path), route.path
        found.append(path)
    # An address longer than another may lie in it: the deepest go first, before it is deleted. Of
    # equally deep ones those of nodes, before the key that walks is deleted among the others.
    return sorted(found, key=lambda path: (-path.count("/"), "/organizations/" in path))


def ask(client: Client, method: str, path: str, **sent: Any) -> str:
    response = client.generic(method, path, **sent)
    assert response.status_code < 500, (method, path)
    if response.streaming:
        return b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    return response.content.decode()


def walk_the_pages(
    user: User, paths: dict[str, str], *, leaving_out: str = "", methods: Iterable[str] = METHODS
) -> Iterator[tuple[str, str]]:
    """Each request that somebody signed in can make, with what it answers.

    The API knows no session: there one body does for all.
    """
    client = Client(raise_request_exception=False)
    client.force_login(user)
    for path in addresses(paths):
        if path == leaving_out:
            continue
        for method in methods:
            forms = [FORM]
            if method == "POST" and not path.startswith(("/admin", "/api/")):
                forms = [{}, *({**FORM, "action": verb} for verb in _VERBS)]
            for form in forms:
                data = encode_multipart(BOUNDARY, form)
                sent = {"data": data, "content_type": MULTIPART_CONTENT}
                said = ask(client, method, path, **({} if method == "GET" else sent))
                yield f"{method} {path} {form.get('action', '')}", said
                if path == "/sign-out":
                    client.force_login(user)


def walk_the_api(
    token: str, paths: dict[str, str], *, leaving_out: str = ""
) -> Iterator[tuple[str, str]]:
    client = Client(raise_request_exception=False)
    headers = {"authorization": f"Bearer {token}"}
    for path in addresses(paths):
        if path.startswith("/api/") and path != leaving_out:
            for method in METHODS:
                sent = {"data": json.dumps(BODY), "content_type": "application/json"}
                said = ask(client, method, path, headers=headers, **sent)
                yield f"{method} {path}", said


@pytest.fixture
def rows(owner_connection: psycopg.Connection[Any]) -> Callable[[], dict[str, list[Any]]]:
    """The rows of all tables but those that reading may write to."""

    def read() -> dict[str, list[Any]]:
        tables = owner_connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        ).fetchall()
        return {
            table: owner_connection.execute(
                f"SELECT to_jsonb(t) - %s::text[] FROM {table} t ORDER BY 1", [_UNCOMPARED_COLUMNS]
            ).fetchall()
            for (table,) in tables
            if not _UNCOMPARED.match(table)
        }

    return read


def changed(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> set[str]:
    return {table for table in before.keys() | after.keys() if before.get(table) != after[table]}


def differences(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> list[Any]:
    """The rows that came or went, with their tables."""
    return [
        (table, row)
        for table in sorted(changed(before, after))
        for row in [
            *(row for row in before[table] if row not in after[table]),
            *(row for row in after[table] if row not in before[table]),
        ]
    ]


Rows = Callable[[], dict[str, list[Any]]]
DOMAIN = {
    "organizations_project",
    "organizations_membership",
    "keys_apikey",
    "keys_keyversion",
    "keys_secret",
    "keys_secretversion",
}


def assert_nothing_revealed(scene: Scene, walk: Iterator[tuple[str, str]]) -> None:
    answers = list(walk)
    assert len(answers) > 200
    for request, said in answers:
        for what, secret in scene.secrets.items():
            assert secret not in said, f"{request} reveals {what}"


def test_the_pages(scene: Scene, rows: Rows) -> None:
    membership = MembershipFactory.create(organization=scene.organization, auditor=True)
    before = rows()
    assert set(before) >= DOMAIN
    # Anybody may make an organization of their own.
    walk = walk_the_pages(membership.user, scene.paths, leaving_out="/organizations/new")
    assert_nothing_revealed(scene, walk)
    # Everyone who may sign in may have access tokens, which open no more than they may themselves.
    own = {("keys_accesstoken", str(membership.user_id))}
    found = differences(before, rows())
    assert [row for row in found if (row[0], row[1][0].get("user_id")) not in own] == []


def test_the_page_of_the_own_membership(scene: Scene, rows: Rows) -> None:
    """An auditor may leave, and no more."""
    membership = MembershipFactory.create(organization=scene.organization, auditor=True)
    client = Client(raise_request_exception=False)
    client.force_login(membership.user)
    before = rows()
    path = f"/o/{scene.organization.slug}/members/{membership.ulid}"
    for verb in _VERBS:
        client.post(path, {**FORM, "action": verb})
    assert differences(before, rows()) == []


def test_the_api(scene: Scene, rows: Rows) -> None:
    abilities = roles.PERMISSIONS[Role.AUDITOR]
    token = ApiKeyFactory.create(
        organization=scene.organization, abilities=abilities, name="auditor"
    ).token
    before = rows()
    assert_nothing_revealed(scene, walk_the_api(token, scene.paths))
    assert differences(before, rows()) == []


def test_the_api_by_an_access_token(scene: Scene, rows: Rows) -> None:
    auditor = MembershipFactory.create(organization=scene.organization, auditor=True).user
    token = access_tokens.create(auditor, "laptop").token
    before = rows()
    # Anybody may make an organization of their own.
    walk = walk_the_api(token, scene.paths, leaving_out="/api/v1/organizations")
    assert_nothing_revealed(scene, walk)
    assert differences(before, rows()) == []


def test_the_same_walk_as_an_owner_changes_much(scene: Scene, rows: Rows) -> None:
    owner = scene.organization.memberships.get(role="owner").user
    token = ApiKeyFactory.create(
        organization=scene.organization, abilities=roles.ALL, created_by=owner
    ).token
    key = f"/api/v1/{scene.organization.slug}/my-app/encryption-key"
    said = ask(Client(), "GET", key, headers={"authorization": f"Bearer {token}"})
    assert scene.secrets["the key"] in said
    before = rows()
    for _ in walk_the_api(token, scene.paths):
        pass
    assert changed(before, rows()) >= DOMAIN


def test_the_same_pages_as_an_owner_change_much(scene: Scene, rows: Rows) -> None:
    owner = scene.organization.memberships.get(role="owner").user
    before = rows()
    for _ in walk_the_pages(owner, scene.paths, methods=["POST"]):
        pass
    assert changed(before, rows()) >= DOMAIN - {"organizations_project"}
