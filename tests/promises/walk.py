"""One request or more for each route and method of the site, by somebody who may.

`REQUESTS` has what a route needs to do its work; a route that it does not name is asked for by GET,
without more. Each request is made in the same scene, and rolled back afterwards.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.test import Client, override_settings
from guardian.shortcuts import assign_perm

from audit.evidence import reading, signing
from audit.evidence.notes import WitnessKey
from audit.export import download, packs
from audit.models import Entry, Witness
from audit.questions import saved_views, tenant_scope, waiting
from keys import access_tokens, client_keys, crypto, retrieval, rotation, secrets
from keys.authors import SYSTEM
from keys.levels import Level
from keys.models import Secret, SecretVersion
from keys.projects import create_project
from organizations import creation, limits, members
from organizations.grants import EVERYTHING
from organizations.models import Organization, Project, User
from organizations.read_only_admin import ReadOnlyAdmin
from organizations.ulid import NIL
from tests.evidence import prove_all, seal_all
from tests.factories import (
    PASSWORD,
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    UserFactory,
)

NEW_PASSWORD = "an altogether different one"
CLIENT_KEY = "a key that only its programs have!"
NEXT_KEY = "another key that only its programs have"

Pairs = frozenset[tuple[str, str]]
"""What is recorded: (action, resource type)."""


class Noted(NamedTuple):
    """What an entry says of its event."""

    action: str
    type: str
    result: str
    reason: str


class Left(NamedTuple):
    """The status of the answer to a request, and what it recorded."""

    status: int
    entries: frozenset[Noted]

    @property
    def pairs(self) -> Pairs:
        return frozenset((entry.action, entry.type) for entry in self.entries)


class Scene(NamedTuple):
    """An organization with one of everything.

    paths: how routes name it; rows: ids by the lists of the admin; known: entries of its making.
    """

    organization: Organization
    owner: User
    member: User
    paths: dict[str, str]
    rows: dict[str, str]
    tokens: dict[str, str]
    sessions: dict[str, str]
    vault: Project
    known: frozenset[Any]


@dataclass(frozen=True)
class Sent:
    """A request. body: a form, or for the API a JSON document; a function makes it of the scene.

    by: whose browser ("owner", "member", "admin", "nobody" ...), or for the API whose token ("key",
        "laptop" ...).
    at: other names than the scene's for parts of the path.
    first: what happens just before, in the same transaction.
    visited: the address that the browser comes from, which left something in its session.
    within: what holds meanwhile.
    """

    body: Any = None
    query: str = ""
    by: str = ""
    at: Mapping[str, str] = field(default_factory=dict)
    first: Callable[[Scene], None] | None = None
    visited: Callable[[Scene], str] | None = None
    within: Callable[[], AbstractContextManager[None]] = nullcontext


# -- The scene


def make_scene() -> Scene:
    owner = UserFactory.create(email="olga@example.org", name="Olga", is_staff=True)
    organization = OrganizationFactory.create(name="Acme", owner=owner)
    environment = EnvironmentFactory.create(target__project__organization=organization)
    project = environment.target.project
    levels = (
        Level(project),
        Level(project, environment.target),
        Level(project, environment.target, environment),
    )
    for level in levels:
        for number in (1, 2):
            secrets.store(level, f"TOKEN={number}", author=SYSTEM)
    new_member = partial(MembershipFactory.create, organization=organization)
    membership = new_member(role="developer")
    ApiKeyFactory.create(organization=organization, name="left", created_by=membership.user)
    assign_perm("audit:read", Group.objects.create(name="operators"), organization)
    issued = ApiKeyFactory.create(organization=organization, name="deploy", created_by=owner)
    calling = ApiKeyFactory.create(organization=organization, name="caller", created_by=owner)
    weak = ApiKeyFactory.create(organization=organization, name="weak", abilities=["project:read"])
    laptop = access_tokens.create(owner, "laptop")
    invited = members.invite(
        organization, "new@example.org", "developer", invited_by=None, granter=EVERYTHING
    )
    view = saved_views.save(organization, owner, "Deletions", "action=delete", is_shared=True)
    proof = client_keys.ClientKey.parse(**_proof(CLIENT_KEY))
    vault, cellar = (
        create_project(organization, name, client_key=proof) for name in ("Vault", "Cellar")
    )
    _store_twice(vault)
    _store_twice(cellar)
    _rotate_client_key(cellar)
    newest = SecretVersion.objects.filter(environment=environment).order_by("-number")[0]
    witness = Witness.objects.create(
        organization=organization, name="auditor", vkey=WitnessKey("auditor", b"w" * 32).vkey
    )
    with override_settings(AUDIT_HEADS_SECONDS=0.01):
        seal_all()
        prove_all()
    with transaction.atomic():
        entry = Entry.objects.visible([organization.pk]).order_by("id")[0]  # type: ignore[attr-defined]
    paths = {
        "organization": organization.slug,
        "project": project.slug,
        "target": environment.target.slug,
        "environment": environment.slug,
        "api_key": issued.api_key.ulid,
        "access_token": laptop.access_token.ulid,
        "member": membership.ulid,
        "membership": membership.ulid,
        "invitation": invited.invitation.ulid,
        "resource": project.ulid,
        "actor": owner.ulid,
        "view": view.ulid,
        "witness": witness.ulid,
        "entry": entry.ulid,
        "tile": "0/000.p/1",
        "version": str(newest.number),
        "token": invited.token,
        "uidb64": base64.urlsafe_b64encode(str(owner.pk).encode()).decode().rstrip("="),
    }
    scene = Scene(
        organization,
        owner,
        membership.user,
        paths,
        {**_rows_of_the_admin(organization), "audit/entry": entry.ulid},
        {"key": calling.token, "laptop": laptop.token, "weak": weak.token},
        {
            "owner": _session(owner),
            "member": _session(membership.user),
            "admin": _session(new_member(role="admin").user),
            "auditor": _session(new_member(auditor=True).user),
            "stranger": _session(OrganizationFactory.create(name="Other").memberships.get().user),
        },
        vault,
        frozenset(),
    )
    for token in scene.tokens.values():  # their first use has an entry of its own
        _browser(scene).get("/api/v1/user", headers={"authorization": f"Bearer {token}"})
    unused = {
        "new key": ApiKeyFactory.create(organization=organization, name="new").token,
        "new laptop": access_tokens.create(owner, "new laptop").token,
    }
    return scene._replace(tokens=scene.tokens | unused, known=frozenset(_ids()))


def _rows_of_the_admin(organization: Organization) -> dict[str, str]:
    """A row of each list, by its address."""
    found = {}
    for model, its_admin in admin.site._registry.items():
        if isinstance(its_admin, ReadOnlyAdmin) and model is not Entry:
            mine = model._default_manager.filter(its_admin.within([organization.pk]))
            found[f"{model._meta.app_label}/{model._meta.model_name}"] = str(mine[0].pk)
    return found


def _ids() -> list[Any]:
    with transaction.atomic():
        tenant_scope.enter(tenant_scope.EVERYTHING)
        return list(Entry.objects.values_list("pk", flat=True))


def _session(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def _browser(scene: Scene, by: str = "nobody") -> Client:
    client = Client(headers={"user-agent": "Walk of the tests"})
    if by in scene.sessions:
        client.cookies[settings.SESSION_COOKIE_NAME] = scene.sessions[by]
    return client


# -- A request, and what it left


def address(scene: Scene, path: str, at: Mapping[str, str]) -> str:
    """Where a route of the URL map is found in the scene."""
    list_of_admin = path.removeprefix("/admin/").removesuffix("/{object_id}/change/")
    names = {**scene.paths, "object_id": scene.rows.get(list_of_admin, ""), **at}
    path = re.sub(r"{(\w+)}", lambda match: names[match[1]], path)
    path = re.sub(r"\(\?P<\w+>(\w+)[^)]*\)", r"\1", path)
    path = re.sub(r"\(\?:/\.\*\)\?", "/anything", path)
    path = re.sub(r"\(\?:(\w+)[^)]*\)", r"\1", path).removesuffix("$")
    assert not re.search(r"[<>{}()?*$]", path), path
    return path


def left_by(scene: Scene, method: str, path: str, sent: Sent) -> Left:
    """Make the request, and undo it."""
    is_api = path.startswith(("/api/", "/audit/"))
    with transaction.atomic():
        known = scene.known
        client = _browser(scene, "nobody" if is_api else sent.by or "owner")
        if sent.first is not None:
            sent.first(scene)
        if sent.visited is not None:
            client.get(sent.visited(scene))
        if sent.first is not None or sent.visited is not None:
            known = frozenset(_ids())
        where = address(scene, path, sent.at) + (f"?{sent.query}" if sent.query else "")
        with sent.within():
            response = client.generic(method, where, **_given(scene, method, sent, is_api=is_api))
        if response.streaming:
            b"".join(response.streaming_content)  # type: ignore[attr-defined]
        tenant_scope.enter(tenant_scope.EVERYTHING)
        entries = frozenset(
            Noted(entry.action, entry.resource_type, entry.result, entry.reason)
            for entry in Entry.objects.exclude(pk__in=known)
        )
        transaction.set_rollback(True)
    return Left(response.status_code, entries)


def _given(scene: Scene, method: str, sent: Sent, *, is_api: bool) -> dict[str, Any]:
    body = sent.body(scene) if callable(sent.body) else sent.body
    if is_api:
        token = scene.tokens.get(sent.by or "key")
        return {
            "data": json.dumps(body or {}),
            "content_type": "application/json",
            "headers": {"authorization": f"Bearer {token}"} if token else {},
        }
    if method in ("GET", "HEAD"):
        return {}
    return {
        "data": urlencode(body or {}, doseq=True),
        "content_type": "application/x-www-form-urlencoded",
    }


# -- What the routes need


def _another_checkpoint(scene: Scene) -> dict[str, str]:
    """One that this installation signed, and that the log does not continue."""
    log = scene.organization.pk
    return {"checkpoint": signing.checkpoint(log, 10**6, b"r" * 32)}


def _level(**more: Any) -> dict[str, Any]:
    return {"project": "my-app", "target": "backend", "environment": "production", **more}


def _proof(key: str) -> dict[str, Any]:
    salt, rounds = bytes(16), client_keys.FEWEST_ITERATIONS
    return {
        "key_check": base64.b64encode(crypto.prove(key, salt, rounds)).decode(),
        "key_check_salt": base64.b64encode(salt).decode(),
        "key_check_iterations": rounds,
    }


def _sealed(key: str) -> str:
    derived = crypto.derive_data_key(key, bytes(16), client_keys.FEWEST_ITERATIONS)
    return base64.b64encode(crypto.encrypt(derived, b"TOKEN=3")).decode()


def _store_twice(project: Project) -> None:
    proof = _proof(CLIENT_KEY)["key_check"]
    for _ in range(2):
        secrets.store(Level(project), _sealed(CLIENT_KEY), author=SYSTEM, key_proof=proof)


def _rotate_client_key(project: Project) -> None:
    """Its version of a secret waits under the old key."""
    rotation.rotate_client_key(
        project,
        [
            rotation.Encrypted(secret.ulid, _sealed(NEXT_KEY))
            for secret in Secret.objects.filter(project=project)
        ],
        client_keys.ClientKey.parse(**_proof(NEXT_KEY)),
        key_proof=_proof(CLIENT_KEY)["key_check"],
        history_policy="keep",
        author=SYSTEM,
    )


def _rotate(scene: Scene) -> None:
    """So that versions of my-app wait under an old key."""
    rotation.rotate(Project.objects.get(slug="my-app"))


def _vault_rotation(scene: Scene) -> dict[str, Any]:
    held = Secret.objects.filter(project=scene.vault)
    return {
        "secrets": [{"id": secret.ulid, "content": _sealed(NEXT_KEY)} for secret in held],
        "key_proof": _proof(CLIENT_KEY)["key_check"],
        **_proof(NEXT_KEY),
    }


def _resubmission(scene: Scene) -> dict[str, Any]:
    waiting = SecretVersion.objects.filter(project__slug="cellar", key_version=1)[0]
    versions = [{"id": waiting.number, "content": _sealed(NEXT_KEY)}]
    return {"versions": versions, "key_proof": _proof(NEXT_KEY)["key_check"]}


def _key(scene: Scene) -> str:
    found = retrieval.retrieve(Project.objects.get(slug="my-app"))[1]
    assert found is not None
    return found


def _reset_link(scene: Scene) -> str:
    token = default_token_generator.make_token(scene.owner)
    return f"/password/reset/{scene.paths['uidb64']}/{token}"


def _block_sign_in(scene: Scene) -> None:
    for _ in range(settings.RATE_LIMITS["sign_in_account"].requests):
        limits.hit("sign_in_account", scene.owner.email)


def _add_member(scene: Scene) -> None:
    """Whom the organization's switch is about."""
    MembershipFactory.create(organization=scene.organization, role="member")


