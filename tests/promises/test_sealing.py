"""Sealing: every entry is moved exactly once and numbered without a gap, whatever else goes on."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections, transaction

from audit.ledger import sealing
from audit.ledger.partitions import Lock
from organizations.models import Organization, Project
from tests.conftest import Databases
from tests.factories import ProjectFactory
from tests.promises.conftest import Recorded, killable_processes
from tests.promises.test_replay import actual, assert_gapless, replay

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
Connection = psycopg.Connection[Any]

SECONDS = 10 if os.environ.get("CI") or os.environ.get("DOTENV_SLOW") else 5
"""How long the sixteen writers write: the whole time in CI, less while one works."""


def assert_every_change_has_its_entry(connection: Connection, organization: Organization) -> None:
    """And every entry its change: replaying the entries alone gives the rows as they are."""
    replayed = replay(connection, organization)
    rows = {
        key: {name: value for name, value in row.items() if value is not None}
        for key, row in replayed.items()
    }
    assert rows == actual(organization)
    assert len(rows) > 0


def assert_all_is_sealed_once(connection: Connection) -> None:
    assert connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)
    assert connection.execute(
        "SELECT count(*) FROM (SELECT FROM audit_ledger GROUP BY id HAVING count(*) > 1) AS twice"
    ).fetchone() == (0,)
    assert_gapless(connection)


def seal_everything() -> None:
    while sealing.seal().is_behind:
        pass


def seal_when_nobody_writes(connection: Connection) -> None:
    """A killed client's last transaction ends a moment after it, and whatever else the server
    does (another run of these tests) may hold sealing back for a moment too."""
    for _ in range(200):
        seal_everything()
        if connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,):
            return
        time.sleep(0.1)


def test_an_entry_is_readable_before_and_after_and_never_twice(
    organization: Organization, entries: Callable[..., list[Recorded]]
) -> None:
    ProjectFactory.create(organization=organization)
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
        ProjectFactory.create(organization=organization)
        seal_everything()
        [(waiting,)] = owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchall()
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
    ProjectFactory.create(organization=organization)
    rounds = 0
    while sealing.seal(batch=10).is_behind:
        rounds += 1
    assert rounds > 1
    assert_gapless(owner_connection)
    assert owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)


def test_only_one_sealer_works_at_a_time(databases: Databases) -> None:
    with psycopg.connect(databases.sealer, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [Lock.SEALER])
        with pytest.raises(CommandError, match="another sealer is running"):
            call_command("seal", "--once")


def test_after_a_restore_everything_is_sealed_once(
    organization: Organization, owner_connection: Connection, superuser_connection: Connection
) -> None:
    """The stored cluster is another one and its transaction ids are far ahead."""
    ProjectFactory.create(organization=organization)
    seal_everything()
    ProjectFactory.create(organization=organization, name="Came with the dump")
    superuser_connection.execute(
        "UPDATE audit_sealing SET system_identifier = 1, lo = '99999999999'"
    )
    ProjectFactory.create(organization=organization, name="Made since")
    seal_everything()
    seal_everything()  # the entry that says that sealing began anew
    assert owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)
    assert owner_connection.execute("SELECT incarnation FROM audit_sealing").fetchone() == (2,)
    assert_gapless(owner_connection)
    assert_every_change_has_its_entry(owner_connection, organization)


def test_what_came_with_a_restore_is_counted(
    organization: Organization, superuser_connection: Connection
) -> None:
    seal_everything()
    ProjectFactory.create(organization=organization, name="Came with the dump")
    [(waiting,)] = superuser_connection.execute("SELECT count(*) FROM audit_inbox").fetchall()
    superuser_connection.execute("UPDATE audit_sealing SET system_identifier = 1")
    said = StringIO()
    call_command("seal", "--once", stdout=said)
    assert f"Sealed {waiting} entr" in said.getvalue()


def test_a_missing_position_of_sealing_is_reported_with_its_remedy(
    organization: Organization, superuser_connection: Connection, owner_connection: Connection
) -> None:
    superuser_connection.execute("DELETE FROM audit_sealing")
    with pytest.raises(CommandError, match="audit_sealing has no row") as refused:
        call_command("seal", "--once")
    remedy = re.search(r"INSERT INTO audit_sealing \(.*?\) VALUES \(0\)", str(refused.value))
    assert remedy is not None
    owner_connection.execute(remedy[0])  # type: ignore[call-overload]
    call_command("seal", "--once")
    seal_everything()
    assert owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)
    assert_gapless(owner_connection)


def test_a_month_without_a_partition_is_never_refused(
    organization: Organization, superuser_connection: Connection
) -> None:
    superuser_connection.execute(
        "INSERT INTO audit_inbox (id, organization_id, actor_type, actor_label, action,"
        " resource_type, resource_label, interface) VALUES (audit_uuid7('1987-02-03'::timestamptz),"
        " %s, 'system', 'system', 'view', 'project', 'old', 'command')",
        [organization.pk],
    )
    seal_everything()
    assert superuser_connection.execute(
        "SELECT count(*) FROM audit_ledger_default WHERE resource_label = 'old'"
    ).fetchone() == (1,)


def test_repetitions_are_entered_when_their_minute_is_over(
    organization: Organization,
    superuser_connection: Connection,
    entries: Callable[..., list[Recorded]],
) -> None:
    from audit.capture.events import record_once_a_minute

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
    """They make rows of their own, contend for one row, and take some of it back."""
    shared = Project.objects.create(organization=organization, name="shared", slug="shared")
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
                    Project.objects.filter(pk=shared.pk).update(name=slug)
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
    seal_when_nobody_writes(owner_connection)
    assert_all_is_sealed_once(owner_connection)
    assert_every_change_has_its_entry(owner_connection, organization)


def test_ids_show_the_order_of_changes_in_overlapping_transactions(
    organization: Organization, owner_connection: Connection
) -> None:
    """Numbers follow the transactions' beginnings; what happened to one row follows the ids."""
    shared = Project.objects.create(organization=organization, name="0", slug="shared")
    has_begun, may_go_on = threading.Event(), threading.Event()

    def begin_first_and_change_last() -> None:
        with transaction.atomic():
            Project.objects.create(organization=organization, name="x", slug="other")
            has_begun.set()
            may_go_on.wait(5)
            Project.objects.filter(pk=shared.pk).update(name="2")
        connection.close()

    thread = threading.Thread(target=begin_first_and_change_last)
    thread.start()
    has_begun.wait(5)
    Project.objects.filter(pk=shared.pk).update(name="1")
    may_go_on.set()
    thread.join()
    seal_when_nobody_writes(owner_connection)
    recorded = owner_connection.execute(
        "SELECT changes->'name', resource_seq FROM audit_entry WHERE resource_id = %s ORDER BY id",
        [shared.pk],
    ).fetchall()
    assert recorded == [([None, "0"], 1), (["0", "1"], 3), (["1", "2"], 2)]
    assert_every_change_has_its_entry(owner_connection, organization)


