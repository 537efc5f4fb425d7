"""Rotation under load: two at once, with writers and readers, and killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connection, connections

from keys import (
    authors,
    blobs,
    crypto,
    custody,
    data_keys,
    reencryption,
    retrieval,
    rotation,
    secrets,
)
from keys.client_keys import ClientKey
from keys.errors import (
    ClientManagedError,
    ContentUndecryptableError,
    RotationInProgressError,
    ServerManagedError,
)
from keys.levels import Level
from keys.models import KeyVersion, Secret, SecretVersion
from organizations import ulid
from organizations.models import Organization, Project
from tests.conftest import Databases
from tests.factories import EnvironmentFactory, ProjectFactory, TargetFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

LEVELS = 30
SECONDS = 20


@pytest.fixture
def project(organization: Organization) -> Project:
    project = ProjectFactory.create(organization=organization)
    target = TargetFactory.create(project=project)
    for number in range(LEVELS):
        environment = EnvironmentFactory.create(target=target, name=f"Env {number}")
        store(Level(project, target, environment), f"A={number}")
    return project


def store(level: Level, text: str) -> None:
    secrets.store(level, text, author=authors.SYSTEM)


def contents(project: Project) -> set[bytes]:
    """What all blobs hold, opened by the key version that each names. Fails for one that does not
    open, and unless all name the active one."""
    active = retrieval.active(project)
    held = list(Secret.objects.filter(project=project))
    assert {secret.key_version for secret in held} == {active.version}
    return {blobs.opened(active, secret.content) for secret in held}


EVERYTHING = {b"A=%d" % number for number in range(LEVELS)}


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Starts `work` on a connection of its own; the list gets its result or exception."""
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
    return thread, outcome


@contextmanager
def rotation_held_in_the_middle(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Any]]:
    """A rotation that has retired the old key and waits, uncommitted, until the block ends."""
    reached, go_on = threading.Event(), threading.Event()
    move = rotation._move

    def held(*args: Any, **kwargs: Any) -> None:
        move(*args, **kwargs)
        reached.set()
        assert go_on.wait(SECONDS)

    monkeypatch.setattr(rotation, "_move", held)
    thread, outcome = in_thread(lambda: rotation.rotate(project))
    try:
        assert reached.wait(SECONDS), outcome
        yield outcome
    finally:
        go_on.set()
        thread.join(SECONDS)


def test_of_two_rotations_at_once_one_wins(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_looked = threading.Barrier(2)
    generate = crypto.generate_key

    def generate_together() -> str:
        both_looked.wait(SECONDS)
        return generate()

    monkeypatch.setattr(crypto, "generate_key", generate_together)
    started = [in_thread(lambda: rotation.rotate(project)) for _ in range(2)]
    for thread, _ in started:
        thread.join(SECONDS)
    outcomes = [outcome for _, [outcome] in started]
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "KeyVersion",
        "RotationInProgressError",
    ]
    assert KeyVersion.objects.count() == 2
    assert contents(project) == EVERYTHING


def test_a_rotation_under_way_is_seen_and_not_waited_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not rotation.is_under_way(project)
    with rotation_held_in_the_middle(project, monkeypatch):
        assert rotation.is_under_way(project)
        with pytest.raises(RotationInProgressError):
            rotation.rotate(project)
    assert not rotation.is_under_way(project)


def test_reading_continues_beside_a_rotation(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = Secret.objects.select_related("project", "target", "environment").first()
    assert level is not None
    with rotation_held_in_the_middle(project, monkeypatch):
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '500ms'")
        try:
            assert retrieval.retrieve(project).version.version == 1
            [opened] = secrets.decrypt([level.level])
            assert opened.plaintext in EVERYTHING
            assert opened.secret.key_version == 1
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
    assert contents(project) == EVERYTHING


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_write_beside_a_rotation_is_under_the_new_key_or_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, is_encrypted: bool
) -> None:
    text = "A=new"
    if is_encrypted:
        old = data_keys.data_key(retrieval.active(project))
        text = blobs.to_text(crypto.encrypt(old, text.encode()))
    level = Level(project)
    with rotation_held_in_the_middle(project, monkeypatch):
        thread, outcome = in_thread(lambda: secrets.store(level, text, author=authors.SYSTEM))
        thread.join(0.3)
        assert not outcome  # it waits
    thread.join(SECONDS)
    if is_encrypted:
        assert isinstance(outcome[0], ContentUndecryptableError)
        assert contents(project) == EVERYTHING
    else:
        assert contents(project) == EVERYTHING | {b"A=new"}


def test_a_rotation_waits_for_a_write(project: Project) -> None:
    started, go_on = threading.Event(), threading.Event()

    def write() -> None:
        from django.db import transaction

        with transaction.atomic():
            store(Level(project), "A=new")
            started.set()
            assert go_on.wait(SECONDS)

    writer, _ = in_thread(write)
    assert started.wait(SECONDS)
    rotator, outcome = in_thread(lambda: rotation.rotate(project))
    rotator.join(0.3)
    assert not outcome
    go_on.set()
    writer.join(SECONDS)
    rotator.join(SECONDS)
    assert isinstance(outcome[0], KeyVersion), outcome
    assert contents(project) == EVERYTHING | {b"A=new"}


