"""Concurrent writers of one project wait for each other without deadlock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from keys import authors, deletion, rotation, secret_versions, secrets
from keys.levels import Level
from keys.models import KeyVersion, Secret, SecretVersion
from organizations import clock
from organizations.models import Environment, Organization, Project, Target
from tests.factories import LevelFactory, SecretFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

SECONDS = 20


@pytest.fixture
def level(organization: Organization) -> Level:
    level = LevelFactory.create(project__organization=organization)
    for number in range(4):
        SecretFactory.create(level=level, plaintext=b"A=%d" % number)
    return level


def waiting(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Starts `work` on a connection of its own, where it has to wait for what this one holds. The
    list gets its result or exception."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0.5)
    assert not outcome, outcome
    return thread, outcome


@pytest.mark.parametrize("above", ["project", "target", "environment"])
def test_a_deletion_holds_no_blob_while_it_waits_for_a_level(level: Level, above: str) -> None:
    node: Project | Target | Environment = getattr(level, above)
    with transaction.atomic():
        list(Environment.objects.select_for_update(no_key=True).values_list("pk"))
        thread, outcome = waiting(lambda: deletion.delete_node(node))
        # As a writer continues that has locked the level.
        assert Secret.objects.select_for_update(nowait=True).get()
        secrets.delete(level, author=authors.SYSTEM)
    thread.join(SECONDS)
    assert outcome == [None]
    assert not Secret.objects.exists() and not SecretVersion.objects.exists()


def test_a_rotation_that_waits_for_a_deleted_blob_lets_its_deletion_end(level: Level) -> None:
    """Which makes sure, as it commits, that the key exists under which it kept the blob."""
    with transaction.atomic():
        secrets.delete(level, author=authors.SYSTEM)
        thread, outcome = waiting(lambda: rotation.rotate(level.project))
    thread.join(SECONDS)
    assert isinstance(outcome[0], KeyVersion), outcome
    assert SecretVersion.objects.filter(action="delete", key_version=1).count() == 1


@pytest.mark.parametrize("whole_project", [True, False])
def test_versions_are_purged_in_the_order_in_which_they_are_re_encrypted(
    level: Level, whole_project: bool
) -> None:
    first, second, _ = SecretVersion.objects.order_by("number").values_list("pk", flat=True)
    # A row that was changed lies behind the others, where a scan of the table finds it last.
    SecretVersion.objects.filter(pk=first).update(re_encrypted_at=clock.now())

    def purge() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")
        return secret_versions.purge(level, whole_project=whole_project)

    with transaction.atomic():
        SecretVersion.objects.select_for_update().get(pk=first)
        thread, outcome = waiting(purge)
        assert SecretVersion.objects.select_for_update(nowait=True).get(pk=second)
    thread.join(SECONDS)
    assert outcome == [3]
