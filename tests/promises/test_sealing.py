"""Sealing: every entry is moved exactly once and numbered without a gap, whatever else goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections, transaction

from audit import sealing
from organizations.models import Organization, Project
from tests import factories
from tests.conftest import Databases
from tests.promises.conftest import Told
from tests.promises.test_replay import assert_gapless

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
Connection = psycopg.Connection[Any]

ROOT = Path(__file__).parents[2]
SECONDS = 20 if os.environ.get("CI") or os.environ.get("DOTENV_SLOW") else 5
"""How long the sixteen writers write: the whole time in CI, less while one works."""


def assert_every_change_has_its_entry(connection: Connection, organization: Organization) -> None:
    """The projects that exist are those that entries say were created, each once."""
    created = connection.execute(
        "SELECT resource_id, count(*) FROM audit_entry WHERE action = 'create'"
        " AND resource_type = 'project' AND organization_id = %s GROUP BY 1",
        [organization.pk],
    ).fetchall()
    rows = connection.execute(
        "SELECT id FROM organizations_project WHERE organization_id = %s", [organization.pk]
    ).fetchall()
    assert {key for key, _ in created} == {key for (key,) in rows}
    assert all(count == 1 for _, count in created)
    assert len(rows) > 0


def seal_everything() -> None:
    while sealing.seal().is_behind:
        pass


def test_an_entry_is_readable_before_and_after_and_never_twice(
    organization: Organization, entries: Callable[..., list[Told]]
) -> None:
    factories.make_project(organization)
    before = entries()
    seal_everything()
    assert entries() == before
    seal_everything()
    assert entries() == before


def test_a_transaction_still_open_holds_back_what_came_after_and_loses_nothing(
    organization: Organization, owner_connection: Connection, databases: Databases
) -> None:
    with psycopg.connect(databases.application) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        factories.make_project(organization)
        seal_everything()
        [waiting] = owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone()
        assert waiting > 0
    seal_everything()
    assert owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)
    assert_gapless(owner_connection)


def test_a_transaction_larger_than_a_batch_is_sealed_whole(
    organization: Organization, owner_connection: Connection
) -> None:
    Project.objects.bulk_create(
        [Project(organization=organization, name="x", slug=f"x-{n}") for n in range(50)]
    )
    factories.make_project(organization)
    rounds = 0
    while sealing.seal(batch=10).is_behind:
        rounds += 1
    assert rounds > 1
    assert_gapless(owner_connection)
    assert owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)


def test_only_one_sealer_works_at_a_time(databases: Databases) -> None:
    with psycopg.connect(databases.sealer, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [sealing.LOCK])
        with pytest.raises(CommandError, match="another sealer is at work"):
            call_command("seal", "--once")


def test_after_a_restore_everything_is_sealed_once(
    organization: Organization, owner_connection: Connection, superuser_connection: Connection
) -> None:
    """The stored cluster is another one and its transaction ids are far ahead."""
    factories.make_project(organization)
    seal_everything()
    factories.make_project(organization, "Came with the dump")
    superuser_connection.execute(
        "UPDATE audit_sealing SET system_identifier = 1, lo = '99999999999'"
    )
    factories.make_project(organization, "Made since")
    seal_everything()
    seal_everything()  # the entry that says that sealing began anew
    assert owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)
    assert owner_connection.execute("SELECT incarnation FROM audit_sealing").fetchone() == (2,)
    assert_gapless(owner_connection)
    assert_every_change_has_its_entry(owner_connection, organization)


def test_a_month_without_a_partition_is_never_refused(
    organization: Organization, superuser_connection: Connection
) -> None:
    superuser_connection.execute(
        "INSERT INTO audit_inbox (id, organization_id, actor_type, actor_label, action,"
        " resource_type, resource_label, interface) VALUES (audit_uuid7('2019-02-03'::timestamptz),"
        " %s, 'system', 'system', 'create', 'project', 'old', 'command')",
        [organization.pk],
    )
    seal_everything()
    assert superuser_connection.execute(
        "SELECT count(*) FROM audit_ledger_default WHERE resource_label = 'old'"
    ).fetchone() == (1,)


def test_repetitions_are_entered_when_their_minute_is_over(
    organization: Organization, superuser_connection: Connection, entries: Callable[..., list[Told]]
) -> None:
    from audit.record import record_once_a_minute

    for _ in range(3):
        record_once_a_minute(
            "view",
            resource_type="audit_log",
            resource_label="acme",
            organization_id=organization.pk,
        )
    assert [entry.context for entry in entries(action="view")] == [{}]
    superuser_connection.execute("UPDATE audit_repeat SET minute = minute - interval '1 minute'")
    assert sealing.flush_repeats() == 1
    assert [entry.context for entry in entries(action="view")] == [{}, {"repeats": 2}]
    assert sealing.flush_repeats() == 0


@pytest.mark.slow
def test_sixteen_writers_and_a_sealer_miss_nothing(
    organization: Organization, owner_connection: Connection
) -> None:
    stop = time.monotonic() + SECONDS
    failures: list[BaseException] = []

    def write(number: int) -> None:
        random_numbers = random.Random(number)
        try:
            while time.monotonic() < stop:
                slug = f"p-{number}-{random_numbers.getrandbits(48)}"
                with transaction.atomic():
                    project = Project(organization=organization, name="x", slug=slug)
                    project.save()
                    if random_numbers.random() < 0.3:
                        time.sleep(random_numbers.random() / 50)
                    project.name = "y"
                    project.save()
                    if random_numbers.random() < 0.1:
                        transaction.set_rollback(True)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    def seal() -> None:
        try:
            while time.monotonic() < stop:
                sealing.seal()
                time.sleep(0.05)
        except BaseException as error:
            failures.append(error)
        finally:
            connections["sealer"].close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    threads.append(threading.Thread(target=seal))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    seal_everything()
    assert owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)
    assert_gapless(owner_connection)
    assert_every_change_has_its_entry(owner_connection, organization)


WRITER = """
import os, sys, uuid
sys.path.insert(0, {root!r})
os.environ.update({environment!r})
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from organizations.models import Organization, Project
organization = Organization.objects.get(slug="acme")
print("writing", flush=True)
while True:
    project = Project(organization=organization, name="x", slug="k-" + uuid.uuid4().hex)
    project.save()
    project.name = "y"
    project.save()
