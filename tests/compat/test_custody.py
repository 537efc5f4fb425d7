"""After all that a client-managed project goes through, its key and its plaintext are nowhere."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from keys import custody
from organizations.models import Project
from tests.compat.client import SdkError, derive, prove, seal
from tests.compat.conftest import CLIENT_KEY, ROUNDS, Place

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])

PLAINTEXT = b"PAYMENT_TOKEN=sk_live_4eC39HqLyjWDarjtT1zdp7dc\n"
NEXT = "the next key, which only the clients know too"


def dump(connection: psycopg.Connection[Any]) -> bytes:
    """Every row of every table, as COPY writes it: bytes appear as hexadecimal digits."""
    tables = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    ).fetchall()
    parts = []
    with connection.cursor() as cursor:
        for name in tables:
            whole = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(*name))
            with cursor.copy(whole) as rows:
                parts += [bytes(row) for row in rows]
    assert len(tables) > 20
    return b"\n".join(parts)


def forms(secret: bytes) -> list[bytes]:
    """As it could stand in a dump or a log."""
    return [
        secret.strip(),
        secret.hex().encode(),
        base64.b64encode(secret),
        base64.b64encode(secret).hex().encode(),
    ]


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises(SdkError):
        call()


def test_neither_dump_nor_log_holds_key_or_plaintext(
    place: Place,
    vault: Callable[[str], Any],
    superuser_connection: psycopg.Connection[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    sdk = place.sdk
    vault(CLIENT_KEY)
    old = sdk.key("vault", CLIENT_KEY)
    sdk.push("vault", PLAINTEXT, CLIENT_KEY)
    sdk.push("vault", PLAINTEXT + b"B=1\n", CLIENT_KEY)
    assert sdk.pull("vault", CLIENT_KEY)["project"].startswith(PLAINTEXT)
    # Errors reveal nothing either.
    refused(lambda: sdk.push("vault", PLAINTEXT, "a wrong key of the client's"))
    refused(lambda: sdk.store(project="vault", content=PLAINTEXT.decode(), key_proof=old.proof))
    refused(lambda: sdk.store(project="vault", content=PLAINTEXT.decode()))
    refused(
        lambda: sdk.create("projects", name="x", storage_mode="client", encryption_key=CLIENT_KEY)
    )
    salt = os.urandom(16)
    new = derive(NEXT.encode(), salt, ROUNDS)
    level = sdk.secrets("vault")["data"]["attributes"]["levels"]["project"]
    body = {
        "secrets": [{"id": level["id"], "content": seal(new, PLAINTEXT)}],
        "key_check": prove(NEXT, salt, ROUNDS),
        "key_check_salt": base64.b64encode(salt).decode(),
        "key_check_iterations": ROUNDS,
    }
    sdk.send("POST", "/acme/vault/secrets/rotate-client-keys", body)
    [item] = [
        v for v in sdk.versions(project="vault")["data"] if v["attributes"]["action"] == "update"
    ]
    sdk.restore(
        item["id"], {"content": seal(new, PLAINTEXT), "key_proof": prove(NEXT, salt, ROUNDS)}
    )

    found, log = dump(superuser_connection), caplog.text.encode()
    assert b"vault" in found and log
    for secret in (PLAINTEXT.strip(), CLIENT_KEY.encode(), NEXT.encode(), new, old.data_key):
        for form in forms(secret):
            assert form not in found
            assert form not in log
    # Nor the proofs: they are sealed by the master key.
    for proof in (old.proof, prove(NEXT, salt, ROUNDS)):
        for form in (proof.encode(), base64.b64decode(proof).hex().encode()):
            assert form not in found
            assert form not in log


def test_a_key_that_was_given_to_the_clients_is_gone(
    place: Place, superuser_connection: psycopg.Connection[Any]
) -> None:
    place.sdk.push("my-app", PLAINTEXT)
    place.sdk.rotate_key("my-app")
    project = Project.objects.get()
    key = custody.offer(project)
    custody.to_clients(project, key)
    assert place.sdk.pull("my-app", key) == {"project": PLAINTEXT}
    found = dump(superuser_connection)
    for secret in (key.encode(), PLAINTEXT.strip()):
        for form in forms(secret):
            assert form not in found
    refused(lambda: place.sdk.send("GET", "/acme/my-app/secrets?decrypt=true"))
    [item] = place.sdk.versions(project="my-app")["data"]
    assert item["attributes"]["is_client_encrypted"] is True
