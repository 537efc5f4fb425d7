"""What was signed is remembered outside the database: a database that was set back signs no second
history, and a memory that was set back, or is gone, signs nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.test import Client
from psycopg.conninfo import make_conninfo

from audit.evidence import (
    health,
    memory,
    notes,
    reading,
    recalling,
    signing,
    verifying,
    writing,
)
from dotenv_cloud import verifier
from dotenv_cloud.cli import evidence_verify
from organizations import ulid
from organizations.models import Organization
from tests import evidence
from tests.conftest import Connection, Databases
from tests.factories import MembershipFactory, OrganizationFactory, ProjectFactory
from tests.promises.test_evidence import ROOT, connections_binaries, no_keys_left_over

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])

__all__ = ["no_keys_left_over"]


def grow(organization: Organization) -> None:
    """One more entry, sealed and, if that is possible, signed."""
    ProjectFactory.create(organization=organization)
    evidence.seal_all()


def signed_size(organization: Organization) -> int:
    found = reading.newest(organization.pk, "owner")
    return found.size if found else 0


def records() -> dict[uuid.UUID, memory.Signed]:
    found = memory.Memory(settings.AUDIT_MEMORY)
    keys = signing.keys()
    found.read([key.public for key in keys], {})
    return {each.organization: each for each in found.all()}


# -- The database was set back


@dataclass
class Restored:
    """A database made of an older dump, and what is run on it."""

    environment: dict[str, str]
    owner: str

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            env=os.environ | self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def newest(self, organization: uuid.UUID) -> tuple[Any, ...] | None:
        with psycopg.connect(self.owner) as connection:
            return connection.execute(
                "SELECT max(c.size), max(h.size) FROM audit_head h LEFT JOIN audit_checkpoint c"
                " USING (organization_id) WHERE organization_id = %s",
                [organization],
            ).fetchone()


ENTER = """
import django; django.setup()
from audit.ledger import sealing
from organizations.models import Organization
from tests.factories import ProjectFactory
for organization in Organization.objects.using("owner"):
    for _ in range({count}):
        ProjectFactory.create(organization=organization)
while sealing.seal().is_behind: pass
"""
HEALTH = """
import django; django.setup()
from django.conf import settings
from django.test import Client
settings.METRICS_TOKEN = "token"
answer = Client().get("/health", headers={"authorization": "Bearer token"})
print(answer.status_code, answer.json()["problems"]["signatures"])
print(Client().get("/metrics", headers={"authorization": "Bearer token"}).content.decode())
"""


@pytest.fixture
def restore(databases: Databases) -> Iterator[Any]:
    """Dump the database now; what it returns restores it elsewhere, later."""
    binaries = connections_binaries()
    name = f"restored_{os.getpid()}"

    def dump() -> Any:
        dumped = subprocess.run(
            [binaries / "pg_dump", "--format=custom", databases.superuser],
            capture_output=True,
            check=True,
        ).stdout

        def restored() -> Restored:
            with psycopg.connect(databases.superuser, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            urls = {
                variable: make_conninfo(url, dbname=name)
                for variable, url in databases.environment.items()
            }
            subprocess.run(
                [
                    binaries / "pg_restore",
                    "--exit-on-error",
                    f"--dbname={urls['DATABASE_SUPERUSER_URL']}",
                ],
                input=dumped,
                capture_output=True,
                check=True,
            )
            environment = urls | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
            return Restored(environment, urls["DATABASE_OWNER_URL"])

        return restored

    yield dump
    with psycopg.connect(databases.superuser, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_after_a_restore_of_an_older_dump_the_log_is_not_signed_and_health_says_why(
    organization: Organization, restore: Any
) -> None:
    quiet = OrganizationFactory.create()
    grow(organization)
    evidence.prove_all()
    before = signed_size(organization)
    restored = restore()
    grow(organization)
    evidence.prove_all()
    signed = signed_size(organization)
    assert signed > before

    old = restored()
    label = ulid.to_text(organization.pk)
    said = f"Log {label} is not signed: a checkpoint of {signed} entries was signed"
    # At once, before anything new happens there,
    result = old.run("manage.py", "audit_evidence", "--once")
    assert result.returncode == 1
    assert said in result.stderr
    # and when the restored log has become longer than the one that was signed, and another one.
    assert old.run("-c", ENTER.format(count=4)).returncode == 0
    result = old.run("manage.py", "audit_evidence", "--once")
    assert said in result.stderr
    newest = old.newest(organization.pk)
    assert newest is not None
    assert newest[0] == before
    assert newest[1] > signed  # sealed and in the tree all the same
    # What was not signed since the dump continues, and is.
    others = old.newest(quiet.pk)
    assert others is not None
    assert others[0] == others[1] > 1
    status, _, rest = old.run("-c", HEALTH).stdout.partition(" ")
    assert status == "503"
    assert f"Log {label} is not signed" in rest
    assert "docs/operations.md" in rest
    assert "\ndotenv_audit_refused_logs 1.0\n" in rest
    # To remember what the database says does not make it forget what was signed.
    assert old.run("manage.py", "audit_evidence", "--remember").returncode == 0
    result = old.run("manage.py", "audit_evidence", "--once")
    assert said in result.stderr


PACK = """
import django; django.setup()
import sys
from django.db import transaction
from audit.context import command
from audit.evidence import reading
from audit.export import packs
from audit.questions import reading as recordings
from audit.questions import tenant_scope
from organizations.models import Organization
from audit.ledger import sealing
from audit.evidence import writing
acme = Organization.objects.using("owner").get(pk="{pk}")
with command(["manage.py", "test"]), transaction.atomic():
    recordings.record_export(acme, None, packs.FORMAT)