"""


@pytest.mark.slow
def test_kill_9_in_the_middle_of_writing_and_sealing_loses_nothing(
    organization: Organization, owner_connection: Connection, databases: Databases
) -> None:
    environment = {**databases.environment, "DOTENV_TEST": "1"}
    script = WRITER.format(root=str(ROOT), environment=environment)
    sealer = [sys.executable, "manage.py", "seal", "--interval", "0.02", "--wait"]
    processes: list[subprocess.Popen[bytes]] = []

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        processes.append(process)
        return process

    def ready(process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stdout.readline(), "the process ended before it was killed"

    random_numbers = random.Random(7)
    try:
        for _ in range(20):
            writer, sealing_process = start([sys.executable, "-c", script]), start(sealer)
            ready(writer)
            ready(sealing_process)
            time.sleep(random_numbers.random() * 0.4)
            for process in (writer, sealing_process):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    _wait_until_nobody_writes(owner_connection)
    seal_everything()
    assert owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)
    assert_gapless(owner_connection)
    assert_every_change_has_its_entry(owner_connection, organization)


def _wait_until_nobody_writes(connection: Connection) -> None:
    """A killed client's last transaction ends a moment after it."""
    for _ in range(100):
        [others] = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_xid IS NOT NULL"
        ).fetchone()
        if not others:
            return
        time.sleep(0.1)
    raise AssertionError("a transaction of a killed process is still open")


def test_the_start_of_sealing_is_in_the_platforms_own_log(
    organization: Organization, entries: Callable[..., list[Told]]
) -> None:
    sealing.enter("started")
    [entry] = entries(action="seal")
    assert (entry.actor_type, entry.type, entry.context) == (
        "system",
        "audit_log",
        {"reason": "started"},
    )
    assert entries(organization_id=organization.pk, action="seal") == []
