"""The page of an entry says whether it is proved, and the proof can be downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from audit.evidence import notes, signing
from audit.models import Entry
from dotenv_cloud import verifier
from dotenv_cloud.cli.evidence_verify import Trust
from organizations.models import Organization
from tests import evidence
from tests.conftest import Connection
from tests.factories import MembershipFactory, OrganizationFactory, ProjectFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    signing.keys.cache_clear()
    organization = OrganizationFactory.create(name="Acme")
    ProjectFactory.create(organization=organization, slug="storefront")
    return organization


@pytest.fixture
def auditor(acme: Organization) -> Client:
    client = Client()
    client.force_login(MembershipFactory.create(organization=acme, auditor=True).user)
    return client


def page_of(label: str) -> str:
    entry = Entry.objects.using("owner").get(action="create", resource_label=label)
    return f"/o/acme/activity/{entry.ulid}"


def test_an_entry_is_proved_once_its_head_is_signed(acme: Organization, auditor: Client) -> None:
    page = page_of("storefront")
    assert "Download proof" not in auditor.get(page).content.decode()
    assert auditor.get(f"{page}/proof").status_code == 404
    evidence.seal_all()
    shown = auditor.get(page).content.decode()
    assert "Not proved yet" in shown
    assert "Download proof" not in shown
    evidence.prove_all()
    shown = auditor.get(page).content.decode()
    assert "Sealed and proved" in shown
    assert f'href="{page}/proof"' in shown


def test_the_proof_holds_without_the_server(
    acme: Organization, auditor: Client, tmp_path: Path
) -> None:
    evidence.seal_all()
    evidence.prove_all()
    answer = auditor.get(f"{page_of('storefront')}/proof")
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith('attachment; filename="acme-')
    file = tmp_path / "proof"
    file.write_bytes(answer.content)
    name = signing.origin(acme.pk)
    key = verifier.Key.parse(notes.vkey(name, signing.keys()[0].public))
    report = verifier.verify(file, Trust([key]))
    assert report.checkpoint.origin == name
    assert not report.missing


def test_a_proof_is_for_those_who_may_read_the_log(acme: Organization, auditor: Client) -> None:
    evidence.seal_all()
    evidence.prove_all()
    page = page_of("storefront")
    developer = Client()
    developer.force_login(MembershipFactory.create(organization=acme, role="developer").user)
    stranger = Client()
    stranger.force_login(OrganizationFactory.create(name="Rival").memberships.get().user)
    assert developer.get(f"{page}/proof").status_code == 403
    assert stranger.get(f"{page}/proof").status_code == 404
    assert stranger.get(f"{page.replace('acme', 'rival')}/proof").status_code == 404


def test_an_altered_entry_has_no_proof(
    acme: Organization, auditor: Client, superuser_connection: Connection
) -> None:
    evidence.seal_all()
    evidence.prove_all()
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "UPDATE audit_ledger SET actor_label = 'nobody' WHERE resource_label = 'storefront'"
        )
    answer = auditor.get(f"{page_of('storefront')}/proof")
    assert answer.status_code == 500
    assert "does not give the hash in its tile" in answer.content.decode()
    [found] = Entry.objects.using("owner").filter(action="verify")
    assert found.result == "failed"
