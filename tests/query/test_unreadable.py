"""An entry that no reader can take, put into the log by a superuser: every reader goes on, and says
which entry it is.
"""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.db import transaction
from django.test import Client

from audit.entry import as_json, bulk_json
from audit.export import formats
from audit.models import Entry
from organizations import ulid
from organizations.models import Organization, User
from tests.conftest import Connection
from tests.factories import ApiKeyFactory, OrganizationFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])

UNREADABLE = {
    "digits": ('{"name": [1, ' + "9" * 5000 + "]}", "{}", ["changes"]),
    "exponent": ('{"name": [1, 1e4300]}', '{"count": 1e4300}', ["changes", "context"]),
    "fraction": ("{}", '{"count": 0.5}', ["context"]),
    "large": ("{}", '{"count": 9007199254740992}', ["context"]),
    "brackets": ('{"name": [1, ' + "[" * 5000 + "]" * 5000 + "]}", "{}", ["changes"]),
    "deep": ("{}", '{"a": ' + "[" * 70 + "]" * 70 + "}", ["context"]),
    "list": ("[1]", "[]", ["changes", "context"]),
    "number": ("1", "1", ["changes", "context"]),
    "text": ('"x"', "null", ["changes", "context"]),
    "shape": ('{"name": {"before": 1}}', "{}", ["changes"]),
    "three": ('{"name": [1, 2, 3]}', "{}", ["changes"]),
    "size": ('{"name": ["' + "x" * 1_100_000 + '", null]}', "{}", ["changes"]),
}
SAID = "Mallory's unreadable entry"


@pytest.fixture
def owner() -> User:
    return UserFactory.create(email="owner@example.org", is_superuser=True, is_staff=True)


@pytest.fixture
def acme(owner: User) -> Organization:
    return OrganizationFactory.create(name="Acme", owner=owner)


@pytest.fixture(params=UNREADABLE)
def placed(
    request: pytest.FixtureRequest, acme: Organization, superuser_connection: Connection
) -> tuple[str, list[str]]:
    """The entry's id, and what of it cannot be read."""
    changes, context, unreadable = UNREADABLE[request.param]
    [(key,)] = superuser_connection.execute(
        "INSERT INTO audit_ledger (id, organization_id, actor_id, resource_id, seq, resource_seq,"
        " actor_seq, actor_type, actor_label, action, resource_type, resource_label, result,"
        " interface, user_agent, changes, context) SELECT audit_uuid7(), %s, %s, gen_random_uuid(),"
        " 1000, 1, 1, 'user', 'owner@example.org', 'update', 'project', %s, 'denied', 'web', '',"
        " %s::jsonb, %s::jsonb RETURNING id",
        [acme.pk, acme.pk, SAID, changes, context],
    ).fetchall()
    # Their histories are found by these names.
    superuser_connection.execute(
        "INSERT INTO audit_label (organization_id, kind, label, type, id)"
        " SELECT organization_id, 'resource', resource_label, resource_type, resource_id"
        " FROM audit_ledger UNION ALL SELECT organization_id, 'actor', actor_label, actor_type,"
        " actor_id FROM audit_ledger ON CONFLICT DO NOTHING"
    )
    return ulid.to_text(key), unreadable


def test_pages_and_admin(placed: tuple[str, list[str]], acme: Organization, owner: User) -> None:
    key, _ = placed
    client = Client()
    client.force_login(owner)
    with transaction.atomic():
        entry = Entry.objects.visible([acme.pk]).get(pk=ulid.parse(key))
    for address in (
        "/o/acme/activity",
        "/o/acme/activity?field=name",
        "/o/acme/activity?result=denied",
        f"/o/acme/activity/{key}",
        f"/o/acme/history/resource/{ulid.to_text(entry.resource_id)}",
        f"/o/acme/history/actor/{ulid.to_text(entry.actor_id)}",
        "/admin/audit/entry/",
        f"/admin/audit/entry/{key}/change/",
    ):
        answer = client.get(address, follow=True)
        assert answer.status_code == 200, address
        if "field=" not in address and "history/actor" not in address:
            assert key.encode() in answer.content or str(entry.pk).encode() in answer.content
    page = client.get(f"/o/acme/activity/{key}").content.decode()
    assert "cannot be read" in page


def test_api_list_and_entry(placed: tuple[str, list[str]], acme: Organization) -> None:
    key, unreadable = placed
    token = ApiKeyFactory.create(organization=acme, abilities=["audit:read"]).token
    headers = {"authorization": f"Bearer {token}"}
    client = Client(headers=headers)
    base = f"/api/v1/organizations/{acme.slug}/audit/entries"
    for address in (f"{base}?type=project", f"{base}/{key}"):
        answer = client.get(address)
        assert answer.status_code == 200, answer.content
        data = answer.json()["data"]
        [one] = [each for each in (data if isinstance(data, list) else [data]) if each["id"] == key]
        assert one["attributes"]["unreadable"] == unreadable


@pytest.mark.parametrize("name", formats.FORMATS)
def test_exports(placed: tuple[str, list[str]], acme: Organization, name: str) -> None:
    key, unreadable = placed
    with transaction.atomic():
        text = "".join(formats.written(name, Entry.objects.visible([acme.pk])))
    assert key in text
    if name == "csv":
        [row] = [row for row in csv.DictReader(io.StringIO(text)) if row["id"] == key]
        assert [cell for cell in ("changes", "context") if row[cell] == "unreadable"] == unreadable
        return
    [line] = [json.loads(line) for line in text.splitlines() if key in line]
    assert line.get("unmapped", line)["unreadable"] == unreadable


def test_lines_are_what_the_api_says(placed: tuple[str, list[str]], acme: Organization) -> None:
    key, _ = placed
    with transaction.atomic():
        entries = Entry.objects.visible([acme.pk]).filter(pk=ulid.parse(key))
        [row], entry = bulk_json.read(entries.order_by("id")), entries.get()
    assert bulk_json.canonical([row]) == [as_json.canonical_line(as_json.as_json(entry))]
