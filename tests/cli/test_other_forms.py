"""Argument forms of the hosted product's command, which scripts are written in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dotenv_cloud.cli import client
from tests.cli.recorder import ACME, TOKEN, Run, Server
from tests.cli.test_accounts import organization, principal
from tests.cli.test_list import node, project, tree

__all__ = ("tree",)  # a fixture

ROOT = f"/api/v1/{ACME}"
MADE = {"data": node("environments", "production")}


@pytest.mark.parametrize("word", ["environment", "env"])
@pytest.mark.parametrize(
    "parent",
    [("my-app/backend",), ("my-app", "backend"), ("/my-app/", "/backend/")],
)
def test_an_environment_is_made_by_path_or_by_parts(
    signed_in: Server, dotenv: Run, word: str, parent: tuple[str, ...]
) -> None:
    signed_in.answer("POST", f"{ROOT}/my-app/backend/environments", MADE)
    result = dotenv(word, "create", *parent, "Production", "--status", "production")
    assert (result.code, result.out) == (0, "my-app/backend/production\n"), result.err
    assert signed_in.last.json == {"name": "Production", "status": "production"}
    # The log has one name for it, however it was called.
    assert signed_in.last.headers["X-Client-Command"] == "environment create"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [("target", ("my-app", "backend")), ("environment", ("my-app", "backend", "production"))],
)
def test_a_node_is_changed_and_deleted_by_parts(
    signed_in: Server, dotenv: Run, kind: str, parts: tuple[str, ...]
) -> None:
    address = "/".join((ROOT, *parts))
    signed_in.answer("PUT", address, {"data": node(f"{kind}s", parts[-1])})
    signed_in.answer("DELETE", address, status=204)
    assert dotenv(kind, "update", *parts, "--name", "New").code == 0
    assert signed_in.last.json == {"name": "New"}
    assert dotenv(kind, "delete", *parts, "--force").code == 0
    assert (signed_in.last.method, signed_in.last.path) == ("DELETE", address)
    asked = len(signed_in.requests)
    assert dotenv(kind, "delete", *parts[:-1], "--force").code == 2
    assert dotenv(kind, "delete", *parts, "more", "--force").code == 2
    assert len(signed_in.requests) == asked


def test_a_project_takes_format_and_storage(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("POST", f"{ROOT}/projects", {"data": project("shop")})
    result = dotenv("project", "create", "Shop", "--format", "yml", "--storage", "server")
    assert (result.code, result.out) == (0, "shop\n"), result.err
    assert signed_in.last.json == {
        "name": "Shop",
        "secret_format": "yaml",
        "storage_mode": "server",
    }


def test_a_new_project_says_who_holds_its_key(
    signed_in: Server, dotenv: Run, tmp_path: Path
) -> None:
    signed_in.answer("POST", f"{ROOT}/projects", {"data": project("shop")})
    plain = dotenv("project", "create", "Shop")
    assert "The server holds the key" in plain.err
    key = tmp_path / "key"
    key.write_text("correct horse battery staple")
    kept = dotenv("project", "create", "Shop", "--storage", "client", "--client-key", str(key))
    assert kept.code == 0, kept.err
    assert "nobody else has it" in kept.err
    assert "The server holds" not in kept.err


def test_paths_are_listed_counted_or_the_first(tree: Server, dotenv: Run) -> None:
    assert dotenv("path", "a", "--output", "list").out == ("my-app\nmy-app/backend\n")
    assert dotenv("path", "a", "--output", "first").out == "my-app\n"
    assert dotenv("path", "a", "--output", "count").out == "2\n"
    assert dotenv("path", "a", "--type", "target", "--output", "count").out == "1\n"
    assert dotenv("path", "a", "--type", "all", "--output", "count").out == "2\n"
    none = dotenv("path", "nothing", "--output", "count")
    assert (none.code, none.out) == (0, "0\n")
    assert dotenv("path", "nothing", "--output", "first").code == 4


@pytest.mark.parametrize("word", ["org", "orgs", "organization", "organizations"])
def test_organizations_go_by_four_names(signed_in: Server, dotenv: Run, word: str) -> None:
    signed_in.answer("GET", "/api/v1/organizations", {"data": []})
    assert dotenv(word, "list", "-f", "yml").out == "[]\n"
    assert signed_in.last.headers["X-Client-Command"] == "org list"


@pytest.fixture
def accounts_file(tmp_path: Path) -> Path:
    return tmp_path / ".config" / "dotenv-cloud" / "accounts.yaml"


@pytest.fixture
def two_accounts(server: Server, dotenv: Run) -> Server:
    server.answer("GET", "/api/v1/user", principal(organization(ACME, "Acme", "acme")))
    for name in ("first", "second"):
        login = dotenv("login", "--api-key", TOKEN, "--url", server.url, "--name", name)
        assert login.code == 0, login.err
    return server


def test_a_renamed_organization_is_asked_for_again(
    two_accounts: Server, dotenv: Run, accounts_file: Path
) -> None:
    renamed = organization(ACME, "Acme Ltd", "acme-ltd")
    two_accounts.answer("GET", "/api/v1/organizations", {"data": [renamed]})
    two_accounts.answer("GET", "/api/v1/organizations", {"data": []})
    assert dotenv("orgs", "refresh").code == 0
    kept = yaml.safe_load(accounts_file.read_text())["accounts"]
    assert kept["second"]["organization"] == {"ulid": ACME, "name": "Acme Ltd", "slug": "acme-ltd"}
    assert kept["first"]["organization"]["name"] == "Acme"
    assert dotenv("org", "refresh").code == 4


def test_accounts_are_listed_renamed_and_removed(two_accounts: Server, dotenv: Run) -> None:
    listed = dotenv("account", "list", "-f", "json").json
    assert [(row["name"], row["current"]) for row in listed] == [("first", False), ("second", True)]
    assert dotenv("account", "rename", "second", "work").code == 0
    assert dotenv("status", "-f", "json").json["account"] == "work"
    assert dotenv("account", "rename", "work", "first").code == 2
    assert dotenv("account", "rename", "nobody", "x").code == 2
    assert dotenv("account", "remove", "work", "-f").code == 0
    assert dotenv("account", "rm", "nobody").code == 2
    assert [row["name"] for row in dotenv("list", "accounts", "--json").json] == ["first"]
    assert dotenv("logout", "-f").code == 0
    assert dotenv("list", "accounts", "--json").json == []


def test_the_version_comes_in_three_ways(dotenv: Run) -> None:
    assert dotenv("version", "-s").out == dotenv("version", "--short").out
    assert dotenv("version", "-s").out == f"{client.version()}\n"
    assert dotenv("--version").out == dotenv("version").out == f"dotenv {client.version()}\n"


def test_init_signs_in(
    server: Server, terminal: Callable[..., tuple[int, str]], accounts_file: Path
) -> None:
    server.answer("GET", "/api/v1/user", principal(organization(ACME, "Acme", "acme")))
    code, shown = terminal("init", answers=[("Server", server.url), ("API key", TOKEN)])
    assert code == 0, shown
    assert TOKEN not in shown
    assert yaml.safe_load(accounts_file.read_text())["current_account"] == "acme-api"
    code, shown = terminal("init", answers=[("another one", "n")])
    assert code == 130, shown
    assert "You are already signed in" in shown


def test_init_asks_nobody_without_a_terminal(two_accounts: Server, dotenv: Run) -> None:
    assert dotenv("init").code == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 0, "Usage: dotenv [OPTIONS] COMMAND"),
        (("audit", "list"), 0, "Usage: dotenv audit list [OPTIONS]"),
        (("env", "create"), 0, "Usage: dotenv environment create [OPTIONS]"),
        (("audit", "lst"), 2, "No such command 'lst'. Did you mean 'list'?"),
        (("pull", "now"), 2, "dotenv pull has no commands of its own."),
    ],
)
def test_help_is_a_command_too(dotenv: Run, words: tuple[str, ...], code: int, said: str) -> None:
    result = dotenv("help", *words)
    assert result.code == code
    assert said in (result.err if code else result.out)
    if words == ("audit", "list"):
        assert result.out == dotenv(*words, "--help").out
