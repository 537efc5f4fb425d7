"""`dotenv key` and `dotenv apikeys`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.recorder import ACME, TOKEN, Run, Server

Terminal = Callable[..., tuple[int, str]]
HISTORY = f"/api/v1/{ACME}/my-app/encryption-key/history"
ROTATE = f"/api/v1/{ACME}/my-app/encryption-key/rotate"
KEYS = f"/api/v1/organizations/{ACME}/api-keys"
KEY_ID = "01JDKEY0000000000000000001"

API_KEY: dict[str, Any] = {
    "id": KEY_ID,
    "name": "deploy",
    "token_prefix": "dotenv_01ARZ",
    "abilities": ["project:read", "target:read", "environment:read", "key:rotate"],
    "expires_at": None,
    "last_used_at": None,
    "created_at": "2026-11-01T10:00:00Z",
}


@pytest.fixture
def rotated(signed_in: Server) -> Server:
    attributes = {
        "id": "9",
        "version": "2",
        "is_active": True,
        "created_at": "2026-11-20T23:30:00Z",
        "managed": "server",
        "key": "the-key-itself",
    }
    key = {"type": "encryption-keys", "id": "9", "attributes": attributes}
    signed_in.answer("POST", ROTATE, {"message": "Rotated.", "data": {"key": key}})
    return signed_in


def test_history_shows_every_version_in_local_time(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer(
        "GET",
        HISTORY,
        {
            "data": [
                {
                    "version": "2",
                    "managed": "server",
                    "is_active": True,
                    "created_at": "2026-11-20T23:30:00Z",
                },
                {
                    "version": "1",
                    "managed": "server",
                    "is_active": False,
                    "created_at": "2026-07-01T10:00:00Z",
                    "rotated_at": "2026-11-20T23:30:00Z",
                },
            ]
        },
    )
    result = dotenv("key", "history", "my-app")
    assert [line.split() for line in result.out.splitlines()] == [
        ["VERSION", "MANAGED", "ACTIVE", "CREATED", "ROTATED"],
        ["2", "server", "✓", "2026-11-21", "00:30:00", "-"],
        ["1", "server", "2026-07-01", "12:00:00", "2026-11-21", "00:30:00"],
    ]
    assert dotenv("key", "history", "my-app", "-f", "json").json[0]["version"] == "2"
    assert dotenv("key", "history", "my-app/backend").code == 2


def test_rotate_sends_no_body_unless_a_policy_is_chosen(rotated: Server, dotenv: Run) -> None:
    result = dotenv("key", "rotate", "my-app", "--force")
    assert (result.code, result.out) == (0, "my-app: version 2 is active\n")
    assert rotated.last.body == b""
    assert "Content-Type" not in rotated.last.headers
    dotenv("key", "rotate", "my-app", "-f", "--history-policy", "re_encrypt")
    assert rotated.last.json == {"history_policy": "re_encrypt"}
    assert dotenv("key", "rotate", "my-app", "-f", "--history-policy", "burn").code == 2


def test_rotate_does_not_print_the_key(rotated: Server, dotenv: Run) -> None:
    result = dotenv("key", "rotate", "my-app", "--force", "--json")
    assert result.json["version"] == "2"
    assert "the-key-itself" not in result.out + result.err


def test_rotate_needs_a_yes(rotated: Server, dotenv: Run, terminal: Terminal) -> None:
    result = dotenv("key", "rotate", "my-app")
    assert result.code == 2
    assert "--force" in result.err
    for answer in ("n", ""):
        code, shown = terminal("key", "rotate", "my-app", answers=[("[y/N]", answer)])
        assert code == 130, shown
    assert not rotated.requests
    code, shown = terminal("key", "rotate", "my-app", answers=[("[y/N]", "y")])
    assert code == 0, shown
    assert "version 2 is active" in shown


def test_api_keys_are_listed(signed_in: Server, dotenv: Run) -> None:
    used = {**API_KEY, "last_used_at": "2026-11-20T23:30:00Z", "abilities": ["*"]}
    signed_in.answer("GET", KEYS, {"data": [API_KEY, used]})
    header, first, second = dotenv("apikeys", "list").out.splitlines()
    assert header.split("  ")[0] == "ID"
    assert "project:read, target:read, environment:…" in first
    assert "Never" in first and "2026-11-21" in second
    assert dotenv("apikeys", "list", "-f", "json").json == [API_KEY, used]


def test_api_keys_fit_80_columns(signed_in: Server, terminal: Terminal) -> None:
    signed_in.answer("GET", KEYS, {"data": [API_KEY]})
    code, shown = terminal("apikeys", "list")
    assert code == 0
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert KEY_ID in shown


def test_create_prints_the_token_alone(signed_in: Server, dotenv: Run) -> None:
    made = {
        "success": True,
        "token": {"name": "deploy", "token": TOKEN, "abilities": [], "expires_at": None},
        "api_key": API_KEY,
        "data": {"token": TOKEN, "api_key": API_KEY},
    }
    signed_in.answer("POST", KEYS, made, status=201)
    create = ("apikeys", "create", "deploy", "--abilities", "project:read, key:rotate")
    result = dotenv(*create, "--expires", "2027-01-31T00:00:00Z")
    assert (result.code, result.out) == (0, f"{TOKEN}\n")
    assert KEY_ID in result.err and TOKEN not in result.err
    assert signed_in.last.json == {
        "name": "deploy",
        "abilities": ["project:read", "key:rotate"],
        "expires_at": "2027-01-31T00:00:00Z",
    }
    assert dotenv(*create, "--json").json["token"] == TOKEN


def test_create_refuses_what_the_server_could_not_mean(signed_in: Server, dotenv: Run) -> None:
    assert dotenv("apikeys", "create", "deploy").code == 2
    create = ("apikeys", "create", "deploy", "--abilities", "*", "--expires")
    for moment in ("tomorrow", "2027-01-31T00:00:00", "2027-01-31"):
        result = dotenv(*create, moment)
        assert result.code == 2
        assert "--expires" in result.err
    assert not signed_in.requests


def test_update_sends_only_what_changes(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("PUT", f"{KEYS}/{KEY_ID}", {"data": {**API_KEY, "name": "ci"}})
    assert dotenv("apikeys", "update", KEY_ID, "--name", "ci").code == 0
    assert signed_in.last.json == {"name": "ci"}
    dotenv("apikeys", "update", KEY_ID, "--abilities", "a:read,b:read", "--expires", "never")
    assert signed_in.last.json == {"abilities": ["a:read", "b:read"], "expires_at": None}
    assert dotenv("apikeys", "update", KEY_ID).code == 2


def test_delete_needs_a_yes(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("DELETE", f"{KEYS}/{KEY_ID}", status=204)
    assert dotenv("apikeys", "delete", KEY_ID).code == 2
    assert not signed_in.requests
    result = dotenv("apikeys", "delete", KEY_ID, "-f")
    assert (result.code, result.out) == (0, "")
    assert signed_in.last.method == "DELETE"


def test_rotating_an_api_key_prints_its_new_token(signed_in: Server, dotenv: Run) -> None:
    made = {
        "success": True,
        "token": TOKEN,
        "api_key": API_KEY,
        "data": {"token": TOKEN, "api_key": API_KEY},
    }
    signed_in.answer("POST", f"{KEYS}/{KEY_ID}/rotate", made)
    assert dotenv("apikeys", "rotate", KEY_ID).code == 2
    result = dotenv("apikeys", "rotate", KEY_ID, "--force")
    assert (result.code, result.out) == (0, f"{TOKEN}\n")
    assert signed_in.last.body == b""
