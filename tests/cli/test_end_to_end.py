"""The command against the service itself: sign in, rotate a key, ask the log about it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command

from keys import access_tokens
from organizations.models import User
from tests.cli.recorder import Result, Run
from tests.factories import ApiKeyFactory, OrganizationFactory, ProjectFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])


@pytest.fixture
def token() -> str:
    """Full access to the organization Acme."""
    owner = UserFactory.create(email="olivia@acme.example", name="Olivia")
    acme = OrganizationFactory.create(name="Acme", owner=owner)
    issued = ApiKeyFactory.create(organization=acme, name="demo", created_by=owner)
    ProjectFactory.create(organization=acme)
    return issued.token


@pytest.fixture
def signed_in(token: str, live_server: Any, dotenv: Run) -> Result:
    result = dotenv("login", "--api-key", token, "--url", live_server.url)
    assert result.code == 0, result.err
    return result


def ids(result: Result) -> list[str]:
    assert result.code == 0, result.err
    return [row["id"] for row in result.json]


def test_signing_in_finds_the_organization(signed_in: Result, dotenv: Run) -> None:
    assert "Signed in to Acme" in signed_in.err
    assert dotenv("list", "projects", "--paths").out == "my-app\n"
    assert dotenv("list", "organizations", "--json").json[0]["current"] is True


def test_a_person_signs_in_by_an_access_token(token: str, live_server: Any, dotenv: Run) -> None:
    olivia = User.objects.get()
    OrganizationFactory.create(name="Second", owner=olivia)
    issued = access_tokens.create(olivia, "laptop")
    login = ("login", "--api-key", issued.token, "--url", live_server.url)
    assert "acme, second" in dotenv(*login).err
    result = dotenv(*login, "--organization", "acme")
    assert "Signed in to Acme" in result.err
    status = dotenv("status", "-f", "json").json
    assert (status["account"], status["type"]) == ("olivia@acme.example", "user")
    assert dotenv("list", "projects", "--paths").out == "my-app\n"
    named = [row["slug"] for row in dotenv("list", "organizations", "--json").json]
    assert named == ["acme", "second"]


def test_a_rotation_is_in_the_history_and_in_the_log(signed_in: Result, dotenv: Run) -> None:
    result = dotenv("key", "rotate", "my-app", "--force")
    assert (result.code, result.out) == (0, "my-app: version 2 is active\n")
    history = dotenv("key", "history", "my-app", "-f", "json").json
    assert [(row["version"], row["is_active"]) for row in history] == [("2", True), ("1", False)]

    question = ("audit", "list", "my-app", "--action", "rotate", "-f", "json")
    [before] = dotenv(*question).json
    call_command("seal", "--once")
    [after] = dotenv(*question).json
    assert before["seq"] is None and isinstance(after["seq"], int)
    assert after["actor"]["label"] == "demo"
    assert after["interface"] == "cli"
    assert after["ip"] == "127.0.0.1"
    assert after["user_agent"].startswith("dotenv-cli/")
    assert after["context"]["command"] == "key rotate"
    assert after["changes"]["version"] == [None, 2]

    shown = dotenv("audit", "show", after["id"])
    assert "demo (api_key " in shown.out
    assert "version\n    + 2\n" in shown.out


def test_list_and_export_answer_the_same_question_alike(signed_in: Result, dotenv: Run) -> None:
    for _ in range(3):
        dotenv("key", "rotate", "my-app", "--force")
    question = ("my-app", "--type", "key_version", "--when", "today", "--exclude-action", "update")
    listed = ids(dotenv("audit", "list", *question, "-f", "json"))
    # Its creation, three rotations, and the new key that each of them answers with.
    assert len(listed) == 7
    exported = dotenv("audit", "export", *question)
    assert [json.loads(line)["id"] for line in exported.out.splitlines()][::-1] == listed
    pages = ids(dotenv("audit", "list", *question, "--limit", "2", "-f", "json"))
    rest = dotenv("audit", "list", *question, "--cursor", pages[-1], "-f", "json")
    assert pages + ids(rest) == listed


def test_keys_made_here_work_until_they_are_rotated_or_deleted(
    signed_in: Result, dotenv: Run
) -> None:
    create = ("apikeys", "create", "reader", "--abilities", "project:read,api-token:read")
    first = dotenv(*create).out.strip()
    assert dotenv("list", "projects", "--api-key", first).code == 0
    refused = dotenv("key", "rotate", "my-app", "--force", "--api-key", first)
    assert refused.code == 3
    assert "key:rotate" in refused.err

    [key_id] = [
        row["id"] for row in dotenv("apikeys", "list", "-f", "json").json if row["name"] == "reader"
    ]
    assert dotenv("apikeys", "update", key_id, "--name", "watcher").code == 0
    second = dotenv("apikeys", "rotate", key_id, "--force").out.strip()
    assert dotenv("list", "projects", "--api-key", first).code == 3
    assert dotenv("list", "projects", "--api-key", second).code == 0
    assert dotenv("apikeys", "delete", key_id, "--force").code == 0
    assert dotenv("list", "projects", "--api-key", second).code == 3
    denied = dotenv("audit", "list", "--result", "denied", "-f", "json").json
    assert denied, "refusals are in the log"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("key", "history", "nothing"), 4, "project"),
        (("audit", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), 4, "entry"),
        (("audit", "list", "--when", "blursday"), 2, "blursday"),
        (("audit", "list", "--action", "explode"), 2, "explode"),
        (("apikeys", "create", "x", "--abilities", "everything"), 2, "everything"),
        (("list", "projects", "--organization", "globex"), 4, "organization"),
    ],
)
def test_refusals_say_what_is_wrong(
    signed_in: Result, dotenv: Run, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = dotenv(*arguments)
    assert (result.code, result.out) == (code, "")
    assert words in result.err
