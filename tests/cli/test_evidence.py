"""Proofs, packs and keys by the command: fetched from the service itself, and verified."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit.context import command
from audit.evidence import signing
from audit.models import Entry
from organizations import hierarchy
from organizations.models import Organization, Project
from tests import evidence
from tests.cli.recorder import Run
from tests.conftest import Connection
from tests.factories import ApiKeyFactory, OrganizationFactory, ProjectFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    signing.keys.cache_clear()
    organization = OrganizationFactory.create(name="Acme")
    ProjectFactory.create(organization=organization, slug="storefront")
    Project.objects.bulk_create(
        [Project(organization=organization, name="x", slug=f"x-{n}") for n in range(300)]
    )
    evidence.seal_all()
    evidence.prove_all()
    return organization


@pytest.fixture
def at_work(acme: Organization) -> Iterator[None]:
    """A sealer and a worker of evidence, meanwhile."""
    with evidence.at_work():
        yield


@pytest.fixture
def auditor(
    acme: Organization, at_work: None, live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = ApiKeyFactory.create(organization=acme, abilities=["audit:read", "audit:export"])
    monkeypatch.setenv("DOTENV_API_URL", live_server.url)
    monkeypatch.setenv("DOTENV_API_KEY", issued.token)


def test_a_proof_is_fetched_verified_and_holds_without_the_server(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    entry = Entry.objects.using("owner").get(action="create", resource_label="storefront")
    file = tmp_path / "entry.proof"
    result = dotenv("audit", "proof", entry.ulid, "-o", str(file))
    assert result.code == 0, result.err
    assert f"dotenv.example.com/audit/{acme.ulid}" in result.out
    assert "its keys are trusted from now on" in result.err
    [vkey] = dotenv("audit", "keys").out.split()
    offline = dotenv("audit", "verify", str(file), "--key", vkey)
    assert (offline.code, offline.out.splitlines()[-1]) == (0, "OK")
    data = bytearray(file.read_bytes())
    data[80] ^= 1
    file.write_bytes(data)
    assert dotenv("audit", "verify", str(file), "--key", vkey).code == 7


def test_the_proof_of_an_entry_that_was_erased_as_a_whole_holds(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    entry = Entry.objects.using("owner").get(action="create", resource_label="storefront")
    asked = ("--reason", "request 7", "--by", "the data officer")
    call_command("audit_erase", "acme", "--seq", str(entry.seq), "--leaf", *asked)
    file = tmp_path / "entry.proof"
    result = dotenv("audit", "proof", entry.ulid, "-o", str(file))
    assert result.code == 0, result.err
    assert f"Entry {entry.seq} of the log is proved to be there; it is not shown." in result.out
    assert f"That {entry.ulid} has this number is the server's word." in result.err
    assert file.exists()


def test_a_pack_of_everything_is_verified_before_it_is_there(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    file = tmp_path / "all.zip"
    result = dotenv("audit", "evidence", "-o", str(file))
    assert result.code == 0, result.err
    assert "Nothing was altered, removed, inserted or moved." in result.out
    [vkey] = dotenv("audit", "keys").out.split()
    offline = dotenv("audit", "verify", str(file), "--key", vkey, "--whole")
    assert offline.code == 0, offline.err
    assert "Every index is that of its entries." in offline.out
    assert dotenv("audit", "evidence", "-o", str(file)).code == 2  # it is there


def test_a_pack_without_names_and_addresses_proves_the_same(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    file = tmp_path / "redacted.zip"
    result = dotenv("audit", "evidence", "storefront", "--redact", "actor,origin", "-o", str(file))
    assert result.code == 0, result.err
    assert "redacted parts: actor (" in result.out
    [vkey] = dotenv("audit", "keys").out.split()
    offline = dotenv("audit", "verify", str(file), "--key", vkey, "--resource", "storefront")
    assert offline.code == 0, offline.err
    with zipfile.ZipFile(file) as pack:
        lines = pack.read("entries.ndjson").splitlines()
    assert lines
    assert all(b'"actor":"sha256:' in line and b'"detail":{' in line for line in lines)
    refused = dotenv("audit", "evidence", "--redact", "name", "-o", str(tmp_path / "x.zip"))
    assert refused.code != 0
    assert "'name' is not a part" in refused.err


def test_a_pack_of_a_question_is_complete(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    file = tmp_path / "storefront.zip"
    result = dotenv("audit", "evidence", "storefront", "--action", "create", "-o", str(file))
    assert result.code == 0, result.err
    [vkey] = dotenv("audit", "keys").out.split()
    question = ("--resource", "storefront", "--action", "create")
    offline = dotenv("audit", "verify", str(file), "--key", vkey, *question)
    assert offline.code == 0, offline.err
    assert "2 have" in offline.out
    other = dotenv("audit", "verify", str(file), "--key", vkey, "--resource", "x-7")
    assert other.code == 7
    assert "it answers another key than was asked" in other.err


def test_what_leaf_data_cannot_tell_is_said_to_be_the_servers_word(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    result = dotenv("audit", "evidence", "-q", "storefront", "-o", str(tmp_path / "some.zip"))
    assert result.code == 0, result.err
    assert "That no other entry matches --q is the server's word" in result.err
    assert "Entries shown, each in the log as it was sealed: 2." in result.out
    assert "no others" not in result.out


def test_a_window_that_is_over_is_shown_to_be(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    file = tmp_path / "window.zip"
    result = dotenv("audit", "evidence", "--when", "yesterday", "--tz", "UTC", "-o", str(file))
    assert result.code == 0, result.err
    assert "a time from" in result.out
    assert "As the server has it, the window was over" in result.out


def test_a_pack_of_a_time_alone_is_much_smaller(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    whole, past = tmp_path / "all.zip", tmp_path / "past.zip"
    assert dotenv("audit", "evidence", "-o", str(whole)).code == 0
    time_ = ("--since", "2020-01-01", "--until", "2020-01-31", "--tz", "UTC")
    result = dotenv("audit", "evidence", *time_, "-o", str(past))
    assert result.code == 0, result.err
    assert "none has a time from 2020-01-01 to 2020-02-01 UTC." in result.out
    assert "As the server has it, the window was over" in result.out
    assert past.stat().st_size < whole.stat().st_size / 2
    [vkey] = dotenv("audit", "keys").out.split()
    assert dotenv("audit", "verify", str(past), "--key", vkey).code == 0


def test_a_closed_pack_shows_nothing_of_the_newest_entries(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    file = tmp_path / "closed.zip"
    result = dotenv("audit", "evidence", "storefront", "--closed", "-o", str(file))
    assert result.code == 0, result.err
    assert "Of entries 1 to 256, 2 have the path storefront or below, no others" in result.out
    with zipfile.ZipFile(file) as pack:
        assert pack.read("tail.ndjson").count(b"\n") == 1
        assert b"\t" not in pack.read("tail.ndjson")
    whole = tmp_path / "whole.zip"
    result = dotenv("audit", "evidence", "--closed", "-o", str(whole))
    assert result.code == 0, result.err
    assert "1 to 256" in result.out


def test_a_renaming_is_followed_without_being_asked(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    project = Project.objects.get(slug="storefront")
    with command(["manage.py", "test"]):
        for slug in ("shop", "market"):
            hierarchy.update_node(project, {"slug": slug})
    file = tmp_path / "renamed.zip"
    result = dotenv("audit", "evidence", "storefront", "-o", str(file))
    assert result.code == 0, result.err
    assert "asking for shop too" in result.err and "asking for market too" in result.err
    assert "have the path market or shop or storefront or below, no others" in result.out
    assert "storefront was renamed to shop at" in result.out
    assert "ask for" not in result.out


def test_an_altered_log_leaves_no_pack(
    acme: Organization,
    auditor: None,
    dotenv: Run,
    tmp_path: Path,
    superuser_connection: Connection,
) -> None:
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "UPDATE audit_ledger SET actor_label = 'nobody' WHERE organization_id = %s AND seq = 3",
            [acme.pk],
        )
    file = tmp_path / "all.zip"
    assert dotenv("audit", "evidence", "-o", str(file)).code != 0
    assert list(tmp_path.glob("*.zip")) == []


def test_a_new_key_counts_if_the_pinned_one_announced_it(
    acme: Organization, auditor: None, dotenv: Run, settings: Any
) -> None:
    assert dotenv("audit", "keys").code == 0
    settings.AUDIT_SIGNING_KEYS = {2: b"2" * 32, **settings.AUDIT_SIGNING_KEYS}
    signing.keys.cache_clear()
    _until_announced(2)
    rotated = dotenv("audit", "keys")
    assert rotated.code == 0, rotated.err
    assert len(rotated.out.split()) == 2
    assert "announced by the one before it" in rotated.err
    # A third one that nobody announced.
    settings.AUDIT_SIGNING_KEYS = {3: b"3" * 32}
    signing.keys.cache_clear()
    _until_announced(3)
    strange = dotenv("audit", "keys")
    assert strange.code == 7
    assert dotenv("audit", "keys", "--pin").code == 0
    assert dotenv("audit", "keys").code == 0


def _until_announced(number: int) -> None:
    from audit.evidence import reading

    for _ in range(200):
        if reading.signing_keys("owner")[-1].number == number:
            return
        time.sleep(0.05)
    raise AssertionError(f"key {number} was not announced")


def test_packs_are_plain_zips(
    acme: Organization, auditor: None, dotenv: Run, tmp_path: Path
) -> None:
    file = tmp_path / "all.zip"
    assert dotenv("audit", "evidence", "-o", str(file)).code == 0
    with zipfile.ZipFile(file) as pack:
        assert "pack.json" in pack.namelist()
