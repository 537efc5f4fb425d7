"""Retention: what leaves the ledger is archived and recorded by number, and nothing else leaves."""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from psycopg import errors

from audit.context import command
from audit.evidence import index, leaf, notes, reading, signing, tree, writing
from audit.export import formats, packs
from audit.ledger import merging, partitions, sealing
from audit.ledger.partitions import Lock
from audit.models import Entry
from audit.policy import action
from audit.questions import reading as recordings
from audit.questions import tenant_scope
from audit.questions.asking import ask
from audit.questions.provable import EVER, Provable
from audit.retention import archive, holds, months
from audit.retention.archived import Archived
from dotenv_cloud import verifier
from dotenv_cloud.cli.evidence_verify import Trust
from organizations import clock, ulid
from organizations.models import Organization
from tests import evidence
from tests.conftest import Databases
from tests.factories import OrganizationFactory, ProjectFactory, TargetFactory
from tests.query import seeding
from tests.retention.conftest import A_MONTH, FEBRUARY, JANUARY, MARCH, retention

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])
Connection = psycopg.Connection[Any]

ROOT = Path(__file__).resolve().parents[2]
OLD = ("2021_01", "2021_02")


def entries(connection: Connection, organization: Organization) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT seq, id, action, resource_id, changes <> '{}' FROM audit_ledger"
        " WHERE organization_id = %s ORDER BY id",
        [organization.pk],
    ).fetchall()


def removals(connection: Connection, organization: Organization) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT manifest, entries, kept FROM audit_removal WHERE organization_id = %s"
        " ORDER BY until, removed_at",
        [organization.pk],
    ).fetchall()


def archived(directory: Path, organization: Organization) -> list[str]:
    """The lines of all archives, oldest month first."""
    name = f"{ulid.to_text(organization.pk)}.ndjson.gz"
    return [
        line
        for file in sorted(directory.glob(f"20*/{name}"))
        for line in gzip.decompress(file.read_bytes()).decode().splitlines()
    ]


[CHECK] = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "retention.md").read_text(), re.DOTALL)


def missing_numbers_are_those_recorded(connection: Connection) -> bool:
    """By the statement that the documentation gives; and no number was removed twice."""
    twice = connection.execute(
        "SELECT organization_id FROM audit_removal GROUP BY 1 HAVING sum(entries) <> (SELECT"
        " sum(upper(r) - lower(r)) FROM unnest(range_agg(numbers)) AS r)"
    ).fetchall()
    return not twice and not connection.execute(CHECK).fetchall()


def test_a_missing_number_that_is_not_recorded_is_found(
    sealed: None, acme: Organization, superuser_connection: Connection
) -> None:
    assert missing_numbers_are_those_recorded(superuser_connection)
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "DELETE FROM audit_ledger WHERE organization_id = %s AND seq = 7", [acme.pk]
        )
    [(organization, removed, missing)] = superuser_connection.execute(CHECK).fetchall()
    assert (organization, removed, str(missing)) == (acme.pk, None, "{[7, 8)}")


def tables(connection: Connection) -> set[str]:
    rows = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'audit_ledger'::regclass"
    ).fetchall()
    return {name for (name,) in rows}


# -- What is reported, and what is done


