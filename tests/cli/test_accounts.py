"""Signing in, signing out, and what is kept of it on this machine."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.recorder import ACME, TOKEN, Run, Server

OTHER = "01BX5ZZKBKACTAV9WEVGEMMVRZ"
THIRD = "01BX5ZZKBKACTAV9WEVGEMMVS0"
Terminal = Callable[..., tuple[int, str]]


def organization(ulid: str, name: str, slug: str) -> dict[str, object]:
    attributes = {"ulid": ulid, "name": name, "slug": slug, "role": "api_user"}
    return {"type": "organizations", "id": ulid, "attributes": attributes}


def principal(*organizations: dict[str, object], kind: str = "api-keys") -> dict[str, object]:
    is_key = kind == "api-keys"
    return {
        "data": {
            "type": kind,
            "id": "17",
            "attributes": {
                "name": "deploy" if is_key else "Ada",
                "email": "" if is_key else "ada@example.org",
            },
        },
        "included": list(organizations),
    }


@pytest.fixture
def acme(server: Server) -> Server:
    server.answer("GET", "/api/v1/user", principal(organization(ACME, "Acme", "acme")))
    return server


@pytest.fixture
def accounts_file(tmp_path: Path) -> Path:
    return tmp_path / ".config" / "dotenv-cloud" / "accounts.yaml"


def test_login_checks_the_key_and_keeps_the_account(
    acme: Server, dotenv: Run, accounts_file: Path
) -> None:
    result = dotenv("login", "--api-key", TOKEN, "--url", acme.url)
    assert (result.code, result.out) == (0, "")
    assert "Signed in to Acme" in result.err
    assert acme.last.path == "/api/v1/user"
    assert acme.last.headers["X-Client-Command"] == "login"
    kept = yaml.safe_load(accounts_file.read_text())
    assert kept["current_account"] == "acme-api"
    assert kept["accounts"]["acme-api"]["organization"]["ulid"] == ACME
    assert stat.S_IMODE(accounts_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(accounts_file.parent.stat().st_mode) == 0o700
    leftovers = {path.name for path in accounts_file.parent.iterdir()}
    assert leftovers == {"accounts.yaml", ".accounts.yaml.lock"}

    acme.answer("GET", f"/api/v1/{ACME}/projects", {"data": []})
    assert dotenv("list", "projects").code == 0
    assert acme.last.headers["Authorization"] == f"Bearer {TOKEN}"


def test_login_keeps_nothing_when_the_server_refuses(
    server: Server, dotenv: Run, accounts_file: Path
) -> None:
    server.answer(
        "GET", "/api/v1/user", {"error": "unauthenticated", "message": "Expired."}, status=401
    )
    result = dotenv("login", "--api-key", TOKEN, "--url", server.url)
    assert result.code == 3
    assert "Expired." in result.err
    assert not accounts_file.exists()


def test_login_reads_the_key_from_standard_input(acme: Server, dotenv: Run) -> None:
    assert dotenv("login", "--api-key", "-", "--url", acme.url, stdin=f"{TOKEN}\n").code == 0


def test_login_asks_on_a_terminal_without_showing_the_key(acme: Server, terminal: Terminal) -> None:
    answers = [("Server", acme.url), ("API key", TOKEN)]
    code, shown = terminal("login", answers=answers)
    assert code == 0, shown
    assert "Signed in to Acme" in shown
    assert TOKEN not in shown


def test_login_without_a_terminal_does_not_wait_for_an_answer(acme: Server, dotenv: Run) -> None:
    result = dotenv("login", "--url", acme.url)
    assert result.code == 2
    assert "--api-key -" in result.err
    assert dotenv("login", "--api-key", TOKEN).code == 2, "no server is given"
    assert not acme.requests


def test_login_says_what_browser_sign_in_is_replaced_by(acme: Server, dotenv: Run) -> None:
    result = dotenv("login", "--no-browser", "--api-key", TOKEN, "--url", acme.url)
    assert result.code == 0
    assert "no browser sign-in" in result.err


def test_login_warns_when_the_key_would_travel_in_the_clear(dotenv: Run) -> None:
    result = dotenv("login", "--api-key", TOKEN, "--url", "http://dotenv.invalid")
    assert result.code == 1
    assert "not encrypted" in result.err


def test_a_person_in_several_organizations_says_which(server: Server, dotenv: Run) -> None:
    both = organization(ACME, "Acme", "acme"), organization(OTHER, "Other", "other")
    server.answer("GET", "/api/v1/user", principal(*both, kind="users"))
    # It looks like an API key, but what it names is not an organization.
    login = ("login", "--api-key", TOKEN.replace(ACME, THIRD), "--url", server.url)
    result = dotenv(*login)
    assert result.code == 2
    assert "acme, other" in result.err
    assert dotenv(*login, "--organization", "other").code == 0
    assert dotenv("status", "-f", "json").json["organization_ulid"] == OTHER
    assert dotenv("status", "-f", "json").json["account"] == "ada@example.org"
    assert dotenv(*login, "--organization", "third").code == 3


def test_several_accounts_live_side_by_side(acme: Server, dotenv: Run) -> None:
    dotenv("login", "--api-key", TOKEN, "--url", acme.url)
    dotenv("login", "--api-key", TOKEN, "--url", acme.url, "--name", "second")
    listed = dotenv("list", "accounts", "--json").json
    assert [(row["name"], row["current"]) for row in listed] == [
        ("acme-api", False),
        ("second", True),
    ]
    assert dotenv("account", "use", "acme-api").code == 0
    assert dotenv("status", "-f", "json").json["account"] == "acme-api"
    assert dotenv("status", "--account", "second", "-f", "json").json["account"] == "second"
    assert dotenv("account", "use", "third").code == 2
    assert TOKEN not in dotenv("list", "accounts").out


def test_another_server_does_not_take_the_place_of_an_account(acme: Server, dotenv: Run) -> None:
    with Server().running() as elsewhere:
        elsewhere.answer("GET", "/api/v1/user", principal(organization(ACME, "Acme", "acme")))
        dotenv("login", "--api-key", TOKEN, "--url", acme.url)
        dotenv("login", "--api-key", TOKEN, "--url", elsewhere.url)
    names = [row["name"] for row in dotenv("list", "accounts", "--json").json]
    assert names == ["acme-api", "acme-api-2"]


def test_status_asks_no_server_and_shows_no_key(acme: Server, dotenv: Run) -> None:
    assert dotenv("status").code == 3
    dotenv("login", "--api-key", TOKEN, "--url", acme.url)
    asked = len(acme.requests)
    for result in (dotenv("status"), dotenv("login", "--status")):
        assert result.code == 0
        assert ACME in result.out
        assert f"{TOKEN[:12]}…{TOKEN[-4:]}" in result.out
        assert TOKEN not in result.out
    assert len(acme.requests) == asked


def test_status_knows_a_key_from_the_environment(
    dotenv: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTENV_API_KEY", TOKEN)
    result = dotenv("status")
    assert result.code == 0
    assert "DOTENV_API_KEY" in result.out
    assert TOKEN not in result.out


def test_status_shows_when_an_account_was_used(acme: Server, dotenv: Run) -> None:
    dotenv("login", "--api-key", TOKEN, "--url", acme.url)
    assert dotenv("status", "-f", "json").json["last_used"] is None
    dotenv("list", "projects")
    assert dotenv("status", "-f", "json").json["last_used"] is not None


def test_logout_forgets_the_key(acme: Server, dotenv: Run, accounts_file: Path) -> None:
    dotenv("login", "--api-key", TOKEN, "--url", acme.url)
    dotenv("login", "--api-key", TOKEN, "--url", acme.url, "--name", "second")
    assert dotenv("logout", "nobody").code == 2
    result = dotenv("logout")
    assert result.code == 0
    assert "Forgot second" in result.err
    assert "acme-api" in result.err
    assert dotenv("logout", "--all").code == 0
    assert TOKEN not in accounts_file.read_text()
    assert dotenv("list", "projects").code == 3


def test_the_directory_of_other_clients_is_left_alone(
    acme: Server, dotenv: Run, tmp_path: Path, accounts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTENV_CONFIG_DIR", str(tmp_path / ".dotenv"))
    dotenv("login", "--api-key", TOKEN, "--url", acme.url)
    assert accounts_file.exists()
    assert not (tmp_path / ".dotenv").exists()

    monkeypatch.setenv("DOTENV_CONFIG_DIR", str(tmp_path / "mine"))
    dotenv("login", "--api-key", TOKEN, "--url", acme.url)
    assert (tmp_path / "mine" / "accounts.yaml").exists()


def test_config_names_the_file(acme: Server, dotenv: Run, tmp_path: Path) -> None:
    chosen = tmp_path / "elsewhere.yaml"
    dotenv("--config", str(chosen), "login", "--api-key", TOKEN, "--url", acme.url)
    assert stat.S_IMODE(chosen.stat().st_mode) == 0o600
    assert dotenv("status").code == 3
    assert dotenv("status", "--config", str(chosen)).code == 0


@pytest.mark.parametrize(
    "content", ["{", "- 1", "version: 2", "version: 1\naccounts: {a: {}}", "\xff"]
)
def test_a_spoilt_file_is_named_and_kept(
    dotenv: Run, acme: Server, accounts_file: Path, content: str
) -> None:
    accounts_file.parent.mkdir(parents=True)
    accounts_file.write_bytes(content.encode("latin-1"))
    for arguments in (["status"], ["login", "--api-key", TOKEN, "--url", acme.url]):
        result = dotenv(*arguments)
        assert result.code == 1
        assert str(accounts_file) in result.err
    assert accounts_file.read_bytes() == content.encode("latin-1")


def test_a_file_that_others_can_read_is_warned_about(
    acme: Server, dotenv: Run, accounts_file: Path
) -> None:
    dotenv("login", "--api-key", TOKEN, "--url", acme.url)
    accounts_file.chmod(0o644)
    assert "chmod 600" in dotenv("list", "projects").err


def test_a_link_to_the_file_stays_a_link(
    acme: Server, dotenv: Run, accounts_file: Path, tmp_path: Path
) -> None:
    accounts_file.parent.mkdir(parents=True)
    accounts_file.symlink_to(tmp_path / "kept.yaml")
    assert dotenv("login", "--api-key", TOKEN, "--url", acme.url).code == 0
    assert accounts_file.is_symlink()
    assert stat.S_IMODE((tmp_path / "kept.yaml").stat().st_mode) == 0o600


def test_a_script_with_key_and_server_needs_no_file(
    signed_in: Server, dotenv: Run, accounts_file: Path
) -> None:
    accounts_file.parent.mkdir(parents=True)
    accounts_file.write_text("{")
    signed_in.answer("GET", f"/api/v1/{ACME}/projects", {"data": []})
    assert dotenv("list", "projects").code == 0
