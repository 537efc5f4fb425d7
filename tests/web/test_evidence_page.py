"""The page Evidence: for who may read the log, and true."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from django.test import Client

from audit.evidence import notes, reading, signing, witnesses
from audit.models import Entry, Witness
from audit.questions import tenant_scope
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


def test_an_owner_adds_a_witness_and_all_see_when_it_cosigned(
    acme: Organization, auditor: Client, settings: Any
) -> None:
    owner = Client()
    owner.force_login(acme.memberships.get(role="owner").user)
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    vkey = notes.WitnessKey("w1", public).vkey
    assert "Nobody witnesses this log yet" in shown(auditor)
    assert auditor.post("/o/acme/evidence/witnesses", {"vkey": vkey}).status_code == 403
    turned = notes.WitnessKey("w\u202e1", public).vkey
    for wrong in ("nonsense", vkey.replace("w1", "w2", 1), f"{vkey[:-4]}AAA=", turned):
        answer = owner.post("/o/acme/evidence/witnesses", {"vkey": wrong})
        assert answer.status_code == 422
    assert owner.post("/o/acme/evidence/witnesses", {"vkey": vkey}).status_code == 302
    again = owner.post("/o/acme/evidence/witnesses", {"vkey": vkey})
    assert "This key is that of a witness already." in again.content.decode()

    settings.AUDIT_HEADS_SECONDS = 0.01
    evidence.seal_all()
    evidence.prove_all()
    newest = reading.newest(acme.pk, "owner")
    assert newest is not None
    text, at = notes.text_of(newest.note), 1_790_000_000
    signed = private.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
    data = notes.WitnessKey("w1", public).id + at.to_bytes(8, "big") + signed
    line = f"— w1 {notes.in_base64(data)}"
    with transaction.atomic():
        tenant_scope.enter([acme.pk])
        assert witnesses.cosign(acme.pk, text, [line]) == 1
    page = shown(auditor)
    assert "2026-09-21T" in page
    assert "and no other head" in page
    entry = Entry.objects.using("owner").filter(organization_id=acme.pk).order_by("id")[0]
    assert "saw it there" in auditor.get(f"/o/acme/activity/{entry.ulid}").content.decode()

    [witness] = Witness.objects.all()
    assert "Remove" not in auditor.get("/o/acme/evidence/witnesses").content.decode()
    removed = owner.post("/o/acme/evidence/witnesses", {"remove": witness.ulid})
    assert removed.status_code == 302
    assert not Witness.objects.exists()
    assert "saw it there" in auditor.get(f"/o/acme/activity/{entry.ulid}").content.decode()


def test_the_nightly_verification_reads_the_rounds_of_heads(
    acme: Organization, settings: Any, superuser_connection: Connection
) -> None:
    settings.AUDIT_HEADS_SECONDS = 0.001
    evidence.seal_all()
    for _ in range(3):
        evidence.prove_all()
    call_command("audit_verify", all=True)
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute("UPDATE audit_round SET leaf = leaf || ' ' WHERE number = 2")
    with pytest.raises(CommandError):
        call_command("audit_verify", all=True, stderr=(said := io.StringIO()))
    assert "round 2 of heads does not give the hash in its tile" in said.getvalue()
