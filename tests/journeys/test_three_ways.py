"""A question has one answer: the page, the API and the command line show the same entries."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from audit import context
from audit.context import Actor
from audit.policy import ActorType
from organizations import clock, hierarchy
from organizations.models import Organization
from tests.factories import (
    PASSWORD,
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    TargetFactory,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
ROOT = Path(__file__).parents[2]

QUESTIONS = {
    "who deleted the production environment?": "action=delete&type=environment&resource=shop",
    "what changed today?": "when=today&exclude_action=view&exclude_action=sign_in",
    "last tuesday": "when=last+tuesday",
    "by whom": "actor=jane&action=delete",
}


@pytest.fixture
def organization() -> Organization:
    """Jane deletes the production environment of the shop."""
    organization = OrganizationFactory.create(name="Acme")
    jane = MembershipFactory.create(
        organization=organization, role="admin", user__email="jane@acme.example"
    ).user
    with context.acting_as(Actor(ActorType.USER, jane.pk, jane.email)):
        target = TargetFactory.create(project__organization=organization, project__name="Shop")
        EnvironmentFactory.create(target=target, name="Staging")
        hierarchy.delete_node(EnvironmentFactory.create(target=target, name="Production"))
    return organization


def on_the_page(organization: Organization, email: str, question: str) -> list[str]:
    client = Client()
    assert client.login(username=email, password=PASSWORD)
    page = client.get(f"/o/{organization.slug}/activity?{question}")
    assert page.status_code == 200
    return re.findall(
        r'<td class="when"[^>]*><a class="[^"]*" href="[^"]*/activity/(\w{26})',
        page.content.decode(),
    )


def by_the_api(organization: Organization, token: str, question: str) -> list[str]:
    answer = Client().get(
        f"/api/v1/organizations/{organization.slug}/audit/entries?{question}",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 200
    return [entry["id"] for entry in answer.json()["data"]]


def by_the_command(url: str, token: str, question: str) -> list[str]:
    options: list[str] = []
    for part in question.split("&"):
        name, _, value = part.partition("=")
        options += [f"--{name.replace('_', '-')}", value.replace("+", " ")]
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "dotenv_cloud.cli",
            "audit",
            "list",
            *options,
            "-f",
            "json",
            "--tz",
            "UTC",
        ],
        cwd=ROOT,
        env={**os.environ, "DOTENV_API_URL": url, "DOTENV_API_KEY": token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [entry["id"] for entry in json.loads(result.stdout)]


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_page_api_and_command_show_the_same_entries(
    organization: Organization, live_server: Any, question: str
) -> None:
    auditor = MembershipFactory.create(organization=organization, auditor=True).user
    token = ApiKeyFactory.create(
        organization=organization, abilities=["audit:read"], name="reader"
    ).token
    by_the_api(organization, token, question)  # the first use of a key is an entry too
    for sealed in (False, True):
        if sealed:
            call_command("seal", "--once", verbosity=0)
        # Reading leaves entries too: each way is asked before the next one has read.
        excluded = f"{question}&exclude_type=audit_log&exclude_actor={auditor.email}"
        page = on_the_page(organization, auditor.email, excluded)
        assert by_the_api(organization, token, excluded) == page
        assert by_the_command(live_server.url, token, excluded) == page
        if "delete" in question:
            assert len(page) == 1


def test_the_entry_of_a_deletion_has_everything_an_auditor_asks(
    organization: Organization,
) -> None:
    token = ApiKeyFactory.create(
        organization=organization, abilities=["audit:read"], name="reader"
    ).token
    [entry] = by_the_api(organization, token, QUESTIONS["who deleted the production environment?"])
    shown = (
        Client()
        .get(
            f"/api/v1/organizations/acme/audit/entries/{entry}",
            headers={"Authorization": f"Bearer {token}"},
        )
        .json()["data"]["attributes"]
    )
    assert shown["actor"]["label"] == "jane@acme.example"
    assert shown["resource"]["label"] == "shop/backend/production"
    assert shown["changes"]["slug"] == ["production", None]
    assert clock.now().date().isoformat() == shown["time"][:10]
