"""The page Evidence: for who may read the log, and true."""

from __future__ import annotations

import base64
import html
import io

import pytest
from django.core.management import call_command
from django.test import Client

from audit.evidence import notes, reading, signing
from organizations.models import Organization
from tests import evidence
from tests.conftest import Connection
from tests.factories import MembershipFactory, OrganizationFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    signing.keys.cache_clear()
    return OrganizationFactory.create(name="Acme")


@pytest.fixture
def auditor(acme: Organization) -> Client:
    client = Client()
    client.force_login(MembershipFactory.create(organization=acme, auditor=True).user)
    return client


def shown(client: Client) -> str:
    answer = client.get("/o/acme/evidence")
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_shows_the_newest_checkpoint_and_the_key_of_this_log(
    acme: Organization, auditor: Client, owner_connection: Connection
) -> None:
    other = OrganizationFactory.create()
    page = shown(auditor)
    assert "Nothing of this log was signed yet" in page
    evidence.seal_all()
    evidence.prove_all()
    page = shown(auditor)
    size, root = evidence.size_and_root(owner_connection, acme.pk)
    assert f"Checkpoint of {size} entr" in page
    assert base64.b64encode(root).decode() in page
    key = signing.keys()[0].public
    assert notes.vkey(signing.origin(acme.pk), key) in page
    assert signing.origin(other.pk) not in page
    # What was shown to somebody is kept.
    kept = owner_connection.execute(
        "SELECT is_kept FROM audit_checkpoint WHERE organization_id = %s AND size = %s",
        [acme.pk, size],
    ).fetchone()
    assert kept == (True,)
    found = reading.newest(acme.pk, "owner")
    assert found is not None
    assert found.size == size
    assert html.escape(found.note) in page


def test_it_says_when_the_service_verified_itself(acme: Organization, auditor: Client) -> None:
    evidence.seal_all()
    evidence.prove_all()
    assert "None yet." in shown(auditor)
    call_command("audit_verify", stdout=io.StringIO())
    page = shown(auditor)
    assert "None yet." not in page
    assert 'href="/o/acme/activity?action=verify"' in page


def test_it_is_for_who_may_read_the_log_and_linked_for_them(
    acme: Organization, auditor: Client
) -> None:
    assert '<a href="/o/acme/evidence"' in auditor.get("/o/acme/activity").content.decode()
    member = Client()
    member.force_login(MembershipFactory.create(organization=acme).user)
    assert member.get("/o/acme/evidence").status_code == 403
    assert "/o/acme/evidence" not in member.get("/o/acme/projects").content.decode()
    stranger = Client()
    stranger.force_login(MembershipFactory.create().user)
    assert stranger.get("/o/acme/evidence").status_code == 404
    assert auditor.post("/o/acme/evidence").status_code == 405