def _switch_off(scene: Scene) -> None:
    _add_member(scene)
    creation.update_organization(scene.organization, granter=EVERYTHING, member_key_retrieve=False)


def _make_empty(scene: Scene) -> None:
    ProjectFactory.create(organization=scene.organization, name="Empty")


def _make_account(scene: Scene) -> None:
    scene.member.email = "new@example.org"
    scene.member.save()
    members.remove(scene.member.memberships.get(organization=scene.organization))


_PAGE = "/o/{organization}"
_PROJECT = f"{_PAGE}/projects/{{project}}"
_TARGET = f"{_PROJECT}/targets/{{target}}"
_ENVIRONMENT = f"{_TARGET}/environments/{{environment}}"
_API = "/api/v1/{organization}"
_API_PROJECT = f"{_API}/{{project}}"
_API_TARGET = f"{_API_PROJECT}/{{target}}"
_API_ENVIRONMENT = f"{_API_TARGET}/{{environment}}"
_API_PAGE = "/api/v1/organizations/{organization}"
_VAULT, _CELLAR = {"project": "vault"}, {"project": "cellar"}
_OWN = {"username": "olga@example.org", "password": PASSWORD}
_NEW = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
_RENAMED = {"name": "Renamed", "slug": "renamed"}
_SURE = {"sure": "yes"}
_JSON = {"name": "Renamed"}
_NODE = {"name": "Another"}
_ROTATED = [Sent({"history_policy": "keep"}), Sent({"history_policy": "re_encrypt"})]