def test_no_plan_is_compiled(application_connection: Connection, databases: Databases) -> None:
    """It takes a second for each batch on servers that can, all before 18."""
    with psycopg.connect(databases.sealer) as sealer:
        for connection in (application_connection, sealer):
            assert connection.execute("SHOW jit").fetchone() == ("off",)


@pytest.mark.slow
def test_kill_9_in_the_middle_of_writing_and_sealing_loses_nothing(
    organization: Organization, owner_connection: Connection, databases: Databases
) -> None:
    Project.objects.create(organization=organization, name="shared", slug="shared")

    def sealed() -> int:
        [[entries]] = owner_connection.execute("SELECT count(*) FROM audit_ledger").fetchall()
        return int(entries)

    random_numbers = random.Random(7)
    written = 0
    with killable_processes(databases) as processes:
        for turn in range(20):
            started = [processes.start(what) for what in ("write", "write", "seal")]
            # In every other turn all are killed before the first batch may be sealed.
            enough = sealed() + turn % 2
            until = time.monotonic() + 20
            while (
                Project.objects.count() <= written or sealed() < enough
            ) and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(random_numbers.random() * 0.4)
            for pid in random_numbers.sample(started, 3):
                processes.kill(pid)
            seen = Project.objects.count()
            assert seen > written, "nobody wrote before the kill"
            written = seen
    assert sealed() > 0, "the killed ones sealed nothing"
    seal_when_nobody_writes(owner_connection)
    assert_all_is_sealed_once(owner_connection)
    assert_every_change_has_its_entry(owner_connection, organization)