def test_it_changes_nothing_without_apply(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    before = entries(owner_connection, acme)
    said = retention(tmp_path)
    assert f"2021-01: {2 * A_MONTH} entries in 2 logs" in said
    assert said.endswith("Nothing was changed. Add --apply to remove these entries.\n")
    assert entries(owner_connection, acme) == before
    assert not list(tmp_path.iterdir())


def test_without_a_period_everything_stays(sealed: None, tmp_path: Path) -> None:
    said = io.StringIO()
    call_command("audit_retention", "--apply", "--directory", str(tmp_path), stdout=said)
    assert said.getvalue() == "RETENTION_MONTHS is not set: all entries are kept.\n"


def test_what_left_is_in_the_archive_line_by_line_as_exported(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    with transaction.atomic():
        mine = Entry.objects.visible([acme.pk])  # type: ignore[attr-defined]
        lines = "".join(
            formats.written("ndjson", mine.filter(id__lt=ulid.floor(MARCH)))
        ).splitlines()
    retention(tmp_path, "--apply")
    gone = archived(tmp_path, acme)
    left = {ulid.to_text(key) for _, key, *_ in entries(owner_connection, acme)}
    assert len(gone) > A_MONTH
    assert gone == [line for line in lines if json.loads(line)["id"] not in left]


def test_missing_numbers_are_exactly_those_recorded(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    assert missing_numbers_are_those_recorded(owner_connection)
    retention(tmp_path, "--apply")
    ProjectFactory.create(organization=acme, name="Later")
    sealing.seal()
    assert len(removals(owner_connection, acme)) == 2
    assert missing_numbers_are_those_recorded(owner_connection)


def test_the_first_and_last_change_of_each_resource_stay(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    changes = [entry for entry in entries(owner_connection, acme) if entry[3] and entry[4]]
    before = [entry for entry in changes if ulid.time_of(entry[1]) < MARCH]
    last = {entry[3]: entry[1] for entry in before}.values()
    first = {entry[3]: entry[1] for entry in reversed(before)}.values()
    retention(tmp_path, "--apply")
    left = {entry[1] for entry in entries(owner_connection, acme) if ulid.time_of(entry[1]) < MARCH}
    assert left == {*first, *last}


def test_the_manifest_shows_every_file(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    retention(tmp_path, "--apply")
    removed = removals(owner_connection, acme)
    for directory, (manifest, count, _) in zip(sorted(tmp_path.iterdir()), removed, strict=True):
        files = archive.verify(directory, manifest)
        mine = next(file for file in files if file.organization_id == acme.pk)
        assert mine.entries == count
        assert directory.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}


def test_months_within_the_period_stay(
    owner_connection: Connection, acme: Organization, tmp_path: Path
) -> None:
    partitions.make_ahead(JANUARY)
    sealing.seal()
    with clock.at(datetime(2022, 2, 28, 23, tzinfo=UTC)):
        retention(tmp_path, "--apply")  # keeps February 2022 and the twelve months before
    assert [path.name[:7] for path in tmp_path.iterdir()] == ["2021-01"]


def test_a_second_run_finds_nothing_to_do(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    retention(tmp_path, "--apply")
    before = entries(owner_connection, acme), sorted(tmp_path.iterdir())
    assert "can be removed: none." in retention(tmp_path, "--apply")
    assert (entries(owner_connection, acme), sorted(tmp_path.iterdir())) == before


def test_each_organization_and_the_platform_get_an_entry(
    sealed: None, acme: Organization, other: Organization, tmp_path: Path
) -> None:
    retention(tmp_path, "--apply")
    for organization in (acme.pk, other.pk, ulid.NIL):
        with transaction.atomic():
            mine = Entry.objects.visible([organization])  # type: ignore[attr-defined]
            found = list(mine.filter(action="remove").order_by("id"))
        assert [entry.context["since"] for entry in found] == [
            "2021-01-01T00:00:00.000Z",
            "2021-02-01T00:00:00.000Z",
        ]
        allowed = {*action("remove").context, "command"}  # type: ignore[union-attr]
        for entry in found:
            assert entry.context.keys() <= allowed
            assert (entry.actor_type, entry.interface) == ("system", "command")
            [directory] = tmp_path.glob(f"*-{entry.context['manifest'][:12]}")
            assert archive.manifest_of(directory) == entry.context["manifest"]


# -- Legal hold


def test_a_hold_keeps_every_entry_and_lifting_it_lets_them_go(
    sealed: None,
    acme: Organization,
    other: Organization,
    owner_connection: Connection,
    tmp_path: Path,
) -> None:
    before = entries(owner_connection, acme)
    call_command("audit_hold", "place", "acme", "--reason", "Case 7", "--by", "legal@acme.example")
    assert f"{A_MONTH} more under legal hold" in retention(tmp_path)
    retention(tmp_path, "--apply")
    assert entries(owner_connection, acme) == before
    assert removals(owner_connection, acme) == []
    assert len(removals(owner_connection, other)) == 2
    assert "none" in retention(tmp_path, "--apply")

    call_command("audit_hold", "lift", "acme", "--reason", "Settled", "--by", "legal@acme.example")
    others = entries(owner_connection, other)
    retention(tmp_path, "--apply")
    assert len(removals(owner_connection, acme)) == 2
    assert entries(owner_connection, other) == others
    assert missing_numbers_are_those_recorded(owner_connection)
    assert "none" in retention(tmp_path, "--apply")


def test_a_hold_is_entered_with_who_and_why(acme: Organization) -> None:
    for does, reason in (("place", "Case 7"), ("lift", "Settled")):
        call_command("audit_hold", does, "ACME", "--reason", reason, "--by", "Legal")
    with transaction.atomic():
        mine = Entry.objects.visible([acme.pk])  # type: ignore[attr-defined]
        found = mine.filter(action__in=["hold", "lift_hold"]).order_by("id")
        assert [(e.action, e.reason, e.context["requested_by"]) for e in found] == [
            ("hold", "Case 7", "Legal"),
            ("lift_hold", "Settled", "Legal"),
        ]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("lift", "acme", "--reason", "x", "--by", "y"), "is not under legal hold"),
        (("place", "acme", "--reason", " ", "--by", "y"), "--reason is empty"),
        (("place", "nobody", "--reason", "x", "--by", "y"), "no organization 'nobody'"),
    ],
)
def test_a_hold_that_cannot_be_is_refused(
    acme: Organization, arguments: tuple[str, ...], why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        call_command("audit_hold", *arguments)


def test_a_hold_placed_while_archiving_stops_the_removal(
    sealed: None,
    acme: Organization,
    owner_connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = entries(owner_connection, acme)
    verify = archive.verify

    def verify_while_legal_acts(*arguments: Any) -> Any:
        with psycopg.connect(owner_connection.info.dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO audit_hold (organization_id, reason, placed_by) VALUES (%s, 'x', 'y')",
                [acme.pk],
            )
        return verify(*arguments)

    monkeypatch.setattr(archive, "verify", verify_while_legal_acts)
    with pytest.raises(CommandError, match="a legal hold was placed") as refused:
        retention(tmp_path, "--apply")
    assert refused.value.returncode == 75
    assert entries(owner_connection, acme) == before


# -- What goes wrong


def test_an_entry_sealed_while_archiving_stops_the_removal(
    sealed: None,
    acme: Organization,
    owner_connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verify = archive.verify

    def verify_while_sealing(*arguments: Any) -> Any:
        monkeypatch.setattr(archive, "verify", verify)
        late = seeding.Organization(acme.pk, 9).rows(1, JANUARY, FEBRUARY)
        with psycopg.connect(owner_connection.info.dsn, autocommit=True) as connection:
            seeding.receive(connection, late)
        sealing.seal()
        return verify(*arguments)

    monkeypatch.setattr(archive, "verify", verify_while_sealing)
    with pytest.raises(CommandError, match="received entries while it was being archived"):
        retention(tmp_path, "--apply")
    retention(tmp_path, "--apply")
    assert missing_numbers_are_those_recorded(owner_connection)
    assert sum(count for _, count, _ in removals(owner_connection, acme)) == len(
        archived(tmp_path, acme)
    )


def test_an_archive_that_the_disk_spoiled_is_noticed_before_anything_is_removed(
    sealed: None,
    acme: Organization,
    owner_connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = entries(owner_connection, acme)
    write_manifest = archive.write_manifest

    def write_and_spoil(directory: Path, *arguments: Any) -> str:
        manifest = write_manifest(directory, *arguments)
        file = next(directory.glob("*.gz"))
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        return manifest

    monkeypatch.setattr(archive, "write_manifest", write_and_spoil)
    with pytest.raises(CommandError, match="has the SHA-256"):
        retention(tmp_path, "--apply")
    assert entries(owner_connection, acme) == before


def test_a_full_disk_is_reported_and_nothing_is_removed(
    sealed: None,
    acme: Organization,
    databases: Databases,
    owner_connection: Connection,
    tmp_path: Path,
) -> None:
    before = entries(owner_connection, acme)
    ended = run_elsewhere(
        databases,
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))",
        tmp_path,
    )
    assert ended.returncode == 1
    assert b"File too large" in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert entries(owner_connection, acme) == before


def test_taking_too_long_under_the_lock_gives_it_up(
    sealed: None,
    acme: Organization,
    owner_connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = entries(owner_connection, acme)
    monkeypatch.setattr(partitions, "STATEMENT_TIMEOUT", "1ms")
    with pytest.raises(CommandError, match="took longer than 1ms"):
        retention(tmp_path, "--apply")
    assert entries(owner_connection, acme) == before


def test_entries_in_no_month_stay_and_are_reported(
    owner_connection: Connection, acme: Organization, tmp_path: Path
) -> None:
    sealing.seal()  # in the default partition: nobody made these months
    before = entries(owner_connection, acme)
    said = io.StringIO()
    retention(tmp_path, "--apply", stderr=said)
    expected = f"{2 * A_MONTH} older entries are in the default partition and are kept"
    assert expected in said.getvalue()
    assert entries(owner_connection, acme) == before


def test_while_others_write_and_seal_no_number_is_lost(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    stop = threading.Event()

    def until_stopped(do: Callable[[], object], alias: str) -> None:
        try:
            while not stop.is_set():
                do()
        finally:
            connections[alias].close()

    project, numbers = ProjectFactory.create(organization=acme, name="Busy"), itertools.count()

    def make_target() -> None:
        TargetFactory.create(project=project, name=f"Target {next(numbers)}")

    threads = [
        threading.Thread(target=until_stopped, args=(make_target, "default")),
        threading.Thread(target=until_stopped, args=(sealing.seal, "sealer")),
    ]
    for thread in threads:
        thread.start()
    try:
        retention(tmp_path, "--apply")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    sealing.seal()
    assert len(removals(owner_connection, acme)) == 2
    assert missing_numbers_are_those_recorded(owner_connection)


def test_while_someone_reads_it_tries_again(
    sealed: None,
    acme: Organization,
    databases: Databases,
    owner_connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partitions, "PATIENCE", 0.5)
    with psycopg.connect(databases.application) as reader:
        reader.execute("SELECT count(*) FROM audit_ledger")
        with pytest.raises(CommandError, match="being read without a pause .process") as refused:
            retention(tmp_path, "--apply")
        assert refused.value.returncode == 75
    retention(tmp_path, "--apply")
    assert missing_numbers_are_those_recorded(owner_connection)
    assert not list(tmp_path.glob("*.partial"))


def test_two_runs_do_not_meet(sealed: None, owner_connection: Connection, tmp_path: Path) -> None:
    owner_connection.execute("SELECT pg_advisory_lock(%s)", [Lock.RETENTION])
    with pytest.raises(CommandError, match="another retention run") as refused:
        retention(tmp_path, "--apply")
    assert refused.value.returncode == 75
    owner_connection.execute("SELECT pg_advisory_unlock(%s)", [Lock.RETENTION])


def run_elsewhere(
    databases: Databases, first: str, directory: Path
) -> subprocess.CompletedProcess[bytes]:
    """A run in a process of its own, which does `first` before."""
    program = f"""
import os, resource, signal, sys, django
django.setup()
from django.core.management import execute_from_command_line
from audit.retention import archive, kept_rows, removal
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
{first}
execute_from_command_line(["manage.py", "audit_retention", "--apply", "--months", "12",
    "--directory", {str(directory)!r}])
"""
    environment = {
        **os.environ,
        **databases.environment,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, timeout=60
    )


KILLED_AT = {
    "archiving": ("kept_rows", "copy"),
    "verifying": ("archive", "verify"),
    "removing": ("removal", "_record"),
    "naming": ("removal", "_name_archive"),
}


@pytest.mark.parametrize("point", KILLED_AT)
def test_killed_at_any_point_a_second_run_completes_it(
    sealed: None,
    acme: Organization,
    databases: Databases,
    owner_connection: Connection,
    tmp_path: Path,
    point: str,
) -> None:
    module, name = KILLED_AT[point]
    before = entries(owner_connection, acme)
    ended = run_elsewhere(databases, f"{module}.{name} = die", tmp_path)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    if point != "naming":
        assert entries(owner_connection, acme) == before
    assert missing_numbers_are_those_recorded(owner_connection)

    until = time.monotonic() + 20
    while True:  # the server needs a moment to notice that its client is gone
        try:
            retention(tmp_path, "--apply")
            break
        except CommandError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
    assert missing_numbers_are_those_recorded(owner_connection)
    removed = removals(owner_connection, acme)
    assert len(removed) == 2
    for directory, (manifest, _, _) in zip(sorted(tmp_path.iterdir()), removed, strict=True):
        archive.verify(directory, manifest)


def test_what_a_killed_run_left_goes_away_even_if_nothing_is_left_to_do(
    acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    owner_connection.execute("CREATE TABLE audit_kept_2020_07 (LIKE audit_ledger)")
    (tmp_path / "2020-07.partial").mkdir()
    (tmp_path / "somebody-elses").mkdir()
    retention(tmp_path, "--apply")
    assert [path.name for path in tmp_path.iterdir()] == ["somebody-elses"]
    assert owner_connection.execute("SELECT to_regclass('audit_kept_2020_07')").fetchone() == (
        None,
    )


# -- Dropping


def detached(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relname LIKE 'audit\\_removed%' AND relkind = 'r'"
        " ORDER BY 1"
    ).fetchall()
    return [name for (name,) in rows]


def test_a_detached_partition_stays_until_it_is_dropped(
    sealed: None, owner_connection: Connection, tmp_path: Path
) -> None:
    retention(tmp_path, "--apply")
    assert [name[:21] for name in detached(owner_connection)] == [
        f"audit_removed_{month}" for month in OLD
    ]
    assert f"{2 * A_MONTH} entries" not in retention(tmp_path, "--drop")
    assert len(detached(owner_connection)) == 2
    said = retention(tmp_path, "--apply", "--drop")
    assert said.count("archive is complete; dropped") == 2
    assert detached(owner_connection) == []
    assert "dropped" not in retention(tmp_path, "--apply", "--drop")


def test_nothing_is_dropped_whose_archive_is_gone(
    sealed: None, owner_connection: Connection, tmp_path: Path
) -> None:
    retention(tmp_path, "--apply")
    [first, second] = sorted(tmp_path.iterdir())
    shutil.rmtree(first)
    with pytest.raises(CommandError, match=r"manifest\.json is missing"):
        retention(tmp_path, "--apply", "--drop")
    assert len(detached(owner_connection)) == 2


# -- Append-only, and whose it is


REFUSED = (
    "ALTER TABLE audit_ledger DETACH PARTITION audit_ledger_2021_02",
    "ALTER TABLE audit_ledger DETACH PARTITION audit_ledger_2021_02 CONCURRENTLY",
    "DROP TABLE audit_ledger_2021_02",
    "TRUNCATE audit_ledger_2021_02",
    "SELECT * FROM audit_ledger_2021_02",
    "INSERT INTO audit_hold VALUES (gen_random_uuid(), 'x', 'y')",
    "DELETE FROM audit_hold",
    "DELETE FROM audit_removal",
    "UPDATE audit_removal SET entries = 1",
    "SELECT * FROM audit_archive",
    "UPDATE audit_archive SET dropped_at = now()",
)


@pytest.mark.parametrize("role", ["application", "sealer"])
def test_neither_application_nor_sealer_can_remove(
    sealed: None, databases: Databases, role: str
) -> None:
    with psycopg.connect(getattr(databases, role), autocommit=True) as connection:
        for statement in REFUSED:
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement)  # type: ignore[call-overload]


def test_nor_can_they_read_what_was_detached(
    sealed: None, databases: Databases, owner_connection: Connection, tmp_path: Path
) -> None:
    retention(tmp_path, "--apply")
    [table, _] = detached(owner_connection)
    for role in (databases.application, databases.sealer):
        with (
            psycopg.connect(role, autocommit=True) as connection,
            pytest.raises(errors.InsufficientPrivilege),
        ):
            connection.execute(f'SELECT * FROM "{table}"')  # type: ignore[call-overload]


def test_what_was_removed_cannot_be_untold(
    sealed: None, owner_connection: Connection, tmp_path: Path
) -> None:
    retention(tmp_path, "--apply")
    for statement in (
        "DELETE FROM audit_removal",
        "UPDATE audit_removal SET numbers = '{}'",
        "TRUNCATE audit_archive, audit_removal",
        "DELETE FROM audit_archive",
        "UPDATE audit_archive SET manifest = repeat('0', 64)",
    ):
        with pytest.raises(errors.InsufficientPrivilege, match="is refused"):
            owner_connection.execute(statement)  # type: ignore[call-overload]


def test_what_stays_of_a_month_is_as_append_only_as_before(
    sealed: None, owner_connection: Connection, tmp_path: Path
) -> None:
    before = tables(owner_connection)
    retention(tmp_path, "--apply")
    assert tables(owner_connection) == before
    for statement in (
        "DELETE FROM audit_ledger",
        "UPDATE audit_ledger SET action = 'view'",
        "DELETE FROM audit_ledger_2021_01",
        "TRUNCATE audit_ledger_2021_01",
    ):
        with pytest.raises(errors.InsufficientPrivilege, match="is refused"):
            owner_connection.execute(statement)  # type: ignore[call-overload]


def test_an_organization_reads_its_own_retention_boundary_and_hold_only(
    sealed: None, acme: Organization, other: Organization, databases: Databases, tmp_path: Path
) -> None:
    retention(tmp_path, "--apply")
    holds.place(acme, "x", "y")
    holds.place(other, "x", "y")
    with psycopg.connect(databases.application) as connection:
        for table in ("audit_removal", "audit_hold"):
            found: Callable[[], set[uuid.UUID]] = lambda table=table: {  # type: ignore[misc]  # noqa: E731
                row[0]
                for row in connection.execute(f"SELECT organization_id FROM {table}").fetchall()
            }
            connection.execute("SELECT set_config('audit.organizations', '', true)")
            assert found() == set()
            connection.execute("SELECT set_config('audit.organizations', %s, true)", [str(acme.pk)])
            assert found() == {acme.pk}


def test_as_another_role_it_says_which_is_needed(
    sealed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(months, "OWNER", "default")
    with pytest.raises(CommandError, match="does not own the ledger; set DATABASE_OWNER_URL"):
        retention(tmp_path)


def test_a_year_that_months_were_merged_into_goes_as_a_whole(
    sealed: None,
    acme: Organization,
    owner_connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans = merging._spans
    monkeypatch.setattr(
        merging, "_spans", lambda using: (s for s in spans(using) if s.name == "2021")
    )
    [merged] = merging.merge()
    assert merged.entries == 4 * A_MONTH
    before = entries(owner_connection, acme)
    assert "2021-01..2021-12: removed" in retention(tmp_path, "--apply")
    kept = entries(owner_connection, acme)
    assert len(archived(tmp_path, acme)) == len(before) - len(kept) > 0
    assert set(kept) < set(before)
    [[_, removed, stayed]] = removals(owner_connection, acme)
    assert removed == len(archived(tmp_path, acme))
    assert list(merging.merge()) == []
    assert "none" in retention(tmp_path, "--apply")
    assert stayed == sum(1 for entry in kept if entry[1] < merged.span.past)


def test_entries_that_leave_stay_in_the_evidence(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    """Their hashes do, and the leaf data that the index of an unfinished block still needs."""
    evidence.prove_all()
    size, _ = evidence.size_and_root(owner_connection, acme.pk)
    assert 0 < size < index.BLOCK
    hashes = evidence.tiles(owner_connection, acme.pk)
    before = list(reading.leaves(acme.pk, 0, size, "owner"))
    made = list(leaf.from_rows(list(evidence.rows(owner_connection, acme.pk).values())))
    retention(tmp_path, "--apply")
    there = set(evidence.rows(owner_connection, acme.pk))
    after = list(reading.leaves(acme.pk, 0, size, "owner"))
    assert len([each for each in after if each.seq not in there]) > 10
    for old, new in zip(before, after, strict=True):
        assert (new.hash, new.data) == (old.hash, old.data)
        assert (new.parts is not None) == (new.seq in there)
    # The block becomes full long after some of it has left.
    now = clock.now()
    since = now - timedelta(minutes=1)
    seeding.receive(owner_connection, seeding.Organization(acme.pk, 9).rows(300, since, now))
    sealing.seal()
    assert not evidence.prove_all().refused
    assert evidence.tiles(owner_connection, acme.pk)[:size] == hashes
    rows = evidence.rows(owner_connection, acme.pk)
    made += leaf.from_rows([rows[seq] for seq in range(size + 1, index.BLOCK + 1)])
    made.sort()
    block = index.block(0, [each.time for each in made], [each.subjects for each in made])
    assert owner_connection.execute(
        "SELECT entries, since, until, keys, root FROM audit_block"
        " WHERE organization_id = %s AND n = 0",
        [acme.pk],
    ).fetchone() == (index.BLOCK, block.since, block.until, block.keys, block.root)


def test_entries_without_a_leaf_do_not_leave_a_log_that_has_evidence(
    acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    partitions.make_ahead(JANUARY)
    sealing.seal()
    writing.Worker().round(10)
    with pytest.raises(CommandError, match="are not in the evidence yet; run"):
        retention(tmp_path, "--apply")
    evidence.prove_all()
    retention(tmp_path, "--apply")
    assert len(removals(owner_connection, acme)) == 2


def test_what_left_before_there_was_evidence_is_a_removed_leaf(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    retention(tmp_path, "--apply")
    for _ in range(2):
        sealing.seal()
        assert not evidence.prove_all().refused
    evidence.assert_made_at_once(owner_connection, acme.pk)
    size, _ = evidence.size_and_root(owner_connection, acme.pk)
    found = list(reading.leaves(acme.pk, 0, size, "owner"))
    removed = [each for each in found if each.line().startswith(b'{"leaf":{"removed":true')]
    assert len(removed) > 10
    began = Entry.objects.using("owner").get(action="evidence_began", organization_id=acme.pk)
    assert began.seq is not None
    assert max(each.seq for each in removed) < began.seq


def _verified(
    acme: Organization, directory: Path, question: verifier.Question | None, proved: Provable | None
) -> verifier.Report:
    """What a pack of acme's log shows, made and verified."""
    checkpoint = reading.newest(acme.pk, "owner")
    assert checkpoint is not None
    with command(["manage.py", "test"]), transaction.atomic():
        asked = ask([acme], {"action": "create", "views": "true"}) if question else None
        tenant_scope.enter([acme.pk])
        pack = packs.Pack(acme, None if proved else asked, checkpoint, checkpoint.size, proved)
    file = directory / "pack.zip"
    file.write_bytes(b"".join(pack))
    key = verifier.Key.parse(notes.vkey(signing.origin(acme.pk), signing.keys()[0].public))
    return verifier.verify(file, Trust([key]), question, as_of=True)


def _exported(acme: Organization) -> None:
    """The entry that a request for a pack leaves, sealed and signed, as the last of the log."""
    with command(["manage.py", "test"]), transaction.atomic():
        recordings.record_export(acme, None, packs.FORMAT)
    sealing.seal()
    evidence.prove_all()


CREATED = verifier.Question((frozenset({"action\ncreate"}),))
BY_INDEX = Provable(("action\ncreate",), *EVER)


def test_packs_of_a_log_that_lost_entries_before_there_was_evidence_hold(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    signing.keys.cache_clear()
    retention(tmp_path, "--apply")
    for _ in range(2):
        sealing.seal()
        evidence.prove_all()
    _exported(acme)
    rows = evidence.rows(owner_connection, acme.pk)
    created = sorted(seq for seq, row in rows.items() if row.action == "create")
    everything = _verified(acme, tmp_path, None, None)
    assert len(everything.removed) > 10
    assert _verified(acme, tmp_path, CREATED, None).matches == created
    assert sorted(_verified(acme, tmp_path, CREATED, BY_INDEX).matches) == created


def test_packs_of_a_log_that_lost_entries_since_hold_and_say_what_is_not_shown(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    signing.keys.cache_clear()
    now = clock.now()
    rows = seeding.Organization(acme.pk, 9).rows(300, now - timedelta(minutes=1), now)
    seeding.receive(owner_connection, rows)
    sealing.seal()
    evidence.prove_all()
    retention(tmp_path, "--apply")
    sealing.seal()
    evidence.prove_all()
    _exported(acme)
    there = evidence.rows(owner_connection, acme.pk)
    whole = _verified(acme, tmp_path, None, None)
    size = whole.checkpoint.size
    assert len(whole.withheld) == size - len(there) > 10
    of_leaves = _verified(acme, tmp_path, CREATED, None)
    assert "withheld entries match is not shown" in " ".join(of_leaves.missing)
    # The keys of the block were kept, so the answer is complete though not all of it is shown.
    by_index = _verified(acme, tmp_path, CREATED, BY_INDEX)
    assert not by_index.gaps
    assert sorted(by_index.matches) == sorted(
        seq for seq, row in there.items() if row.action == "create"
    )


def test_the_salts_of_what_left_are_zeroed_and_the_archive_has_them(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    evidence.prove_all()
    size, _ = evidence.size_and_root(owner_connection, acme.pk)
    hashes = evidence.tiles(owner_connection, acme.pk)
    before = {each.seq: each.line() for each in reading.leaves(acme.pk, 0, size, "owner")}
    retention(tmp_path, "--apply")
    there = set(evidence.rows(owner_connection, acme.pk))
    salts = evidence.salts(owner_connection, acme.pk)
    for seq in range(1, size + 1):
        assert any(salts[16 * seq - 16 : 16 * seq]) == (seq in there)
    lines = [
        line
        for file in sorted(tmp_path.glob(f"20*/{ulid.to_text(acme.pk)}.lines.gz"))
        for line in gzip.decompress(file.read_bytes()).splitlines()
    ]
    assert sorted(lines) == sorted(line for seq, line in before.items() if seq not in there)
    # From a line follows the hash in the tree.
    for line in lines:
        data = line.removeprefix(b'{"leaf":').split(b",\t")[0]
        assert tree.leaf_hash(data) == hashes[json.loads(data)["seq"] - 1]
    # Again, as a run that was killed leaves it to the next.
    retention(tmp_path, "--apply")
    assert evidence.salts(owner_connection, acme.pk) == salts


def test_a_pack_shows_what_left_out_of_the_archives(
    sealed: None, acme: Organization, owner_connection: Connection, tmp_path: Path
) -> None:
    signing.keys.cache_clear()
    now = clock.now()
    rows = seeding.Organization(acme.pk, 9).rows(300, now - timedelta(minutes=1), now)
    seeding.receive(owner_connection, rows)
    sealing.seal()
    evidence.prove_all()
    created = sorted(
        seq
        for seq, row in evidence.rows(owner_connection, acme.pk).items()
        if row.action == "create"
    )
    retention(tmp_path, "--apply")
    sealing.seal()
    evidence.prove_all()
    there = evidence.rows(owner_connection, acme.pk)
    key = verifier.Key.parse(notes.vkey(signing.origin(acme.pk), signing.keys()[0].public))
    whole, by_index = tmp_path / "whole.zip", tmp_path / "answer.zip"

    def make(file: Path, *filters: str) -> None:
        given = ["audit_evidence_pack", acme.slug, "--archive", str(tmp_path), "-o", str(file)]
        with evidence.at_work(), command(["manage.py", *given]):
            call_command(*given, *filters, stdout=io.StringIO())

    make(whole)
    make(by_index, "--filter", "action=create")
    report = verifier.verify(whole, Trust([key]), as_of=True)
    assert not report.withheld
    assert report.checkpoint.size > len(there)
    report = verifier.verify(by_index, Trust([key]), CREATED, as_of=True)
    assert not report.gaps
    assert not report.withheld
    assert sorted(report.matches) == created != sorted(set(created) & set(there))
    # What was erased as a whole stays so, whatever an archive still has.
    with transaction.atomic("owner"):
        tenant_scope.enter([acme.pk], "owner")
        leaves = list(reading.leaves(acme.pk, 0, 300, "owner"))
    gone = next(each for each in leaves if each.data is None)
    assert Archived(acme.pk, [tmp_path]).restored(gone).data
    withheld = gone._replace(is_withheld=True)
    assert Archived(acme.pk, [tmp_path]).restored(withheld) is withheld
    # An altered archive is not believed: what it says is not shown.
    for altered in tmp_path.glob("20*/*.lines.gz"):
        content = gzip.decompress(altered.read_bytes())
        altered.write_bytes(gzip.compress(content.replace(b'"action":"c', b'"action":"d')))
    by_index.unlink()
    make(by_index, "--filter", "action=create")
    report = verifier.verify(by_index, Trust([key]), CREATED, as_of=True)
    assert sorted(report.matches) == sorted(set(created) & set(there))
    assert report.withheld
    with pytest.raises(CommandError, match="there is no .*lines.gz in"):
        call_command(
            "audit_evidence_pack", acme.slug, "--archive", tmp_path / "none", "-o", tmp_path / "x"
        )


def test_of_a_block_that_left_as_a_whole_the_archive_has_the_keys(
    owner_connection: Connection, tmp_path: Path
) -> None:
    organization = OrganizationFactory.create(name="Reader")
    rows = seeding.Organization(organization.pk, 5).rows(900, JANUARY, FEBRUARY)
    # Nothing changes in it, so nothing stays.
    seeding.receive(owner_connection, [replace(row, changes={}, action="read") for row in rows])
    partitions.make_ahead(JANUARY)
    sealing.seal()
    evidence.prove_all()
    size, _ = evidence.size_and_root(owner_connection, organization.pk)
    tables = {
        block: index.table(
            [
                each.subjects()
                for each in reading.leaves(organization.pk, 256 * block, 256 * block + 256, "owner")
            ]
        )
        for block in range(size // 256)
    }
    retention(tmp_path, "--apply")
    [file] = tmp_path.glob(f"20*/{ulid.to_text(organization.pk)}.keys.gz")
    found = {
        said["block"]: [(base64.b64decode(key), base64.b64decode(at)) for key, at in said["keys"]]
        for said in map(json.loads, gzip.decompress(file.read_bytes()).splitlines())
    }
    kept = owner_connection.execute(
        "SELECT n FROM audit_block WHERE organization_id = %s AND keys_kept IS NOT NULL",
        [organization.pk],
    ).fetchall()
    assert found == {block: table for block, table in tables.items() if (block,) not in kept}
    assert len(found) >= 2
    file.write_bytes(b"")
    with pytest.raises(CommandError, match="keys.gz has the SHA-256"):
        retention(tmp_path, "--apply", "--drop")