_SIGN_IN = [
    Sent(_OWN, by="nobody"),
    Sent({**_OWN, "password": "wrong"}, by="nobody"),
    Sent({"username": "stranger@example.org", "password": "wrong"}, by="nobody"),
    Sent(_OWN, by="nobody", first=_block_sign_in),
]
_CHANGE_PASSWORD = [Sent({"old_password": PASSWORD, **_NEW})]
_ASK_RESET = [Sent({"email": "olga@example.org"}, by="nobody")]
_READ = [Sent(), Sent(query="decrypt=true"), Sent(query="merge=true")]
_RETRIEVE = [Sent(_level(action=action)) for action in ("read", "decrypt", "key:retrieve")]


@contextmanager
def _sealed_at_once() -> Iterator[None]:
    """As if what the request enters were sealed while it waits: nothing of it is committed here."""

    def asked_at(request: Any, organization: Any) -> Any:
        return 1, reading.newest(organization)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packs, "asked_at", asked_at)
        yield


_TILES = [Sent(), Sent(at={"tile": "entries/000.p/1"})]

REQUESTS: dict[tuple[str, str], Sequence[Sent]] = {
    # Accounts
    ("POST", "/organizations/new"): [Sent({"name": "Another"})],
    ("GET", "/sign-in"): [Sent(by="nobody")],
    ("POST", "/sign-in"): _SIGN_IN,
    ("POST", "/password"): _CHANGE_PASSWORD,
    ("POST", "/password/reset"): _ASK_RESET,
    ("GET", "/password/reset/{uidb64}/{token}"): [Sent(by="nobody")],
    ("POST", "/password/reset/{uidb64}/{token}"): [
        Sent(_NEW, by="nobody", at={"token": "set-password"}, visited=_reset_link)
    ],
    ("POST", "/profile"): [Sent({"name": "Olga Owner", "time_zone": "UTC"})],
    ("POST", "/profile/tokens/new"): [Sent({"name": "desktop"})],
    ("POST", "/profile/tokens/{access_token}/revoke"): [Sent(_SURE)],
    ("POST", "/profile/leave/{membership}"): [Sent(_SURE, by="member")],
    ("GET", "/invitations/{token}"): [Sent(by="nobody")],
    ("POST", "/invitations/{token}"): [
        Sent({"name": "New", "password": NEW_PASSWORD}, by="nobody"),
        Sent({}, by="member", first=_make_account),
    ],
    # Pages of an organization
    ("GET", f"{_PAGE}/activity/complete"): [Sent(query="ask=actor:o")],
    ("GET", f"{_PAGE}/activity/facet"): [Sent(query="of=action")],
    ("POST", f"{_PAGE}/activity/views"): [Sent({"name": "All", "query": "action=create"})],
    ("POST", f"{_PAGE}/activity/views/{{view}}"): [
        Sent({"name": "Renamed", "is_shared": "on"}),
        Sent({"action": "delete"}),
    ],
    ("POST", f"{_PAGE}/settings"): [
        Sent({"name": "Acme", "slug": "acme"}, first=_add_member),
        Sent({"name": "Acme", "slug": "acme", "member_key_retrieve": "on"}, first=_switch_off),
    ],
    ("POST", f"{_PAGE}/settings/delete"): [Sent({"confirm": "acme"})],
    ("POST", f"{_PAGE}/members"): [Sent({"email": "friend@example.org", "role": "member"})],
    ("POST", f"{_PAGE}/members/{{member}}"): [
        Sent({"action": "role", "role": "auditor"}),
        Sent({"action": "remove", "api_keys": "revoke", **_SURE}),
        Sent({"action": "leave", "api_keys": "hand_over", **_SURE}, by="member"),
    ],
    ("POST", f"{_PAGE}/new-project"): [Sent({"name": "Another", "secret_format": "env"})],
    ("POST", f"{_PROJECT}/change"): [Sent({**_RENAMED, "history_policy": "keep"})],
    ("POST", f"{_PROJECT}/delete"): [Sent({"confirm": "my-app"})],
    ("POST", f"{_PROJECT}/keys/rotate"): _ROTATED,
    ("POST", f"{_PROJECT}/custody"): [
        Sent({"password": PASSWORD}),
        Sent(
            lambda scene: {"action": "give", "key": _key(scene), "password": PASSWORD},
            first=_rotate,
        ),
        Sent({"key": CLIENT_KEY, "password": PASSWORD}, at=_VAULT),
    ],
    ("POST", f"{_PROJECT}/new-target"): [Sent(_NODE)],
    ("POST", f"{_TARGET}/change"): [Sent(_RENAMED)],
    ("POST", f"{_TARGET}/delete"): [Sent({"confirm": "backend"})],
    ("POST", f"{_TARGET}/new-environment"): [Sent({**_NODE, "status": "staging"})],
    ("POST", f"{_ENVIRONMENT}/change"): [Sent({**_RENAMED, "status": "staging"})],
    ("POST", f"{_ENVIRONMENT}/delete"): [Sent({"confirm": "production"})],
    ("POST", f"{_PROJECT}/versions"): [Sent({"confirm": "my-app"})],
    ("POST", f"{_TARGET}/versions"): [Sent({"confirm": "my-app/backend"})],
    ("POST", f"{_ENVIRONMENT}/versions"): [Sent({"confirm": "my-app/backend/production"})],
    ("POST", f"{_PAGE}/versions/{{version}}"): [
        Sent({"action": "restore", **_SURE}),
        Sent({"action": "delete", "force": "yes", **_SURE}),
    ],
    ("POST", f"{_PAGE}/api-keys/new"): [Sent({"name": "new", "abilities": ["project:read"]})],
    ("POST", f"{_PAGE}/api-keys/{{api_key}}/change"): [
        Sent({"name": "renamed", "abilities": ["project:read"]})
    ],
    ("POST", f"{_PAGE}/api-keys/{{api_key}}"): [
        Sent({"action": "rotate", **_SURE}),
        Sent({"action": "revoke", **_SURE}),
    ],
    ("POST", f"{_PAGE}/evidence/witnesses"): [
        Sent({"vkey": WitnessKey("another", b"a" * 32).vkey}),
        Sent(lambda scene: {"remove": scene.paths["witness"]}),
    ],
    # API
    ("GET", "/api/v1/user"): [Sent(), Sent(by="laptop")],
    ("POST", "/api/v1/organizations"): [Sent({"name": "Another"}, by="laptop")],
    ("PATCH", _API_PAGE): [Sent(_JSON)],
    ("PUT", _API_PAGE): [Sent(_JSON)],
    ("GET", f"{_API_PAGE}/audit/entries"): [Sent(), Sent(query="after_seq=0")],
    ("GET", f"{_API_PAGE}/audit/counts"): [Sent(query="by=actor")],
    ("GET", f"{_API_PAGE}/audit/consistency"): [Sent(query="old=1")],
    ("GET", f"{_API_PAGE}/audit/heads/consistency"): [Sent(query="old=1")],
    ("POST", f"{_API_PAGE}/audit/witnesses"): [
        Sent({"vkey": WitnessKey("another", b"a" * 32).vkey}, by="laptop")
    ],
    ("DELETE", f"{_API_PAGE}/audit/witnesses/{{witness}}"): [Sent(by="laptop")],
    ("POST", f"{_API_PAGE}/audit/seen"): [Sent(_another_checkpoint)],
    ("POST", f"{_API_PAGE}/audit/cosignatures"): [Sent(_another_checkpoint)],
    ("GET", f"{_API_PAGE}/audit/tile/{{tile}}"): _TILES,
    ("GET", "/audit/{organization}/tile/{tile}"): _TILES,
    ("GET", f"{_PAGE}/activity/evidence"): [Sent(within=_sealed_at_once)],
    ("GET", f"{_API_PAGE}/audit/evidence"): [
        Sent(within=_sealed_at_once),
        Sent(query="action=create", within=_sealed_at_once),
    ],
    ("POST", f"{_API_PAGE}/members"): [Sent({"email": "friend@example.org", "role": "member"})],
    ("DELETE", f"{_API_PAGE}/members/{{member}}"): [Sent(), Sent({"api_keys": "revoke"})],
    ("PATCH", f"{_API_PAGE}/members/{{member}}"): [Sent({"role": "auditor"})],
    ("POST", f"{_API}/projects"): [
        Sent(_NODE),
        Sent({**_NODE, "storage_mode": "client", **_proof(CLIENT_KEY)}),
    ],
    ("PATCH", _API_PROJECT): [Sent(_JSON)],
    ("PUT", _API_PROJECT): [Sent(_JSON)],
    ("POST", f"{_API_PROJECT}/targets"): [Sent(_NODE)],
    ("PATCH", _API_TARGET): [Sent(_JSON)],
    ("PUT", _API_TARGET): [Sent(_JSON)],
    ("POST", f"{_API_TARGET}/environments"): [Sent(_NODE)],
    ("PATCH", _API_ENVIRONMENT): [Sent(_JSON)],
    ("PUT", _API_ENVIRONMENT): [Sent(_JSON)],
    ("POST", f"{_API_PROJECT}/encryption-key/rotate"): _ROTATED,
    **{
        ("GET", f"{route}/secrets"): _READ
        for route in (
            _API_PROJECT,
            _API_TARGET,
            _API_ENVIRONMENT,
            f"{_API_PAGE}/projects/{{project}}",
            f"{_API_PAGE}/projects/{{project}}/targets/{{target}}",
            f"{_API_PAGE}/projects/{{project}}/targets/{{target}}/environments/{{environment}}",
        )
    },
    ("POST", f"{_API}/secrets/retrieve"): _RETRIEVE,
    ("POST", f"{_API_PAGE}/secrets/retrieve"): _RETRIEVE,
    ("POST", f"{_API_PROJECT}/secrets/rotate-client-keys"): [Sent(_vault_rotation, at=_VAULT)],
    ("POST", f"{_API_PROJECT}/secrets/re-encrypt-history/pending"): [Sent(at=_CELLAR)],
    ("POST", f"{_API_PROJECT}/secrets/re-encrypt-history"): [Sent(_resubmission, at=_CELLAR)],
    ("POST", f"{_API}/secrets/store"): [
        Sent(_level(content="TOKEN=3")),
        Sent({"project": "empty", "content": "TOKEN=1"}, first=_make_empty),
    ],
    ("POST", f"{_API}/secrets/delete"): [
        Sent(_level()),
        Sent(_level(no_backup=True, confirmed=True)),
    ],
    ("POST", f"{_API}/secrets/versions"): [Sent(_level())],
    ("DELETE", f"{_API}/secrets/versions/{{version}}"): [Sent({"force": True})],
    ("POST", f"{_API}/secrets/versions/purge"): [Sent(_level(confirmed=True))],
    ("POST", f"{_API_PAGE}/api-keys"): [Sent({"name": "new", "abilities": ["project:read"]})],
    ("PATCH", f"{_API_PAGE}/api-keys/{{api_key}}"): [Sent(_JSON)],
    ("PUT", f"{_API_PAGE}/api-keys/{{api_key}}"): [Sent(_JSON)],
}