while sealing.seal().is_behind: pass
writing.Worker().round()
with command(["manage.py", "test"]), transaction.atomic():
    tenant_scope.enter([acme.pk])
    checkpoint = reading.newest(acme.pk)
    made = packs.Pack(acme, None, checkpoint, checkpoint.size)
sys.stdout.buffer.write(b"".join(made))
"""


def test_a_log_that_was_set_back_is_signed_on_as_a_fork_which_says_what_was_lost(
    organization: Organization, restore: Any, tmp_path: Path
) -> None:
    grow(organization)
    evidence.prove_all()
    before = signed_size(organization)
    restored = restore()
    grow(organization)
    evidence.prove_all()
    signed = signed_size(organization)

    old = restored()
    assert old.run("-c", ENTER.format(count=4)).returncode == 0
    assert old.run("manage.py", "audit_evidence", "--once").returncode == 1
    origin = signing.origin(organization.pk)
    result = old.run("manage.py", "audit_fork", "--all", "--reason", "disk lost", "--by", "ops")
    assert result.returncode == 0, result.stderr
    assert f"{origin}/1: the same up to entry {before}; " in result.stdout
    result = old.run("manage.py", "audit_evidence", "--once")
    assert result.returncode == 0, result.stderr
    newest = old.newest(organization.pk)
    assert newest is not None
    assert newest[0] > signed
    # Done once; it is signed as before from then on.
    again = old.run("manage.py", "audit_fork", "--organization", organization.slug)
    assert again.returncode == 1
    assert "there is nothing to fork" in again.stderr
    assert old.run("manage.py", "audit_verify", "--all").returncode == 0

    # A pack of it verifies in the name of the fork, and says that entries were lost.
    pack = subprocess.run(
        [sys.executable, "-c", PACK.format(pk=organization.pk)],
        env=os.environ | old.environment,
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    path = tmp_path / "pack.zip"
    path.write_bytes(pack)
    key = verifier.Key.parse(notes.vkey(f"{origin}/1", signing.keys()[0].public))
    report = verifier.verify(path, evidence_verify.Trust([key], []))
    assert report.checkpoint.origin == f"{origin}/1"
    [lost] = evidence_verify.forks(report, [key], 0)
    assert lost == f"{signed - before} entries that were signed are not in this log: it is fork 1."
    assert evidence_verify.forks(report, [key], 1) == []

    # The old name is never signed again, not even by the database that was not set back.
    assert not writing.Worker().round().signed
    grow(organization)
    worked = evidence.prove_all()
    assert organization.pk in worked.set_back
    assert signed_size(organization) == signed


def test_a_memory_made_anew_is_entered(
    organization: Organization, owner_connection: Connection
) -> None:
    grow(organization)
    evidence.prove_all()
    settings.AUDIT_MEMORY.unlink()
    said = io.StringIO()
    call_command("audit_evidence", "--remember", stdout=said, stderr=said)
    evidence.seal_all()
    found = owner_connection.execute(
        "SELECT context FROM audit_ledger WHERE action = 'seal' AND organization_id = %s"
        " AND context ->> 'reason' = 'memory_made_anew'",
        [ulid.NIL],
    ).fetchall()
    assert found == [({"reason": "memory_made_anew"},)]


def test_a_log_that_was_stopped_by_a_clients_checkpoint_can_be_forked(
    organization: Organization, owner_connection: Connection
) -> None:
    """Database and memory were both set back, and a client brought what was signed before."""
    grow(organization)
    evidence.prove_all()
    size = signed_size(organization)
    stranger = signing.checkpoint(organization.pk, size + 5, bytes(32))
    owner_connection.execute(
        "SELECT audit_stop_signing(%s, %s, %s, %s)",
        [organization.pk, signing.origin(organization.pk), size + 5, stranger],
    )
    grow(organization)
    assert organization.pk in evidence.prove_all().set_back
    said = io.StringIO()
    with connections["sealer"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")
    call_command("audit_fork", "--organization", organization.slug, stdout=said)
    assert f"/1: the same up to entry {size}; 5 entries that were signed" in said.getvalue()
    evidence.seal_all()
    assert not evidence.prove_all().set_back
    found = reading.newest(organization.pk, "owner")
    assert found is not None
    assert found.origin == f"{signing.origin(organization.pk)}/1"
    assert not verifying.verify("owner").findings
    [(last, common)] = owner_connection.execute(
        "SELECT context ->> 'last', context ->> 'common' FROM audit_ledger WHERE action = 'fork'"
        " AND organization_id = %s",
        [organization.pk],
    ).fetchall()
    assert last == stranger
    assert f"\n{size}\n" in common


def test_the_page_of_an_entry_gives_the_browser_the_keys_of_the_fork(
    organization: Organization, owner_connection: Connection
) -> None:
    grow(organization)
    evidence.prove_all()
    size, origin = signed_size(organization), signing.origin(organization.pk)
    owner_connection.execute(
        "SELECT audit_stop_signing(%s, %s, %s, %s)",
        [
            organization.pk,
            origin,
            size + 5,
            signing.checkpoint(organization.pk, size + 5, bytes(32)),
        ],
    )
    evidence.prove_all()
    with connections["sealer"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")
    call_command("audit_fork", "--organization", organization.slug, stdout=io.StringIO())
    grow(organization)
    evidence.prove_all()
    [(entry,)] = owner_connection.execute(
        "SELECT id FROM audit_ledger WHERE organization_id = %s AND seq = 1", [organization.pk]
    ).fetchall()
    client = Client()
    client.force_login(MembershipFactory.create(organization=organization, auditor=True).user)
    page = client.get(f"/o/{organization.slug}/activity/{ulid.to_text(entry)}")
    assert page.status_code == 200
    public = signing.keys()[0].public
    assert page.context["vkeys"] == [notes.vkey(f"{origin}/1", public)]


def test_after_a_restore_up_to_what_was_signed_it_is_signed_on(
    organization: Organization, restore: Any
) -> None:
    grow(organization)
    evidence.prove_all()
    signed = signed_size(organization)
    new = restore()()
    assert new.run("-c", ENTER.format(count=1)).returncode == 0
    result = new.run("manage.py", "audit_evidence", "--once")
    assert result.returncode == 0, result.stderr
    newest = new.newest(organization.pk)
    assert newest is not None
    assert newest[0] > signed


def test_a_database_set_back_under_a_running_worker_is_noticed(
    organization: Organization, superuser_connection: Connection
) -> None:
    grow(organization)
    worker = writing.Worker()
    worker.round()
    kept = _evidence_of(superuser_connection)
    grow(organization)
    worker.round()
    signed = signed_size(organization)
    after = _evidence_of(superuser_connection)
    _put_back(superuser_connection, kept)
    worked = worker.round()
    assert signed_size(organization) < signed
    # The same entries are in the tree again, with other salts: another history.
    assert organization.pk in worked.set_back
    assert health.read().refused_logs >= 1
    # Put right, it goes on after a while.
    _put_back(superuser_connection, after)
    grow(organization)
    again = writing.Worker().round()
    assert not again.set_back
    assert signed_size(organization) > signed


_TABLES = ("audit_tile", "audit_salt", "audit_block", "audit_head", "audit_checkpoint")


def _evidence_of(connection: Connection) -> dict[str, Any]:
    return {table: connection.execute(f"TABLE {table}").fetchall() for table in _TABLES}  # type: ignore[call-overload]


def _put_back(connection: Connection, rows: dict[str, Any]) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        for table, kept in rows.items():
            connection.execute(f"DELETE FROM {table}")  # type: ignore[call-overload]
            for row in kept:
                values = ", ".join(["%s"] * len(row))
                connection.execute(f"INSERT INTO {table} VALUES ({values})", row)  # type: ignore[call-overload]


# -- The memory was set back, or is gone


def once() -> str:
    """A run of the worker that does not sign everything; what it says."""
    said = io.StringIO()
    with pytest.raises(CommandError, match="Not everything was signed"):
        call_command("audit_evidence", "--once", stdout=io.StringIO(), stderr=said)
    return said.getvalue()


@pytest.mark.parametrize("how", ["gone", "of before", "without a log", "damaged"])
def test_with_a_memory_that_knows_less_than_the_database_nothing_is_signed(
    organization: Organization, how: str
) -> None:
    grow(organization)
    evidence.prove_all()
    old = settings.AUDIT_MEMORY.read_bytes()
    another = OrganizationFactory.create()
    grow(another)
    evidence.prove_all()
    signed, of_another = signed_size(organization), signed_size(another)
    if how == "gone":
        settings.AUDIT_MEMORY.unlink()
    elif how == "of before":
        settings.AUDIT_MEMORY.write_bytes(old)
    elif how == "without a log":
        kept = [
            memory.RECORD.pack(each.organization.bytes, *each[1:4])
            for key, each in records().items()
            if key != another.pk
        ]
        settings.AUDIT_MEMORY.write_bytes(b"".join(kept))
    else:
        content = settings.AUDIT_MEMORY.read_bytes()
        settings.AUDIT_MEMORY.write_bytes(bytes([content[-1] ^ 1]) * len(content))
    grow(organization)
    grow(another)
    said = once()
    assert "Nothing is signed: " in said
    assert str(settings.AUDIT_MEMORY) in said
    assert health.read().refusal in said
    assert (signed_size(organization), signed_size(another)) == (signed, of_another)
    # The way back, which an operator has to ask for.
    if how == "damaged":
        with pytest.raises(CommandError, match="Move the file away first"):
            call_command("audit_evidence", "--remember", stdout=io.StringIO())
        settings.AUDIT_MEMORY.unlink()
    else:
        assert "audit_evidence --remember" in said
    call_command("audit_evidence", "--remember", stdout=io.StringIO())
    call_command("audit_evidence", "--once", stdout=io.StringIO())
    assert signed_size(organization) > signed
    assert signed_size(another) > of_another
    assert health.read().refusal == ""


def test_a_signature_is_in_the_memory_before_it_is_in_the_database(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(organization)
    called = writing.Worker._call

    def killed(self: Any, call: str, parameters: Any) -> None:
        if call.startswith("audit_sign("):
            raise KeyboardInterrupt
        called(self, call, parameters)

    monkeypatch.setattr(writing.Worker, "_call", killed)
    with pytest.raises(KeyboardInterrupt):
        writing.Worker().round()
    assert signed_size(organization) == 0
    size = records()[organization.pk].size
    assert size > 0
    # The next one finds that the tree still is what was signed, and goes on.
    monkeypatch.setattr(writing.Worker, "_call", called)
    grow(organization)
    assert not evidence.prove_all().set_back
    assert signed_size(organization) > size


def test_where_the_memory_cannot_be_written_nothing_is_signed(
    organization: Organization, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIT_MEMORY = tmp_path / "missing" / "signed"
    grow(organization)
    assert "cannot be written" in once()
    assert signed_size(organization) == 0


def test_a_log_takes_120_bytes_from_which_its_checkpoint_can_be_made_again(
    organization: Organization,
) -> None:
    for _ in range(3):
        grow(organization)
        evidence.prove_all()
    writing.Worker().round()
    found = records()
    assert settings.AUDIT_MEMORY.stat().st_size == 120 * len(found)
    assert settings.AUDIT_MEMORY.stat().st_mode & 0o777 == 0o600
    newest = reading.newest(organization.pk, "owner")
    assert newest is not None
    assert found[organization.pk] == recalling.of_note(organization.pk, newest.note)
    assert newest.note.startswith(found[organization.pk].text().decode())


def test_a_record_that_a_crash_cut_off_is_dropped(organization: Organization) -> None:
    grow(organization)
    evidence.prove_all()
    whole = records()
    for rest in (b"\0" * 120, b"\1" * 119, os.urandom(333)):
        with settings.AUDIT_MEMORY.open("ab") as file:
            file.write(rest)
        assert records() == whole
        assert settings.AUDIT_MEMORY.stat().st_size == 120 * len(whole)