def test_a_deletion_beside_a_rotation_waits_and_is_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither holds what the other needs next."""
    secret = Secret.objects.select_related("project", "target", "environment").latest("id")
    with rotation_held_in_the_middle(project, monkeypatch):
        thread, outcome = in_thread(lambda: secrets.delete(secret.level, author=authors.SYSTEM))
        thread.join(0.3)
        assert not outcome
    thread.join(SECONDS)
    assert outcome == [True]
    assert len(contents(project)) == LEVELS - 1
    deleted = SecretVersion.objects.get(action="delete")
    assert deleted.key_version == 2
    assert blobs.opened(retrieval.active(project), deleted.content) in EVERYTHING


def test_a_broken_connection_leaves_the_project_intact(
    project: Project, monkeypatch: pytest.MonkeyPatch, superuser_connection: psycopg.Connection[Any]
) -> None:
    with rotation_held_in_the_middle(project, monkeypatch) as outcome:
        superuser_connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ExclusiveLock'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    assert isinstance(outcome[0], OperationalError), outcome
    assert KeyVersion.objects.count() == 1
    assert not SecretVersion.objects.exists()
    assert contents(project) == EVERYTHING


KILLED_IN_THE_MIDDLE = """
import sys, time
import django
django.setup()
from keys import crypto, reencryption, rotation
from keys.models import Secret, SecretVersion
from organizations.models import Project

crypto.ITERATIONS = 1000
rotation.BATCH = reencryption.BATCH = 5
model = {"rotate": Secret, "re_encrypt": SecretVersion}[sys.argv[1]]
written = 0
bulk_update = model.objects.bulk_update

def slow(*args, **kwargs):
    global written
    bulk_update(*args, **kwargs)
    written += 1
    if written == 3:
        print("in the middle", flush=True)
        time.sleep(60)

model.objects.bulk_update = slow
project = Project.objects.get()
rotation.rotate(project) if sys.argv[1] == "rotate" else reencryption.run(project)
"""


def kill_in_the_middle(databases: Databases, work: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_IN_THE_MIDDLE, work],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            **databases.environment,
            "DJANGO_SETTINGS_MODULE": "dotenv_cloud.settings",
            "DOTENV_TEST": "1",
            "MASTER_KEYS": _master_keys(),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line == "in the middle\n", process.stderr.read()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def _master_keys() -> str:
    import base64

    return ",".join(
        f"{version}:{base64.b64encode(key).decode()}"
        for version, key in sorted(settings.MASTER_KEYS.items(), reverse=True)
    )


def test_a_killed_rotation_leaves_the_project_intact(
    project: Project, databases: Databases
) -> None:
    kill_in_the_middle(databases, "rotate")
    assert KeyVersion.objects.count() == 1
    assert contents(project) == EVERYTHING
    rotation.rotate(project)
    assert contents(project) == EVERYTHING


def test_a_killed_re_encryption_continues_where_it_stopped(
    project: Project, databases: Databases
) -> None:
    rotation.rotate(project, history_policy="re_encrypt")
    kill_in_the_middle(databases, "re_encrypt")
    progress = reencryption.progress(project)
    assert progress is not None
    assert (progress.done, progress.total) == (10, LEVELS)
    assert reencryption.run(project) == LEVELS - 10
    active = retrieval.active(project)
    opened = {blobs.opened(active, version.content) for version in SecretVersion.objects.all()}
    assert opened == EVERYTHING


@pytest.mark.parametrize("to_clients", [True, False])
def test_a_key_that_changes_hands_before_a_rotation_locks_it_is_not_rotated(
    project: Project, monkeypatch: pytest.MonkeyPatch, to_clients: bool
) -> None:
    """Otherwise the server would store again, under its own key, what it had to forget."""
    key = custody.offer(project)
    if not to_clients:
        custody.to_clients(project, key)
    change = custody.to_clients if to_clients else custody.to_server
    locked = rotation._locked

    def changed_meanwhile(*given: Any) -> KeyVersion:
        thread, outcome = in_thread(lambda: change(project, key))
        thread.join(SECONDS)
        assert isinstance(outcome[0], KeyVersion), outcome
        return locked(*given)

    monkeypatch.setattr(rotation, "_locked", changed_meanwhile)
    if to_clients:
        with pytest.raises(ClientManagedError):
            rotation.rotate(project)
    else:
        proof = ClientKey(bytes(32), bytes(16), 100_000)
        blob = blobs.to_text(bytes(40))
        held = Secret.objects.filter(project=project)
        with pytest.raises(ServerManagedError):
            sent = [rotation.Encrypted(ulid.to_text(secret.pk), blob) for secret in held]
            rotation.rotate_client_key(project, sent, proof)
    [version] = KeyVersion.objects.filter(project=project)
    assert (version.is_active, version.is_client_managed) == (True, to_clients)
    project.refresh_from_db()
    assert project.storage_mode == version.managed
    data_key = crypto.derive_data_key(
        key, bytes(version.key_check_salt), version.key_check_iterations
    )
    opened = {crypto.decrypt(data_key, bytes(one.content)) for one in Secret.objects.all()}
    assert opened == EVERYTHING


def test_a_key_that_changes_hands_while_a_level_is_read_opens_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(Level(project), "A=1")
    key = custody.offer(project)
    version = retrieval.active(project)

    def changed_meanwhile(found: Project) -> KeyVersion:
        custody.to_clients(found, key)
        return version

    monkeypatch.setattr(secrets, "active", changed_meanwhile)
    with pytest.raises(ClientManagedError):
        secrets.decrypt([Level(project)])


def test_a_key_that_the_server_took_in_meanwhile_takes_no_versions_of_clients(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = custody.offer(project)
    custody.to_clients(project, key)
    to_write = retrieval.active_to_write

    def changed_meanwhile(found: Project) -> KeyVersion:
        custody.to_server(found, key)
        return to_write(found)

    monkeypatch.setattr(retrieval, "active_to_write", changed_meanwhile)
    with pytest.raises(ServerManagedError):
        reencryption.submit(project, [reencryption.Submitted(1, "")], "proof")
