"""The service under load: `python -m benchmarks.service`.

gunicorn as production runs it, asked by 1, 8 and 32 clients at once: update a project, list the
versions of its key, list entries of a log. Requests a second and how long they took, with auditing
and without, by turns; and which SQL statements one request takes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import backlog, database, server
from benchmarks.processes import a_sealer, ended, fork
from benchmarks.report import Report, describe_machine
from benchmarks.world import World

CLIENTS = (1, 8, 32)
P50 = 0.030
"""Seconds of an answer, at most, when nobody else asks."""


@dataclass(frozen=True)
class Request:
    """What a client asks; `{project}` in the path is its own."""

    name: str
    method: str
    path: str
    body: Callable[[int], dict[str, Any]] | None = None


REQUESTS = (
    Request(
        "project update", "PATCH", "/api/v1/{organization}/{project}", lambda n: {"name": f"P {n}"}
    ),
    Request("key history", "GET", "/api/v1/{organization}/{project}/encryption-key/history"),
    Request("entry list", "GET", "/api/v1/organizations/{organization}/audit/entries"),
)


@dataclass(frozen=True)
class Place:
    """Where requests go: the organization, its projects, and a token for it."""

    organization: str
    projects: list[str]
    token: str

    def path(self, request: Request, client: int) -> str:
        return request.path.format(
            organization=self.organization, project=self.projects[client % len(self.projects)]
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}


def make_place(entries: int) -> Place:
    from audit.ledger import sealing
    from keys.projects import create_project

    world = World()
    projects = [create_project(world.organization, f"P {n}").slug for n in range(max(CLIENTS))]
    backlog.prepare()
    backlog.pile_up(entries, world.organization.pk)
    while sealing.seal().is_behind:
        pass
    return Place(world.organization.slug, projects, server.make_token(world))


# -- Statements


def statements(place: Place, report: Report, *, show: bool) -> None:
    """Of one request, once the process is warm; those that begin and end a transaction too."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    report.heading("Statements of one request")
    client = Client(SERVER_NAME="localhost", headers={"authorization": f"Bearer {place.token}"})
    for request in REQUESTS:
        for n in range(2):
            text = json.dumps(request.body(n)) if request.body else ""
            with CaptureQueriesContext(connection) as queries:
                answer = client.generic(
                    request.method, place.path(request, 0), text, content_type="application/json"
                )
        if answer.status_code != 200:
            raise RuntimeError(f"{request.name} was answered with {answer.status_code}")
        report.figure(f"{request.name:<54}", f"{len(queries):3}", len(queries), None)
        if show:
            for query in queries:
                print("   ", " ".join(query["sql"].split())[:150])


# -- Load


def load(request: Request, place: Place, port: int, clients: int, seconds: float) -> list[float]:
    """Seconds of each answer to so many clients."""
    start = time.monotonic() + 0.3 + clients * 0.02
    children = [
        fork(partial(_ask, request, place, port, n, start, seconds)) for n in range(clients)
    ]
    times: list[float] = []
    for _, pipe in ended(children):
        with os.fdopen(os.dup(pipe), "rb") as reported:
            times += json.loads(reported.read())
    return times


def _ask(
    request: Request, place: Place, port: int, client: int, start: float, seconds: float
) -> str:
    times = array("d")
    connection = http.client.HTTPConnection("127.0.0.1", port)
    path, headers = place.path(request, client), place.headers
    time.sleep(max(0.0, start - time.monotonic()))
    while (begun := time.monotonic()) < start + seconds:
        body = json.dumps(request.body(len(times))) if request.body else None
        connection.request(request.method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{request.name} was answered with {answer.status}")
        times.append(time.monotonic() - begun)
    return json.dumps([round(seconds, 5) for seconds in times])  # a pipe holds 64 kB


def compare(place: Place, seconds: float, repetitions: int, report: Report) -> None:
    found: dict[tuple[str, int, bool], list[list[float]]] = {}
    for _ in range(repetitions):
        for audited in (True, False):
            set_guards(audited)
            with server.serving("dotenv_cloud.wsgi" if audited else "benchmarks.unaudited") as at:
                load(REQUESTS[0], place, at.port, 8, 1)  # all is imported, connections are open
                for request in REQUESTS:
                    for clients in CLIENTS:
                        times = load(request, place, at.port, clients, seconds)
                        found.setdefault((request.name, clients, audited), []).append(times)
    set_guards(True)
    for request in REQUESTS:
        report.heading(request.name)
        for clients in CLIENTS:
            rates = {}
            for audited in (True, False):
                rounds = found[request.name, clients, audited]
                rates[audited] = statistics.median(len(times) / seconds for times in rounds)
                times = sorted(value for times in rounds for value in times)
                p50, p99 = (times[len(times) * share // 100] for share in (50, 99))
                what = f"{clients} clients, {'audited' if audited else 'unaudited'}"
                print(
                    f"  {what:<40} {rates[audited]:6.0f} a second,"
                    f" p50 {p50 * 1000:6.1f} ms, p99 {p99 * 1000:6.1f} ms",
                    flush=True,
                )
                if audited and clients == 1:
                    report.ratio(f"{request.name}: p50, s", p50, P50)
            report.at_least("audited / unaudited", rates[True] / rates[False], None)


def set_guards(on: bool) -> None:
    from django.db import connections

    from audit import policy

    with connections["owner"].cursor() as cursor:
        for spec in policy.AUDITED:
            table = spec.model_class()._meta.db_table
            what = "ENABLE" if on else "DISABLE"
            cursor.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND"
                " tgname IN ('audit_insert', 'audit_update', 'audit_delete')",
                [table],
            )
            for (trigger,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} {what} TRIGGER {trigger}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("--entries", type=int, default=200_000, help="of the log (200,000)")
    parser.add_argument("--seconds", type=float, default=4, help="of each round (4)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each round (3)")
    parser.add_argument("--show", action="store_true", help="the statements")
    options = parser.parse_args()
    report = Report()
    with database.temporary():
        describe_machine()
        place = make_place(options.entries)
        statements(place, report, show=options.show)
        if options.seconds:
            with a_sealer():
                compare(place, options.seconds, options.repetitions, report)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())
