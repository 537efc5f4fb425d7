"""What can be done once is done once, however many do it at the same moment: all of them are held
at the row until each has looked, and then let go."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import psycopg
import pytest
from django.core import mail
from django.db import connections
from django.db.models import Model
from django.test import Client

from audit.models import Entry, SavedView
from keys import access_tokens, secret_versions
from keys.levels import Level
from organizations import members
from organizations.grants import EVERYTHING
from organizations.models import Organization, User
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    SecretFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 5
NEW_PASSWORD = "a staple of correct horses"

Send = Callable[[Client], Any]


@pytest.fixture
def at_once(databases: Any) -> Callable[[Model, list[Send], list[Client]], list[Any]]:
    """The answers to requests that all wait for the same row before one of them has it."""

    def one(send: Send, client: Client) -> Any:
        try:
            return send(client)
        finally:
            connections.close_all()

    def run(row: Model, sends: list[Send], clients: list[Client]) -> list[Any]:
        with (
            psycopg.connect(databases.superuser) as holder,
            psycopg.connect(databases.superuser, autocommit=True) as watcher,
            ThreadPoolExecutor(len(sends)) as pool,
        ):
            table = row._meta.db_table
            holder.execute(f'SELECT FROM "{table}" WHERE id = %s FOR UPDATE', [row.pk])
            running = [pool.submit(one, *pair) for pair in zip(sends, clients, strict=True)]
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                waiting = watcher.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                ).fetchone()
                done = sum(future.done() for future in running)
                if waiting is not None and waiting[0] + done >= len(sends):
                    break
                time.sleep(0.05)
            holder.commit()
            return [future.result(60) for future in running]

    return run


class World(NamedTuple):
    acme: Organization
    owner: User
    level: Level
    token: str


@pytest.fixture
def world() -> World:
    acme = OrganizationFactory.create(name="Acme")
    owner = acme.memberships.get().user
    environment = EnvironmentFactory.create(
        target__project__organization=acme, target__project__name="Shop", target__name="Web"
    )
    level = Level(environment.target.project, environment.target, environment)
    SecretFactory.create(level=level, plaintext=b"A=1")
    SecretFactory.create(level=level, plaintext=b"A=2")
    return World(acme, owner, level, ApiKeyFactory.create(organization=acme, name="all").token)


def visitor(user: User | None = None) -> Client:
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def deletions(world: World, acme: Organization) -> list[Entry]:
    from django.db import transaction

    with transaction.atomic():
        visible = Entry.objects.visible([acme.pk])  # type: ignore[attr-defined]
        return list(visible.filter(result="success", action__in=("delete", "purge", "leave")))


# -- What is deleted


def _saved_view(world: World) -> SavedView:
    return SavedView.objects.create(
        organization=world.acme, user=world.owner, name="Mine", query="action=update"
    )


THINGS: dict[str, tuple[Callable[[World], Any], str, dict[str, str] | None]] = {
    "project": (lambda w: w.level.project, "/api/v1/acme/shop", None),
    "target": (lambda w: w.level.target, "/api/v1/acme/shop/web", None),
    "environment": (lambda w: w.level.environment, "/api/v1/acme/shop/web/production", None),
    "version": (
        lambda w: secret_versions.of_level(w.level).get(),
        "/api/v1/acme/secrets/versions/{number}",
        {"force": "true"},
    ),
    "api key": (
        lambda w: ApiKeyFactory.create(organization=w.acme).api_key,
        "/api/v1/organizations/acme/api-keys/{id}",
        None,
    ),
    "member": (
        lambda w: MembershipFactory.create(organization=w.acme),
        "/api/v1/organizations/acme/members/{id}",
        None,
    ),
    "organization": (lambda w: w.acme, "/api/v1/organizations/acme", None),
}


@pytest.mark.parametrize("what", THINGS)
def test_one_caller_of_the_api_succeeds_in_deleting_it(
    world: World, at_once: Any, what: str
) -> None:
    find, path, body = THINGS[what]
    row = find(world)
    path = path.format(id=row.ulid, number=getattr(row, "number", ""))

    def send(client: Client) -> int:
        answer = client.delete(
            path,
            json.dumps(body or {}),
            content_type="application/json",
            headers={"authorization": f"Bearer {world.token}"},
        )
        return int(answer.status_code)

    answers = at_once(row, [send] * AT_ONCE, [visitor() for _ in range(AT_ONCE)])
    gone = 401 if what == "organization" else 404
    assert Counter(answers)[204] == 1, answers
    assert set(answers) <= {204, 404, gone}, answers
    kind = {"version": "secret_version", "api key": "api_key", "member": "membership"}
    entries = [
        entry
        for entry in deletions(world, world.acme)
        if (entry.resource_type, entry.resource_id) == (kind.get(what, what), row.pk)
    ]
    assert len(entries) == 1


PAGES: dict[str, tuple[Callable[[World], Any], str, dict[str, str]]] = {
    "project": (lambda w: w.level.project, "/o/acme/projects/shop/delete", {"confirm": "Shop"}),
    "api key": (
        lambda w: ApiKeyFactory.create(organization=w.acme).api_key,
        "/o/acme/api-keys/{id}",
        {"action": "revoke", "sure": "1"},
    ),
    "access token": (
        lambda w: access_tokens.create(w.owner, "mine").access_token,
        "/profile/tokens/{id}/revoke",
        {"sure": "1"},
    ),
    "member": (
        lambda w: MembershipFactory.create(organization=w.acme),
        "/o/acme/members/{id}",
        {"action": "remove", "sure": "1"},
    ),
    "invitation": (
        lambda w: (
            members.invite(
                w.acme, "new@example.org", "member", invited_by=w.owner, granter=EVERYTHING
            ).invitation
        ),
        "/o/acme/invitations/{id}/withdraw",
        {},
    ),
    "view": (_saved_view, "/o/acme/activity/views/{id}", {"action": "delete"}),
    "organization": (lambda w: w.acme, "/o/acme/settings/delete", {"confirm": "Acme"}),
}


@pytest.mark.parametrize("what", PAGES)
def test_one_person_succeeds_in_deleting_it_on_a_page(
    world: World, at_once: Any, what: str
) -> None:
    find, path, values = PAGES[what]
    row = find(world)
    path = path.format(id=row.ulid)
    answers = at_once(
        row,
        [lambda client: client.post(path, values).status_code] * AT_ONCE,
        [visitor(world.owner) for _ in range(AT_ONCE)],
    )
    assert sorted(Counter(answers).items()) == [(302, 1), (404, AT_ONCE - 1)]


# -- Links


def test_one_joins_by_a_link_that_several_use(world: World, at_once: Any) -> None:
    invited = members.invite(
        world.acme, "new@example.org", "member", invited_by=world.owner, granter=EVERYTHING
    )
    values = {"name": "Nina", "password": NEW_PASSWORD}
    path = f"/invitations/{invited.token}"
    answers = at_once(
        invited.invitation,
        [lambda client: client.post(path, values).status_code] * 6,
        [visitor() for _ in range(6)],
    )
    assert Counter(answers) == {302: 1, 409: 5}
    assert User.objects.filter(email="new@example.org").count() == 1
    assert world.acme.memberships.filter(user__email="new@example.org").count() == 1


def test_one_joins_by_a_link_that_someone_uses_in_several_windows(
    world: World, at_once: Any
) -> None:
    person = MembershipFactory.create().user
    invited = members.invite(
        world.acme, person.email, "member", invited_by=world.owner, granter=EVERYTHING
    )
    answers = at_once(
        invited.invitation,
        [lambda client: client.post(f"/invitations/{invited.token}").status_code] * 6,
        [visitor(person) for _ in range(6)],
    )
    assert Counter(answers) == {302: 1, 409: 5}


def test_one_password_is_set_by_a_link_that_several_use(world: World, at_once: Any) -> None:
    visitor().post("/password/reset", {"email": world.owner.email})
    [link] = re.findall(r"http://testserver(/password/reset/\S+)", str(mail.outbox[0].body))
    clients = [visitor() for _ in range(4)]
    forms = [client.get(link, follow=True).redirect_chain[-1][0] for client in clients]

    def setting(number: int) -> Send:
        password = f"{NEW_PASSWORD} {number}"
        values = {"new_password1": password, "new_password2": password}
        return lambda client: client.post(forms[number], values).status_code

    answers = at_once(world.owner, [setting(number) for number in range(4)], clients)
    assert Counter(answers) == {302: 1, 409: 3}
    world.owner.refresh_from_db()
    assert world.owner.check_password(f"{NEW_PASSWORD} {answers.index(302)}")


def test_a_secret_is_stored_and_deleted_by_several_without_a_crash(
    world: World, at_once: Any
) -> None:
    """Emptying a level that is empty already is not an error, so all get the same answer."""
    body = json.dumps({"project": "shop", "target": "web", "environment": "production"})
    answers = at_once(
        world.level.project,
        [
            lambda client: (
                client.post(
                    "/api/v1/acme/secrets/delete",
                    body,
                    content_type="application/json",
                    headers={"authorization": f"Bearer {world.token}"},
                ).status_code
            )
        ]
        * AT_ONCE,
        [visitor() for _ in range(AT_ONCE)],
    )
    assert Counter(answers) == {204: AT_ONCE}


# -- Tokens of who leaves


@pytest.mark.parametrize("shown", ["made", "rotated"])
@pytest.mark.parametrize("first", ["shown", "removed"])
def test_nobody_is_shown_a_token_while_they_are_removed(
    world: World, databases: Any, shown: str, first: str
) -> None:
    """Either the key is among those that are decided about, or it is not made."""
    leaver = MembershipFactory.create(organization=world.acme, role="admin")
    path = "/o/acme/api-keys/new"
    values: dict[str, Any] = {"name": "last", "abilities": ["secret:read"]}
    if shown == "rotated":
        key = ApiKeyFactory.create(
            organization=world.acme,
            name="last",
            abilities=["secret:read"],
            created_by=world.owner,
        ).api_key
        path, values = f"/o/acme/api-keys/{key.ulid}", {"action": "rotate", "sure": "yes"}
    before = api_tokens(world.acme)
    chosen = {"action": "remove", "sure": "yes", "api_keys": "revoke"}
    show = (visitor(leaver.user), path, values)
    remove = (visitor(world.owner), f"/o/acme/members/{leaver.ulid}", chosen)
    requests = [show, remove] if first == "shown" else [remove, show]

    def send(client: Client, path: str, values: dict[str, Any]) -> int:
        try:
            return int(client.post(path, values).status_code)
        finally:
            connections.close_all()

    with (
        psycopg.connect(databases.superuser) as holder,
        psycopg.connect(databases.superuser, autocommit=True) as watcher,
        ThreadPoolExecutor(2) as pool,
    ):
        holder.execute(
            "SELECT FROM organizations_organization WHERE id = %s FOR UPDATE", [world.acme.pk]
        )
        running = []
        for number, request in enumerate(requests, 1):
            running.append(pool.submit(send, *request))
            wait_for(watcher, number)
        holder.commit()
        answers = [future.result(60) for future in running]
    assert 500 not in answers
    assert not world.acme.memberships.filter(pk=leaver.pk).exists()
    # Of what they were shown nothing is left, and what they were not shown is as it was.
    assert api_tokens(world.acme) <= before


def api_tokens(acme: Organization) -> set[bytes]:
    return {bytes(each) for each in acme.api_keys.values_list("token_hash", flat=True)}


def wait_for(watcher: Any, sessions: int) -> None:
    """Until so many sessions wait for a lock."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        [waiting] = watcher.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
        if waiting >= sessions:
            return
        time.sleep(0.02)
    raise AssertionError("they do not wait for the organization")
