"""Promise 2: no secret reaches an entry, a log line, an error, a session or the database.

Unique strings are pushed through every surface, where they belong and where they do not; then
everything that was kept or said is searched for them.
"""

from __future__ import annotations

import io
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client

from audit.ledger import sealing
from dotenv_cloud.observability.logging import Formatter
from organizations.models import Organization
from tests.factories import PASSWORD, ApiKeyFactory
from tests.promises.conftest import Recorded

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])


class Secrets:
    """Unique secrets, remembered by what they are."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}

    def __call__(self, what: str) -> str:
        return self.made.setdefault(what, f"Canary-{secrets.token_hex(12)}-Aa9")


@pytest.fixture
def secret() -> Secrets:
    return Secrets()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, at the most talkative level, as production would write it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def dump(connection: psycopg.Connection[Any]) -> str:
    """Every row of every table, as text; binary columns in hexadecimal and as they are."""
    tables = connection.execute(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
    ).fetchall()
    rows = []
    for (table,) in tables:
        rows += [row for (row,) in connection.execute(f"SELECT t::text FROM {table} t")]
    text = "\n".join(rows)
    binary = [bytes.fromhex(found) for found in re.findall(r"\\\\?x((?:[0-9a-f]{2})+)", text)]
    return text + "\n" + "\n".join(part.decode("latin-1") for part in binary)


def use_the_api(
    client: Client, organization: Organization, token: str, secret: Secrets
) -> list[Any]:
    headers = {"Authorization": f"Bearer {token}"}
    base = f"/api/v1/{organization.slug}"

    def post(path: str, body: Any, **more: Any) -> Any:
        return client.post(path, body, content_type="application/json", headers=headers, **more)

    wrong = f"dotenv_{organization.ulid}_{secret('wrong token').replace('-', '')}"
    secret.made["wrong token"] = wrong
    return [
        post(f"{base}/projects", {"name": "App", "encryption_key": secret("encryption key")}),
        post(f"{base}/projects", {"name": "Bad", "encryption_key": secret("short")[:9]}),
        post(
            f"{base}/projects",
            {"name": "Client", "storage_mode": "client", "key_check": secret("proof")},
        ),
        post(f"{base}/projects", '{"name": "' + secret("malformed body")),
        post(f"{base}/app/encryption-key/rotate", {"history_policy": secret("wrong choice")}),
        client.patch(
            f"{base}/app",
            {"metadata": {"password": secret("metadata")}},
            content_type="application/json",
            headers=headers,
        ),
        client.get(f"{base}/app/encryption-key/history", headers=headers),
        client.get("/api/v1/user", headers={"Authorization": f"Bearer {wrong}"}),
        client.get("/api/v1/user", headers={"Authorization": f"Basic {secret('basic')}"}),
        client.get(f"{base}/projects?token={secret('query string')}", headers=headers),
        client.get(
            f"{base}/projects",
            headers={**headers, "User-Agent": f"x {wrong}", "X-Client-Command": f"pull {wrong}"},
        ),
        client.get(f"/api/v1/organizations/{secret('unknown organization')}", headers=headers),
        client.get(
            f"/api/v1/organizations/{organization.slug}/audit/entries?q={secret('searched')}",
            headers=headers,
        ),
    ]


def use_the_pages(
    client: Client, organization: Organization, email: str, secret: Secrets
) -> list[Any]:
    def sign_in(username: str, password: str) -> Any:
        return client.post("/sign-in", {"username": username, "password": password})

    answers = [
        sign_in(email, secret("wrong password")),
        # People type a password where the e-mail belongs.
        sign_in(secret("password as e-mail"), "x"),
        sign_in(email, PASSWORD),
        client.post(
            "/password",
            {
                "old_password": PASSWORD,
                "new_password1": secret("new password"),
                "new_password2": secret("new password"),
            },
        ),
        client.post("/password/reset", {"email": email}),
        client.get(f"/password/reset/Nw/{secret('reset token')}"),
        client.get(f"/invitations/{secret('wrong invitation token')}"),
        client.post(
            f"/o/{organization.slug}/members", {"email": "new@example.org", "role": "member"}
        ),
        client.get(f"/o/{organization.slug}/activity?ask={secret('typed question')}"),
    ]
    custody = f"/o/{organization.slug}/projects/app/custody"
    password, key = secret("new password"), secret("encryption key")
    give = {"action": "give", "password": password}
    shown = client.post(custody, {"password": password})
    assert key in shown.content.decode()
    answers += [
        client.post(custody, {"password": secret("wrong password for the key")}),
        client.post(custody, {**give, "key": secret("wrong key")}),
        client.post(custody, {**give, "key": key}),
        client.get(f"/o/{organization.slug}/projects/app"),
        client.post(custody, {"password": password, "key": secret("wrong key handed over")}),
        client.post(custody, {"password": password, "key": key}),
        client.get(f"/o/{organization.slug}/projects/app/keys"),
    ]
    assert [answer.status_code for answer in answers[-7:]] == [422, 422, 302, 200, 422, 302, 200]
    assert not any(key in answer.content.decode() for answer in answers[-7:])
    links = "\n".join(str(message.body) for message in mail.outbox)
    invitation = re.search(r"/invitations/([\w-]+)", links)
    reset = re.search(r"/password/reset/[\w-]+/([\w-]+)", links)
    assert invitation and reset
    secret.made |= {"invitation token": invitation[1], "reset token sent": reset[1]}
    secret.made["session"] = client.cookies["sessionid"].value
    # The form is open, with the token in a session of its own.
    visitor = Client()
    answers.append(visitor.get(reset[0], follow=True))
    secret.made["visitor's session"] = visitor.cookies["sessionid"].value
    answers.append(Client(enforce_csrf_checks=True).post(invitation[0]))
    answers.append(
        Client().post(
            f"/invitations/{invitation[1]}",
            {"name": "New", "password": secret("password of the joined")},
        )
    )
    return answers


def test_no_secret_is_kept_or_said(
    organization: Organization,
    superuser_connection: psycopg.Connection[Any],
    entries: Callable[..., list[Recorded]],
    secret: Secrets,
    log: io.StringIO,
    client: Client,
) -> None:
    owner = organization.memberships.get().user
    token = ApiKeyFactory.create(organization=organization).token
    secret.made["API token"] = token
    headers = {"Authorization": f"Bearer {token}"}

    answers = use_the_api(client, organization, token, secret)
    keys = f"/api/v1/organizations/{organization.slug}/api-keys"
    made = client.post(
        keys,
        {"name": "second", "abilities": ["project:read"]},
        content_type="application/json",
        headers=headers,
    ).json()
    secret.made["made token"] = made["data"]["token"]
    rotated = client.post(f"{keys}/{made['api_key']['id']}/rotate", headers=headers).json()
    secret.made["rotated token"] = rotated["token"]
    retrieved = client.get(f"/api/v1/{organization.slug}/app/encryption-key", headers=headers)
    assert secret("encryption key") in retrieved.content.decode()
    answers += use_the_pages(client, organization, owner.email, secret)
    pages = client.get(f"/o/{organization.slug}/api-keys/new")
    assert pages.status_code == 200

    while sealing.seal().is_behind:
        pass
    kept = {
        "the database": dump(superuser_connection),
        "the entries": repr(entries()),
        "the sessions": repr([session.get_decoded() for session in Session.objects.all()]),
        "the log": log.getvalue(),
    }
    assert len(kept["the log"].splitlines()) > 20
    # What may be repeated to the one who typed it; and what is data by the caller's own choice.
    echoed = {"typed question", "unknown organization", "searched", "wrong choice"}
    errors = "\n".join(answer.content.decode() for answer in answers if answer.status_code >= 400)
    allowed = {("metadata", "the database")}
    for what, value in secret.made.items():
        for where, text in kept.items():
            if (what, where) not in allowed:
                assert value not in text, f"{what} is in {where}"
        if what not in echoed:
            assert value not in errors, f"{what} is in an error"
    assert all(answer.status_code < 500 for answer in answers)
