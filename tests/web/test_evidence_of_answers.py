"""Beside a list, its evidence: what a pack of this very question proves, and the pack."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from audit.evidence import notes, signing
from audit.models import Entry
from dotenv_cloud.cli import main
from organizations.models import Organization
from tests import evidence
from tests.factories import (
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    TargetFactory,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])

PAGE = "/o/acme/activity"
PACK = f"{PAGE}/evidence"


@pytest.fixture
def acme(transactional_db: None) -> Iterator[Organization]:
    signing.keys.cache_clear()
    organization = OrganizationFactory.create(name="Acme")
    target = TargetFactory.create(
        project=ProjectFactory.create(organization=organization, slug="storefront"), slug="backend"
    )
    for name in ("Production", "Staging"):
        EnvironmentFactory.create(target=target, name=name)
    evidence.seal_all()
    evidence.prove_all()
    with evidence.at_work():
        yield organization


@pytest.fixture
def auditor(acme: Organization) -> Client:
    client = Client()
    client.force_login(MembershipFactory.create(organization=acme, auditor=True).user)
    return client


def menu(client: Client, question: str) -> str:
    page = client.get(f"{PAGE}?{question}").content.decode()
    found = re.search(r"Evidence for this answer.*?</details>", page, re.S)
    assert found, page
    return html.unescape(re.sub(r"<[^>]+>|[⁨⁩]", " ", found[0]))


def test_it_says_that_a_pack_will_be_complete(auditor: Client) -> None:
    said = menu(auditor, "resource=storefront/backend/production&since=2026-01-01&until=2099-01-01")
    assert "Complete: nothing else happened to storefront/backend/production" in said
    assert "from 2026-01-01T00:00:00Z to 2099-01-02T00:00:00Z" in said
    assert "--resource storefront/backend/production --since 2026-01-01T00:00:00Z" in said
    assert "Complete: no other entry answers this question" in menu(auditor, "action=create")
    assert "Complete: nothing else happened at all" in menu(auditor, "")


def test_it_says_what_a_pack_cannot_prove_and_why(auditor: Client) -> None:
    said = menu(auditor, "ip=192.0.2.7&action=create&user_agent=curl")
    assert "Not proved to be complete" in said and "Complete" not in said
    assert "the sealed leaf does not decide the IP address and user agent" in said


@pytest.mark.parametrize(
    ("question", "kind", "proved"),
    [
        ("", "range", "are all here, as they were sealed."),
        ("resource=storefront/backend/production", "filter", "1 has the path"),
        ("result=success", "leaves", "have the result success, no others"),
        ("ask=storefront+created", "filter", "no others"),
    ],
)
def test_the_pack_is_of_what_is_on_screen(
    acme: Organization, auditor: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    question: str, kind: str, proved: str,
) -> None:  # fmt: skip
    answer = auditor.get(f"{PACK}?{question}")
    assert answer.status_code == 200
    assert answer["Content-Disposition"].endswith(f'-{kind}.zip"')
    pack = tmp_path / "pack.zip"
    pack.write_bytes(b"".join(answer))
    options = menu(auditor, question).partition("--key log.vkey")[2].split()
    key = tmp_path / "log.vkey"
    key.write_text(notes.vkey(signing.origin(acme.pk), signing.keys()[0].public))
    with pytest.raises(SystemExit) as stopped:
        main(["audit", "verify", str(pack), "--key", str(key), *options])
    said = capsys.readouterr()
    assert stopped.value.code == 0, said
    assert proved in said.out and said.out.endswith("OK\n"), said
    whole = bytearray(pack.read_bytes())
    whole[len(whole) // 2] ^= 1
    pack.write_bytes(whole)
    with pytest.raises(SystemExit) as stopped:
        main(["audit", "verify", str(pack), "--key", str(key), *options])
    said = capsys.readouterr()
    assert stopped.value.code == 7 and "OK" not in said.out + said.err


def test_the_request_is_in_the_log_and_in_the_pack(acme: Organization, auditor: Client) -> None:
    b"".join(auditor.get(f"{PACK}?action=create"))
    exports = Entry.objects.using("owner").filter(
        organization_id=acme.pk, action__in=("export", "end_export")
    )
    assert [(each.action, each.context["format"]) for each in exports.order_by("id")] == [
        ("export", "evidence"),
        ("end_export", "evidence"),
    ]


def test_it_is_for_those_who_may_export(acme: Organization, auditor: Client) -> None:
    developer = Client()
    developer.force_login(MembershipFactory.create(organization=acme, role="developer").user)
    assert developer.get(PACK).status_code == 403
    assert auditor.get(f"{PACK}?ip=nonsense").status_code == 302


def test_before_anything_is_signed_it_says_so(transactional_db: None) -> None:
    organization = OrganizationFactory.create(name="Acme")
    client = Client()
    client.force_login(MembershipFactory.create(organization=organization, auditor=True).user)
    answer = client.get(PACK)
    assert (answer.status_code, answer["Retry-After"]) == (409, "2")
    assert "has to be sealed and signed first" in answer.content.decode()
