"""How the command talks to a server: what it sends, when it tries again, how it fails."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from dotenv_cloud.cli.client import version
from tests.cli.recorder import ACME, REPOSITORY, TOKEN, Run, Server

PROJECTS = f"/api/v1/{ACME}/projects"
HISTORY = f"/api/v1/{ACME}/my-app/encryption-key/history"
ROTATE = f"/api/v1/{ACME}/my-app/encryption-key/rotate"


def test_every_request_says_who_asks_and_by_which_command(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", PROJECTS, {"data": []})
    assert dotenv("list", "projects").code == 0
    headers = signed_in.last.headers
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["User-Agent"] == f"dotenv-cli/{version()}"
    assert headers["X-Client-Command"] == "list"

    signed_in.answer("GET", HISTORY, {"data": []})
    dotenv("key", "history", "my-app")
    assert signed_in.last.headers["X-Client-Command"] == "key history"


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, "unauthenticated", 3),
        (403, "insufficient_permissions", 3),
        (403, "organization_inactive", 3),
        (404, "not_found", 4),
        (422, "no_active_encryption_key", 5),
        (422, "no_active_encryption_key", 5),
        (422, "validation_failed", 2),
        (409, "rotation_in_progress", 6),
        (429, "rate_limited", 6),
        (405, "method_not_allowed", 1),
        (500, "server_error", 1),
    ],
)
def test_errors_have_their_exit_code_and_the_words_of_the_server(
    signed_in: Server, dotenv: Run, status: int, error: str, code: int
) -> None:
    body = {"error": error, "message": "Said by the server."}
    signed_in.answer("POST", ROTATE, body, status=status)
    result = dotenv("key", "rotate", "my-app", "--force")
    assert (result.code, result.out) == (code, "")
    assert "✗ Said by the server." in result.err
    assert len(signed_in.requests) == 1, "what changes something is sent once"


def test_a_refused_key_is_named_by_where_it_came_from(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", PROJECTS, {"error": "unauthenticated", "message": "No."}, status=401)
    result = dotenv("list", "projects")
    assert "DOTENV_API_KEY" in result.err
    assert TOKEN not in result.err


def test_a_server_error_names_the_request_for_the_administrator(
    signed_in: Server, dotenv: Run
) -> None:
    signed_in.answer(
        "GET",
        PROJECTS,
        {"error": "server_error", "message": "Broken."},
        status=500,
        headers={"X-Request-Id": "01JDREQUEST"},
    )
    assert "01JDREQUEST" in dotenv("list", "projects").err


def test_a_read_waits_as_long_as_the_server_asks_and_goes_on(
    signed_in: Server, dotenv: Run
) -> None:
    limited = {"error": "rate_limited", "message": "Slow down."}
    signed_in.answer("GET", PROJECTS, limited, status=429, headers={"Retry-After": "1"})
    signed_in.answer("GET", PROJECTS, {"data": []})
    started = time.monotonic()
    result = dotenv("list", "projects", "--json")
    assert (result.code, result.out) == (0, "[]\n")
    assert time.monotonic() - started >= 1
    assert "trying again in 1 s" in result.err


def test_a_read_does_not_wait_for_an_hour(signed_in: Server, dotenv: Run) -> None:
    limited = {"error": "rate_limited", "message": "Slow down."}
    signed_in.answer("GET", PROJECTS, limited, status=429, headers={"Retry-After": "3600"})
    result = dotenv("list", "projects")
    assert result.code == 6
    assert "Try again in 3600 s" in result.err
    assert len(signed_in.requests) == 1


def test_a_read_gives_up_in_the_end(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer(
        "GET",
        PROJECTS,
        {"error": "unavailable", "message": "Down for a moment."},
        status=503,
        headers={"Retry-After": "0"},
    )
    assert dotenv("list", "projects").code == 1
    assert len(signed_in.requests) == 4


def test_a_server_that_is_not_there_is_named_with_the_remedy(
    dotenv: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("DOTENV_API_URL", url)
    monkeypatch.setenv("DOTENV_API_KEY", TOKEN)
    result = dotenv("list", "projects")
    assert result.code == 1
    assert f"Cannot connect to {url}" in result.err
    assert "DOTENV_API_URL" in result.err


def test_a_page_of_some_other_server_is_not_taken_for_an_answer(
    signed_in: Server, dotenv: Run
) -> None:
    html = {"Content-Type": "text/html"}
    signed_in.answer("GET", PROJECTS, b"<html>Hello</html>", headers=html)
    signed_in.answer("GET", PROJECTS, b"<html>None</html>", status=404, headers=html)
    for status in (200, 404):
        result = dotenv("list", "projects")
        assert result.code == 1
        assert f"like a dotEnv Cloud server ({status}, text/html)" in result.err


def test_the_key_does_not_follow_a_redirect(signed_in: Server, dotenv: Run) -> None:
    elsewhere = {"Location": f"{signed_in.url}/elsewhere"}
    signed_in.answer("GET", PROJECTS, status=302, headers=elsewhere)
    result = dotenv("list", "projects")
    assert result.code == 1
    assert "/elsewhere" in result.err
    assert len(signed_in.requests) == 1


def test_a_broken_answer_to_a_change_says_that_it_may_have_been_done(
    signed_in: Server, dotenv: Run
) -> None:
    signed_in.answer("POST", ROTATE, {"data": {}}, hang_up_early=True)
    result = dotenv("key", "rotate", "my-app", "-f")
    assert result.code == 1
    assert "It may have been done anyway" in result.err


def test_without_a_server_nothing_is_guessed(dotenv: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTENV_API_KEY", TOKEN)
    result = dotenv("list", "projects")
    assert result.code == 2
    assert "DOTENV_API_URL" in result.err


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://h",
        "http://",
        "http://a:canary@h",
        "http://a:can@ary@[",
        "https://h/?x=canary",
        "http://h:x",
        "http://[",
    ],
)
def test_an_invalid_address_is_refused(
    dotenv: Run, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DOTENV_API_KEY", TOKEN)
    monkeypatch.setenv("DOTENV_API_URL", url)
    result = dotenv("list", "projects")
    assert result.code == 2
    assert "DOTENV_API_URL is" in result.err
    assert "ary" not in result.err


def test_the_path_of_the_api_may_be_part_of_the_address(
    signed_in: Server, dotenv: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTENV_API_URL", f"{signed_in.url}/api/v1/")
    signed_in.answer("GET", PROJECTS, {"data": []})
    assert dotenv("list", "projects").code == 0


def test_certificates_are_checked_but_on_this_machine(
    dotenv: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTENV_API_KEY", TOKEN)
    monkeypatch.setenv("DOTENV_API_URL", "https://dotenv.example.org")
    monkeypatch.setenv("DOTENV_TLS_SKIP_VERIFY", "1")
    result = dotenv("list", "projects")
    assert result.code == 2
    assert "DOTENV_TLS_SKIP_VERIFY" in result.err


def test_an_address_that_does_not_speak_tls_says_so(
    signed_in: Server, dotenv: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTENV_API_KEY", TOKEN)
    monkeypatch.setenv("DOTENV_API_URL", signed_in.url.replace("http:", "https:"))
    result = dotenv("list", "projects")
    assert (result.code, "does not speak TLS" in result.err) == (1, True)
    assert "http://" in result.err and "DOTENV_API_URL" in result.err


def test_debug_shows_requests_and_never_the_key(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", PROJECTS, {"data": []}, headers={"X-Request-Id": "01JDREQUEST"})
    result = dotenv("list", "projects", "--debug")
    assert f"GET {signed_in.url}{PROJECTS} → 200" in result.err
    assert "01JDREQUEST" in result.err
    assert TOKEN not in result.err


def test_global_options_may_stand_before_and_after_the_command(
    signed_in: Server, dotenv: Run
) -> None:
    other = "01BX5ZZKBKACTAV9WEVGEMMVRZ"
    signed_in.answer("GET", f"/api/v1/{other}/projects", {"data": []})
    assert dotenv("--organization", other, "list", "projects").code == 0
    assert dotenv("list", "projects", "--organization", other).code == 0
    key = f"dotenv_{other}_abc"
    assert dotenv("list", "projects", "--api-key", key).code == 0
    assert signed_in.last.headers["Authorization"] == f"Bearer {key}"


def test_the_organization_of_the_environment_goes_before_that_of_the_key(
    signed_in: Server, dotenv: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTENV_ORGANIZATION", "acme")
    signed_in.answer("GET", "/api/v1/acme/projects", {"data": []})
    assert dotenv("list", "projects").code == 0


def test_a_key_that_names_no_organization_needs_one_named(
    signed_in: Server, dotenv: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTENV_API_KEY", "some-opaque-token")
    result = dotenv("list", "projects")
    assert result.code == 2
    assert "DOTENV_ORGANIZATION" in result.err
    assert not signed_in.requests


def test_a_key_with_a_line_break_is_refused_without_being_repeated(
    signed_in: Server, dotenv: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTENV_API_KEY", "dotenv_secret\nX-Evil: 1")
    result = dotenv("list", "projects")
    assert result.code == 2
    assert "dotenv_secret" not in result.err
    assert not signed_in.requests


@pytest.mark.parametrize("project", ["..", "a/../b", "a b", "-x", "café", "a//b", ""])
def test_a_path_cannot_leave_its_place(signed_in: Server, dotenv: Run, project: str) -> None:
    assert dotenv("key", "history", "--", project).code == 2
    assert not signed_in.requests


def test_unknown_words_are_usage_errors(dotenv: Run) -> None:
    assert dotenv("nonsense").code == 2
    assert dotenv("list", "nonsense").code == 2
    assert dotenv("--help").code == 0


def test_without_standard_output_nothing_is_asked(signed_in: Server) -> None:
    command = f"{sys.executable} -m dotenv_cloud.cli list projects >&-"
    done = subprocess.run(
        ["sh", "-c", command], stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, timeout=60
    )
    assert (done.returncode, signed_in.requests) == (1, [])
    assert "✗ Standard output is closed." in done.stderr


@pytest.mark.parametrize("command", ["list projects", "--help", "version", "--version"])
def test_output_that_cannot_be_written_is_an_error_that_says_so(
    signed_in: Server, command: str
) -> None:
    row = {"id": "1", "type": "projects", "attributes": {"slug": "shop", "name": "Shop"}}
    signed_in.answer("GET", PROJECTS, {"data": [row]})
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m dotenv_cloud.cli {command} >/dev/full"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == "✗ Cannot write the output: No space left on device.\n"


def test_a_reader_that_stops_reading_ends_the_command_quietly(signed_in: Server) -> None:
    many = [{"id": str(n), "type": "p", "attributes": {"slug": f"p{n}"}} for n in range(50_000)]
    signed_in.answer("GET", PROJECTS, {"data": many})
    with subprocess.Popen(
        [sys.executable, "-m", "dotenv_cloud.cli", "list", "projects", "--paths"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"p0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