# -- What is recorded besides, wherever it happens


class Besides(NamedTuple):
    """A request, and exactly what it records."""

    method: str
    path: str
    sent: Sent
    recorded: Sequence[Noted]


def _denied(reason: str) -> list[Noted]:
    return [Noted("access", "endpoint", "denied", reason)]


def _block_rotation(scene: Scene) -> None:
    for _ in range(settings.RATE_LIMITS["rotate"].requests):
        limits.hit("rotate", str(scene.organization.pk))


def _suspend(scene: Scene) -> None:
    scene.organization.status = Organization.Status.SUSPENDED
    scene.organization.save()


@contextmanager
def _exports_are_taken() -> Iterator[None]:
    """By others, all that may run at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "MOST_AT_ONCE", 0)
        yield


@contextmanager
def _waits_are_taken() -> Iterator[None]:
    """By others, all that may wait at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "MOST_AT_ONCE", 0)
        yield


_FULL = Sent(within=_exports_are_taken)

BESIDES: dict[str, Besides] = {
    "an export while too many run": Besides(
        "GET", f"{_PAGE}/activity/export", _FULL, _denied("too_many_exports")
    ),
    "an export of the admin while too many run": Besides(
        "GET", "/admin/audit/entry/export", _FULL, _denied("too_many_exports")
    ),
    "an export by a call while too many run": Besides(
        "GET", f"{_API_PAGE}/audit/entries/export", _FULL, _denied("too_many_exports")
    ),
    "a pack from the page while too many wait": Besides(
        "GET",
        f"{_PAGE}/activity/evidence",
        Sent(within=_waits_are_taken),
        [Noted("export", "audit_log", "success", ""), *_denied("too_many_exports")],
    ),
    "a call that waits while too many do": Besides(
        "GET",
        f"{_API_PAGE}/audit/entries",
        Sent(query="after_seq=999999&wait=1", within=_waits_are_taken),
        _denied("too_many_waiting"),
    ),
    "a stranger's look at a page": Besides(
        "GET", f"{_PAGE}/projects", Sent(by="stranger"), _denied("not_found")
    ),
    "a page that the role does not open": Besides(
        "GET", f"{_PAGE}/activity", Sent(by="member"), _denied("insufficient_permissions")
    ),
    "a button that the role does not open": Besides(
        "POST",
        f"{_PAGE}/activity/views",
        Sent({"name": "All", "query": "action=create", "is_shared": "on"}, by="auditor"),
        _denied("insufficient_permissions"),
    ),
    "a change in an organization that is not active": Besides(
        "POST",
        f"{_PAGE}/new-project",
        Sent({"name": "Another", "secret_format": "env"}, first=_suspend),
        _denied("organization_inactive"),
    ),
    "an invitation to more than one holds": Besides(
        "POST",
        f"{_PAGE}/members",
        Sent({"email": "friend@example.org", "role": "owner"}, by="admin"),
        _denied("not_held"),
    ),
    "a key with more abilities than one holds": Besides(
        "POST",
        f"{_PAGE}/api-keys/{{api_key}}",
        Sent({"action": "rotate", **_SURE}, by="admin"),
        _denied("not_held"),
    ),
    "a wrong password where one is asked for": Besides(
        "POST", f"{_PROJECT}/custody", Sent({"password": "wrong"}), _denied("wrong_password")
    ),
    "too many wrong passwords": Besides(
        "POST",
        f"{_PROJECT}/custody",
        Sent({"password": PASSWORD}, first=_block_sign_in),
        _denied("rate_limited"),
    ),
    "too many rotations": Besides(
        "POST",
        f"{_PROJECT}/keys/rotate",
        Sent({"history_policy": "keep"}, first=_block_rotation),
        _denied("rate_limited"),
    ),
    "a key that is not the project's": Besides(
        "POST",
        f"{_PROJECT}/custody",
        Sent({"key": NEXT_KEY, "password": PASSWORD}, at=_VAULT),
        _denied("key_proof_mismatch"),
    ),
    "another organization's row in the admin": Besides(
        "GET",
        "/admin/organizations/project/{object_id}/change/",
        Sent(at={"object_id": str(NIL)}),
        _denied("not_found"),
    ),
    "a call without a token": Besides(
        "GET", f"{_API}/projects", Sent(by="nobody"), _denied("unauthenticated")
    ),
    "a call that the token does not allow": Besides(
        "POST", f"{_API}/projects", Sent(_NODE, by="weak"), _denied("insufficient_permissions")
    ),
    "the first use of an API key": Besides(
        "GET", "/api/v1/user", Sent(by="new key"), [Noted("first_use", "api_key", "success", "")]
    ),
    "the first use of an access token": Besides(
        "GET",
        "/api/v1/user",
        Sent(by="new laptop"),
        [Noted("first_use", "access_token", "success", "")],
    ),
    "a pack that is cut off": Besides(
        "HEAD",
        f"{_API_PAGE}/audit/evidence",
        Sent(within=_sealed_at_once),
        [
            Noted("export", "audit_log", "success", ""),
            Noted("end_export", "audit_log", "failed", "cut_off"),
        ],
    ),
    "an export that is cut off": Besides(
        "HEAD",
        f"{_API_PAGE}/audit/entries/export",
        Sent(),
        [
            Noted("export", "audit_log", "success", ""),
            Noted("end_export", "audit_log", "failed", "cut_off"),
        ],
    ),
    "a wrong password": Besides(
        "POST", "/sign-in", _SIGN_IN[1], [Noted("sign_in", "user", "failed", "wrong_password")]
    ),
    "an account that does not exist": Besides(
        "POST", "/sign-in", _SIGN_IN[2], [Noted("sign_in", "user", "failed", "unknown_account")]
    ),
    "too many attempts to sign in": Besides(
        "POST",
        "/sign-in",
        _SIGN_IN[3],
        [
            Noted("sign_in", "user", "denied", "too_many_attempts_of_account"),
            *_denied("http_429"),
        ],
    ),
}
