"""A collector that follows by number has every entry once and in order, whatever else goes on."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, transaction

from keys import rotation
from organizations.models import Organization, Project
from tests.api.conftest import Api, no_limits
from tests.conftest import Databases
from tests.factories import ApiKeyFactory, ProjectFactory
from tests.promises.conftest import killable_processes
from tests.promises.test_sealing import seal_when_nobody_writes

__all__ = ("no_limits",)

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "sealer"]),
    pytest.mark.usefixtures("no_limits"),
    pytest.mark.slow,
]

SECONDS = 60 if os.environ.get("DOTENV_SLOW") else 10
WRITERS = 16
ENTRIES = "/organizations/{o}/audit/entries"


def write(organization: Organization, number: int, stop: float) -> None:
    """With pauses inside of transactions, so that what began first is often committed last."""
    choose = random.Random(number)
    mine = ProjectFactory.create(organization=organization, name=f"writer {number}")
    while time.monotonic() < stop:
        if number == 0:
            rotation.rotate(mine)
        with transaction.atomic():
            mine.name = f"writer {number} {choose.random()}"
            mine.save()
            time.sleep(choose.random() * choose.choice((0, 0.02, 0.3)))
            Project(
                organization=organization, name="x", slug=f"w{number}-{choose.getrandbits(48)}"
            ).save()
            if choose.random() < 0.1:
                transaction.set_rollback(True)
        time.sleep(choose.random() * 0.05)


class Collector:
    """Follows `links.next`, and notes when what arrived."""

    def __init__(self, api: Api, query: str) -> None:
        self.api = api
        self.path = f"{ENTRIES}?{query}"
        self.numbers: list[int] = []
        self.ids: list[str] = []
        self.arrived: dict[int, float] = {}

    def ask(self) -> bool:
        """Whether there may be more at once."""
        response = self.api.get(self.path)
        assert response.status_code == 200, response.content
        body = response.json()
        for entry in body["data"]:
            self.numbers.append(entry["attributes"]["seq"])
            self.ids.append(entry["id"])
            self.arrived[self.numbers[-1]] = time.monotonic()
        parts = urlsplit(body["links"]["next"])
        self.path = f"{parts.path}?{parts.query}"
        return bool(body["meta"]["reached"] < body["meta"]["sealed_to"])


def run(*targets: Callable[[], None]) -> None:
    """Side by side, each to its end. Raises what one of them raised."""
    failures: list[BaseException] = []

    def guarded(target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def test_beside_sixteen_writers_and_killed_sealers_each_entry_comes_once_and_in_order(
    organization: Organization, databases: Databases, owner_connection: psycopg.Connection[Any]
) -> None:
    token = ApiKeyFactory.create(organization=organization, abilities=["audit:read"]).token
    polling = Collector(Api(token, organization), "after_seq=0&per_page=100")
    waiting = Collector(Api(token, organization), "after_seq=0&per_page=200&wait=3")
    stop = time.monotonic() + SECONDS

    def kill_and_seal() -> None:
        choose = random.Random(1)
        with killable_processes(databases) as processes:
            while time.monotonic() < stop:
                sealer = processes.start("seal")
                time.sleep(0.3 + choose.random())
                processes.kill(sealer)

    def collect(collector: Collector, pause: float) -> None:
        while time.monotonic() < stop:
            if not collector.ask():
                time.sleep(pause)

    run(
        *(partial(write, organization, number, stop) for number in range(WRITERS)),
        kill_and_seal,
        partial(collect, polling, 0.05),
        partial(collect, waiting, 0),
    )
    seal_when_nobody_writes(owner_connection)
    waiting.path = waiting.path.replace("wait=3", "wait=0")
    for collector in (polling, waiting):
        assert collector.numbers
        while collector.ask():
            pass
    [[size]] = owner_connection.execute(
        "SELECT size FROM audit_log WHERE organization_id = %s", [organization.pk]
    ).fetchall()
    assert size > WRITERS * 3
    for collector in (polling, waiting):
        assert collector.numbers == list(range(1, len(collector.numbers) + 1))
        assert len(set(collector.ids)) == len(collector.ids)
        assert len(collector.numbers) >= size


def test_who_waits_has_each_entry_within_two_seconds_of_its_sealing(
    organization: Organization, databases: Databases
) -> None:
    """And the time that any answer takes on this machine."""
    token = ApiKeyFactory.create(organization=organization, abilities=["audit:read"]).token
    waiting = Collector(Api(token, organization), "after_seq=0&per_page=200&wait=3")
    plain = Collector(Api(token, organization), "after_seq=0&per_page=1")
    stop = time.monotonic() + min(SECONDS, 20)
    sealed: dict[int, float] = {}
    slowest = 0.0

    def write_now_and_then() -> None:
        choose = random.Random(2)
        while time.monotonic() < stop - 2:
            ProjectFactory.create(organization=organization, name=f"p {choose.random()}")
            time.sleep(choose.random())

    def seal() -> None:
        with killable_processes(databases) as processes:
            processes.start("seal")
            time.sleep(stop + 1 - time.monotonic())

    def watch() -> None:
        with psycopg.connect(databases.owner, autocommit=True) as eyes:
            while time.monotonic() < stop:
                row = eyes.execute(
                    "SELECT size FROM audit_log WHERE organization_id = %s", [organization.pk]
                ).fetchone()
                for number in range(len(sealed) + 1, (row[0] if row else 0) + 1):
                    sealed[number] = time.monotonic()
                time.sleep(0.02)

    def ask_plainly() -> None:
        nonlocal slowest
        while time.monotonic() < stop:
            started = time.monotonic()
            plain.ask()
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.5)

    def collect() -> None:
        while time.monotonic() < stop + 1:
            waiting.ask()

    run(write_now_and_then, seal, watch, ask_plainly, collect)
    took = {number: waiting.arrived[number] - moment for number, moment in sealed.items()}
    assert len(took) > 5
    assert max(took.values()) < 2 + slowest
