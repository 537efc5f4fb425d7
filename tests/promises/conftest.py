"""Reading the log as its owner does, past every tenant scope: these tests check what is in it.

And writers and sealers in processes of their own, which a test can kill.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import psycopg
import pytest

from organizations.models import Organization
from tests.conftest import Databases
from tests.factories import OrganizationFactory

ROOT = Path(__file__).parents[2]


class Recorded(NamedTuple):
    """An entry, without what these tests do not look at."""

    action: str
    type: str
    label: str
    changes: dict[str, Any]
    actor_type: str
    actor: str
    context: dict[str, Any]
    interface: str
    resource_id: Any


_RECORDED = """
SELECT action, resource_type, resource_label, changes, actor_type, actor_label, context, interface,
    resource_id
FROM audit_entry
"""


@pytest.fixture
def entries(
    owner_connection: psycopg.Connection[Any], transactional_db: None
) -> Callable[..., list[Recorded]]:
    """The entries committed so far, oldest first; `since` leaves out the first ones."""

    def read(since: int = 0, **columns: Any) -> list[Recorded]:
        where = " AND ".join(f"{column} = %s" for column in columns) or "true"
        rows = owner_connection.execute(
            f"{_RECORDED} WHERE {where} ORDER BY id", list(columns.values())
        ).fetchall()
        return [Recorded(*row) for row in rows][since:]

    return read


@pytest.fixture
def organization(transactional_db: None) -> Organization:
    return OrganizationFactory.create(name="Acme")


@pytest.fixture
def new_entries(
    entries: Callable[..., list[Recorded]], organization: Organization
) -> Callable[[], list[Recorded]]:
    """The entries that came since the organization was made."""
    before = len(entries())
    return lambda: entries(before)


_FORKING = """
import os, random, signal, sys, uuid
sys.path.insert(0, {root!r})
os.environ.update({environment!r})
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from django.core.management import call_command
from django.db import transaction
from organizations.models import Organization, Project

def write():
    organization = Organization.objects.get(slug="acme")
    shared = Project.objects.get(slug="shared")
    while True:
        with transaction.atomic():
            project = Project(organization=organization, name="x", slug="k-" + uuid.uuid4().hex)
            project.save()
            project.name = "y"
            project.save()
        Project.objects.filter(pk=shared.pk).update(name=project.slug)
        if random.random() < 0.2:
            project.delete()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if os.fork() == 0:
        os.setsid()
        print(os.getpid(), flush=True)
        sys.stdout = sys.stderr
        if line == "write\\n":
            write()
        call_command("seal", interval=0.02, wait=True)
"""
"""Starts each process by forking, since Django takes long to start."""


class Processes:
    """Writers and sealers that can be killed. Their processes end with the `with` block."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders, self._answers = orders, answers
        self._running: list[int] = []

    def start(self, what: str) -> int:
        """Start a process that will "write" or "seal"; returns its id."""
        print(what, file=self._orders, flush=True)
        self._running.append(int(self._answers.readline()))
        return self._running[-1]

    def kill(self, pid: int) -> None:
        self._running.remove(pid)
        os.kill(pid, signal.SIGKILL)  # raises if it ended by itself

    def kill_all(self) -> None:
        for pid in list(self._running):
            self.kill(pid)


@contextmanager
def killable_processes(databases: Databases) -> Iterator[Processes]:
    environment = {**databases.environment, "DOTENV_TEST": "1"}
    forking = subprocess.Popen(
        [sys.executable, "-c", _FORKING.format(root=str(ROOT), environment=environment)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert forking.stdin is not None and forking.stdout is not None
    processes = Processes(forking.stdin, forking.stdout)
    try:
        yield processes
    finally:
        try:
            processes.kill_all()
        finally:
            forking.kill()
            forking.communicate()
