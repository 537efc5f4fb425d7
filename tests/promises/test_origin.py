"""Promise 3: the address in an entry is the client's, and nobody can choose it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from organizations import ulid
from organizations.models import Organization
from tests.factories import ApiKeyFactory
from tests.promises.conftest import Recorded

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])


def make_project(client: Client, organization: Organization, **meta: Any) -> Any:
    token = ApiKeyFactory.create(organization=organization).token
    return client.post(
        f"/api/v1/{organization.slug}/projects",
        {"name": "Made"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
        **meta,
    )


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "recorded"),
    [
        ([], "198.51.100.7", "203.0.113.5", "198.51.100.7"),
        (["10.0.0.0/8"], "198.51.100.7", "203.0.113.5", "198.51.100.7"),
        (["10.0.0.0/8"], "10.1.2.3", "203.0.113.5", "203.0.113.5"),
        (["10.0.0.0/8"], "10.1.2.3", "1.1.1.1, 203.0.113.5, 10.9.9.9", "203.0.113.5"),
        (["10.0.0.0/8"], "10.1.2.3", "not an address", "10.1.2.3"),
        (["10.0.0.0/8"], "10.1.2.3", "", "10.1.2.3"),
        (["::1/128"], "::1", "2001:db8::7", "2001:db8::7"),
        ([], "fe80::1%eth0", "", "fe80::1"),
        ([], "::ffff:198.51.100.7", "", "198.51.100.7"),
    ],
)
def test_a_forwarded_address_counts_only_from_a_configured_proxy(
    organization: Organization,
    owner_connection: Any,
    client: Client,
    settings: Any,
    proxies: list[str],
    peer: str,
    forwarded: str,
    recorded: str,
) -> None:
    settings.TRUSTED_PROXIES = [ipaddress.ip_network(proxy) for proxy in proxies]
    response = make_project(client, organization, REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert response.status_code == 201
    addresses = owner_connection.execute(
        "SELECT DISTINCT host(ip) FROM audit_entry WHERE interface = 'api'"
    ).fetchall()
    assert addresses == [(recorded,)]


def test_an_entry_names_actor_user_agent_and_request(
    organization: Organization, owner_connection: Any, client: Client
) -> None:
    response = make_project(client, organization, HTTP_USER_AGENT="curl/8.5")
    rows = owner_connection.execute(
        "SELECT actor_type, actor_label, user_agent, request_id, interface FROM audit_entry"
        " WHERE resource_type = 'project'"
    ).fetchall()
    [(actor_type, label, user_agent, request_id, interface)] = rows
    assert (actor_type, label, user_agent, interface) == ("api_key", "ci", "curl/8.5", "api")
    assert ulid.to_text(request_id) == response.headers["X-Request-Id"]


def test_the_command_line_is_distinguished_from_other_clients(
    organization: Organization, entries: Callable[..., list[Recorded]], client: Client
) -> None:
    make_project(client, organization, HTTP_X_CLIENT_COMMAND="project create\x1b[31m")
    [entry] = entries(resource_type="project")
    assert (entry.interface, entry.context) == ("cli", {"command": "project create [31m"})


def test_a_token_in_the_user_agent_is_not_recorded(
    organization: Organization, owner_connection: Any, client: Client
) -> None:
    token = ApiKeyFactory.create(organization=organization, name="other").token
    make_project(client, organization, HTTP_USER_AGENT=f"tool/1 ({token})")
    agents = owner_connection.execute("SELECT DISTINCT user_agent FROM audit_entry").fetchall()
    assert ("tool/1 ([redacted])",) in agents


def test_a_refusal_is_entered_although_the_request_was_rolled_back(
    organization: Organization, entries: Callable[..., list[Recorded]], client: Client
) -> None:
    token = ApiKeyFactory.create(
        organization=organization, abilities=["project:read"], name="reader"
    ).token
    for _ in range(3):
        response = client.post(
            f"/api/v1/{organization.slug}/projects",
            {"name": "No"},
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert response.status_code == 403
    [entry] = entries(result="denied")
    assert (entry.action, entry.actor) == ("access", "reader")
    assert entry.context == {
        "status": 403,
        "reason": "insufficient_permissions",
        "named": {"organization": organization.slug},
    }
