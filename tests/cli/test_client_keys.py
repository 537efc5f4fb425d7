"""Keys that only clients have: nothing leaves this machine that would give one away."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dotenv_cloud.cli import crypto
from tests.cli.recorder import ACME, Run, Server

PROJECT = f"/api/v1/{ACME}/my-app"
SALT = base64.b64encode(bytes(16)).decode()
ROUNDS = 100_000
KEY, NEXT, WEAK = "a key of the clients alone", "the key that comes after it", "k" * 32


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    contents = {"env": "A=1\n", "key": KEY, "next": NEXT, "weak": WEAK}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return {name: str(tmp_path / name) for name in contents}


def describe(server: Server, **key: object) -> None:
    """Answers with a key; None leaves a field out."""
    described = {
        "managed": "client",
        "version": 1,
        "key_check_salt": SALT,
        "key_check_iterations": ROUNDS,
        **key,
    }
    content = {"key": {name: value for name, value in described.items() if value is not None}}
    body = {"data": {"attributes": {"content": json.dumps(content)}}}
    server.answer("GET", f"{PROJECT}/encryption-key", body)


def hold(server: Server, content: str = "") -> None:
    """Answers with a project that holds `content`, and nothing below it."""
    level = {"encrypted": True, "content": content, "source": "my-app", "id": "9"}
    attributes = {"format": "env", "levels": {"project": level} if content else {}}
    server.answer("GET", f"{PROJECT}/secrets", {"data": {"attributes": attributes}})
    server.answer("GET", PROJECT, {"data": {"attributes": {"secret_format": "env"}}})
    server.answer("GET", f"{PROJECT}/targets", {"data": []})


def sent(server: Server) -> list[str]:
    return [request.path for request in server.requests if request.method != "GET"]


INCOMPLETE = [
    {"managed": "server"},
    {"managed": "server", "key": ""},
    {"managed": "server", "key": "", "key_check_salt": None},
    {"managed": "server", "key": 7},
    {"managed": None, "key": "s" * 48},
    {"managed": "nobody", "key": "s" * 48},
    {"key_check_salt": None},
    {"key_check_salt": "no base64!"},
    {"version": "1"},
    {"key_check_iterations": "many"},
]


@pytest.mark.parametrize("key", INCOMPLETE, ids=str)
def test_nothing_is_pushed_under_a_key_that_is_not_described_completely(
    signed_in: Server, dotenv: Run, files: dict[str, str], key: dict[str, object]
) -> None:
    hold(signed_in)
    describe(signed_in, **key)
    signed_in.answer("POST", f"/api/v1/{ACME}/secrets/store", {"data": {"bytes": 1}})
    push = ("push", "my-app", files["env"], "--force", "--client-key", files["key"])
    result = dotenv(*push)
    assert (result.code, result.out) == (5, "")
    assert "description of the key of my-app is incomplete" in result.err
    assert not sent(signed_in)


@pytest.mark.parametrize("content", [{}, None, "{", "[]", '{"key": null}'], ids=str)
def test_nothing_is_pushed_when_the_answer_is_no_key(
    signed_in: Server, dotenv: Run, files: dict[str, str], content: object
) -> None:
    hold(signed_in)
    body = {"data": {"attributes": {"content": content}}}
    signed_in.answer("GET", f"{PROJECT}/encryption-key", body)
    assert dotenv("push", "my-app", files["env"], "--force").code == 5
    assert not sent(signed_in)


def test_a_server_cannot_ask_for_a_proof_by_which_the_key_is_guessed(
    signed_in: Server, dotenv: Run, files: dict[str, str]
) -> None:
    hold(signed_in)
    describe(signed_in, key_check_iterations=1)
    result = dotenv("push", "my-app", files["env"], "--client-key", files["key"])
    assert result.code == 5
    assert "only 1 iterations" in result.err
    assert not sent(signed_in)


def test_a_push_carries_the_proof_and_no_plaintext(
    signed_in: Server, dotenv: Run, files: dict[str, str]
) -> None:
    hold(signed_in)
    describe(signed_in)
    signed_in.answer("POST", f"/api/v1/{ACME}/secrets/store", {"data": {"bytes": 1}})
    assert dotenv("push", "my-app", files["env"], "--client-key", files["key"]).code == 0
    body = signed_in.last.json
    assert body["key_proof"] == crypto.prove(KEY, bytes(16), ROUNDS)
    data_key = crypto.derive_data_key(KEY, bytes(16), ROUNDS)
    assert crypto.decrypt(data_key, body["content"]) == b"A=1\n"
    everything = b"".join(request.body for request in signed_in.requests)
    assert b"A=1" not in everything and KEY.encode() not in everything


def test_a_key_mistyped_where_proofs_do_not_look_is_noticed(
    signed_in: Server, dotenv: Run, tmp_path: Path, files: dict[str, str]
) -> None:
    right, wrong = f"{'k' * 40}right", f"{'k' * 40}wrong"
    assert crypto.prove(right, bytes(16), ROUNDS) == crypto.prove(wrong, bytes(16), ROUNDS)
    data_key = crypto.derive_data_key(right, bytes(16), ROUNDS)
    hold(signed_in, crypto.encrypt(data_key, b"A=1\n"))
    describe(signed_in)
    (tmp_path / "wrong").write_text(wrong)
    push = ("push", "my-app", files["env"], "--client-key", str(tmp_path / "wrong"))
    result = dotenv(*push)
    assert (result.code, "does not decrypt" in result.err) == (5, True)
    assert not sent(signed_in)
    signed_in.answer("POST", f"/api/v1/{ACME}/secrets/store", {"data": {"bytes": 1}})
    assert dotenv(*push, "--force").code == 0


@pytest.mark.parametrize(
    ("status", "error"), [(403, "insufficient_permissions"), (404, "not_found")]
)
def test_who_may_write_but_not_read_can_push(
    signed_in: Server, dotenv: Run, files: dict[str, str], status: int, error: str
) -> None:
    refused = {"error": error, "message": "No."}
    signed_in.answer("GET", f"{PROJECT}/secrets", refused, status=status)
    hold(signed_in)
    describe(signed_in, managed="server", key="s" * 48)
    signed_in.answer("POST", f"/api/v1/{ACME}/secrets/store", {"data": {"bytes": 1}})
    assert dotenv("push", "my-app", files["env"]).code == 0
    assert sent(signed_in)


def test_a_key_of_32_bytes_is_never_proved_but_to_be_replaced(
    signed_in: Server, dotenv: Run, files: dict[str, str]
) -> None:
    data_key = crypto.derive_data_key(WEAK, bytes(16), ROUNDS)
    hold(signed_in, crypto.encrypt(data_key, b"A=old\n"))
    describe(signed_in)
    weak = ("--client-key", files["weak"])
    refused = dotenv("push", "my-app", files["env"], "--force", *weak)
    assert (refused.code, "32 bytes" in refused.err) == (5, True)
    assert not sent(signed_in)
    assert dotenv("pull", "my-app", *weak).out == "A=old\n"

    signed_in.answer("POST", f"{PROJECT}/secrets/rotate-client-keys", {"data": {}})
    rotated = dotenv("key", "rotate", "my-app", "-f", *weak, "--new-key", files["next"], "--json")
    assert rotated.json["version"] == "2"
    body = signed_in.last.json
    salt = base64.b64decode(body["key_check_salt"])
    assert body["key_check"] == crypto.prove(NEXT, salt)
    [secret] = body["secrets"]
    assert secret["id"] == "9"
    assert crypto.decrypt(crypto.derive_data_key(NEXT, salt), secret["content"]) == b"A=old\n"


def test_a_rotation_reads_nothing_before_both_keys_are_there(
    signed_in: Server, dotenv: Run, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(signed_in)
    # In the environment is the old key, so the new one is never taken from there.
    monkeypatch.setenv("DOTENV_CLIENT_KEY", KEY)
    result = dotenv("key", "rotate", "my-app", "--force", "--client-key", files["key"])
    assert (result.code, "--new-key" in result.err) == (2, True)
    assert [request.path for request in signed_in.requests] == [f"{PROJECT}/encryption-key"]


@pytest.mark.parametrize("given", ["hunter2/hunter2", "~hunter2", "hunter2" * 50])
def test_what_may_be_a_key_is_not_repeated(signed_in: Server, dotenv: Run, given: str) -> None:
    hold(signed_in, "AAAA")
    describe(signed_in)
    result = dotenv("pull", "my-app", "--client-key", given)
    assert result.code in (2, 5)
    assert "hunter2" not in result.err


def test_a_file_that_is_not_text_is_not_a_key(
    signed_in: Server, dotenv: Run, tmp_path: Path
) -> None:
    hold(signed_in, "AAAA")
    describe(signed_in)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    result = dotenv("pull", "my-app", "--client-key", str(tmp_path / "bytes"))
    assert (result.code, "is not UTF-8 text" in result.err) == (2, True)


def test_re_encryption_ends_when_the_server_takes_nothing(
    signed_in: Server, dotenv: Run, files: dict[str, str]
) -> None:
    describe(signed_in, version=2)
    old = crypto.derive_data_key(NEXT, bytes(16), ROUNDS)
    item = {"id": 3, "content": crypto.encrypt(old, b"A=1"), "key_version": "1"}
    pending = {"data": [item], "meta": {"remaining": 1}}
    signed_in.answer("POST", f"{PROJECT}/secrets/re-encrypt-history/pending", pending)
    version = {
        "version": "1",
        "is_active": False,
        "key_check": crypto.prove(NEXT, bytes(16), ROUNDS),
        "key_check_salt": SALT,
        "key_check_iterations": ROUNDS,
    }
    signed_in.answer("GET", f"{PROJECT}/encryption-key/history", {"data": [version]})
    nothing = {"data": {"updated": 0, "remaining": 1}}
    signed_in.answer("POST", f"{PROJECT}/secrets/re-encrypt-history", nothing)
    keys = ("--client-key", files["key"], "--old-key", files["next"])
    result = dotenv("key", "re-encrypt-history", "my-app", *keys)
    assert (result.code, "accepted none" in result.err) == (1, True)


def test_an_old_key_is_asked_for_on_a_terminal(
    signed_in: Server, terminal: Callable[..., tuple[int, str]], files: dict[str, str]
) -> None:
    describe(signed_in, version=2)
    old = {
        "version": "1",
        "managed": "client",
        "is_active": False,
        "key_check": crypto.prove(NEXT, bytes(16), ROUNDS),
        "key_check_salt": SALT,
        "key_check_iterations": ROUNDS,
    }
    content = crypto.encrypt(crypto.derive_data_key(NEXT, bytes(16), ROUNDS), b"A=old\n")
    version = {"id": "3", "content": content, "key": old}
    signed_in.answer("GET", f"/api/v1/{ACME}/secrets/versions/3", {"data": version})
    show = ("secret", "show", "my-app", "--version", "3", "--client-key", files["key"])
    code, shown = terminal(*show, answers=[("Old key (version 1)", NEXT)])
    assert (code, "A=old" in shown, NEXT in shown) == (0, True, False)
    code, shown = terminal(*show, answers=[("Old key (version 1)", "some other key")])
    assert (code, "an old client key" in shown) == (5, True)


def test_a_directory_is_not_taken_for_a_key(
    signed_in: Server, dotenv: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys-of-clients").mkdir()
    made = dotenv(
        "project", "create", "X", "--storage-mode", "client", "--client-key", "keys-of-clients"
    )
    assert (made.code, sent(signed_in)) == (2, [])
    assert "✗ Cannot read the key in keys-of-clients: Is a directory." in made.err


def test_a_file_that_the_server_does_not_take_is_named(
    signed_in: Server, dotenv: Run, files: dict[str, str]
) -> None:
    describe(signed_in)
    hold(signed_in)
    too_large = {"error": "payload_too_large", "message": "The body is larger than 9 bytes."}
    signed_in.answer("POST", f"/api/v1/{ACME}/secrets/store", too_large, status=413)
    pushed = dotenv("push", "my-app", files["env"], "--force", "--client-key", files["key"])
    assert pushed.code == 2
    assert f"✗ {files['env']} is too large for a level (4 bytes).\n" in pushed.err
