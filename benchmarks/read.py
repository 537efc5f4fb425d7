"""Reading a large log: `python -m benchmarks.read --entries 10000000 --data-dir DIR`.

The first page and one from the middle of the log, for each filter and the common pairs, in the
largest organization and in a median one; histogram, facets, counts and names; a new connection's
first page; whole answers. DIR is filled first if it is empty (`benchmarks.log`) and kept.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import database, log
from benchmarks.report import Report, describe_machine

P50, P99 = 0.003, 0.015
"""Seconds of a page of 50 in the database."""
ANSWER = 0.030
"""Seconds of a whole answer, at the median."""
PATIENCE = 2.0
"""Seconds after which a question is not asked again, if it was asked five times."""


@dataclass
class Measured:
    """Seconds of each asking in the database; buffers and planning of one asking."""

    seconds: list[float] = field(default_factory=list)
    statements: list[Any] = field(default_factory=list)
    buffers: int = 0
    planning: float = 0.0

    @property
    def p50(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)]


def questions(organization: Any, rank: int) -> dict[str, dict[str, str]]:
    """What is asked: common values, rare ones, some that were quiet for long, some that never
    were."""
    people, projects = 10 + 300 // rank, 6 + 1000 // rank
    quiet = int(people * 0.4) + 1
    quiet += quiet % 5 == 4
    old = f"app-{projects // 3}"
    domain = f"org-{rank}.example"
    entry, address = _oldest(organization.pk)
    asked: dict[str, dict[str, str]] = {
        "nothing": {},
        "actor": {"actor": f"person-0@{domain}"},
        "actor, quiet": {"actor": f"person-{quiet}@{domain}"},
        "actor, system": {"actor": "system"},
        "actor_type": {"actor_type": "api_key"},
        "actor_type, never": {"actor_type": "database"},
        "action": {"action": "update"},
        "action, rare": {"action": "rewrap"},
        "action, never": {"action": "lift_hold"},
        "action, two": {"action": "grant,rewrap"},
        "type": {"type": "environment"},
        "type, rare": {"type": "invitation"},
        "resource": {"resource": "app-0/backend/production"},
        "resource, below": {"resource": "app-0"},
        "resource, quiet": {"resource": old},
        "result": {"result": "denied"},
        "result, success": {"result": "success"},
        "ip": {"ip": f"203.0.113.{rank % 80 * 3}"},
        "ip, network": {"ip": "203.0.113.0/24"},
        "ip, once": {"ip": address},
        "ip, never": {"ip": "192.0.2.77"},
        "request": {"request": entry},
        "interface": {"interface": "cli"},
        "interface, rare": {"interface": "admin"},
        "interface, never": {"interface": "database"},
        "field": {"field": "name"},
        "field, rare": {"field": "is_production"},
        "field, never": {"field": "secret"},
        "field, oldest": {"field": "is_production", "order": "oldest"},
        "field, 5 oldest": {"field": "is_production", "order": "oldest", "limit": "5"},
        "q": {"q": "app-1 backend local"},
        "q, many": {"q": "production"},
        "severity": {"severity": "warning"},
        "severity, notice": {"severity": "notice"},
        "reason, never": {"reason": "nothing of the kind"},
        "user_agent": {"user_agent": "curl"},
        "user_agent, common": {"user_agent": "firefox"},
        "became, never": {"became": "nothing of the kind"},
        "became, of a field": {"became": "is_production:after 17"},
        "hours": {"hours": "9-17", "tz": "Europe/Berlin"},
        "hours, few": {"hours": "3:10-3:11"},
        "days": {"days": "weekend"},
        "actor_role": {"actor_role": "owner"},
        "action, changes": {"action": "changes"},
        "action, access": {"action": "access_changes"},
        "action, credentials": {"action": "credential_changes"},
        "action, security": {"action": "security_changes"},
        "id": {"id": entry},
        "views": {"views": "true"},
        "oldest": {"order": "oldest"},
        "limit": {"limit": "5", "action": "update"},
        "resource + reason": {"resource": "app-0", "reason": "nothing of the kind"},
        "when": {"when": "last month"},
        "since": {"since": "7d"},
        "until": {"until": "180d"},
        "exclude_actor": {"exclude_actor": f"person-0@{domain}"},
        "exclude_action": {"exclude_action": "retrieve"},
        "exclude_type": {"exclude_type": "key_version"},
        "exclude nearly all": {"exclude_result": "success"},
        "actor + action": {"actor": f"person-0@{domain}", "action": "delete"},
        "actor + type": {"actor": f"person-0@{domain}", "type": "invitation"},
        "actor, quiet + action": {"actor": f"person-{quiet}@{domain}", "action": "delete"},
        "resource + action": {"resource": "app-0/backend/production", "action": "delete"},
    }
    return asked


def _oldest(organization: uuid.UUID) -> tuple[str, str]:
    """The request of an entry of the first days, and an address seen hardly ever."""
    from django.db import connections

    from organizations import ulid

    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT (array_agg(request_id) FILTER (WHERE request_id IS NOT NULL))[1],"
            " host(max(ip) FILTER (WHERE ip < '101.0.0.0'))"
            " FROM (SELECT * FROM audit_ledger WHERE organization_id = %s ORDER BY id LIMIT 200)",
            [organization],
        )
        request, address = cursor.fetchone()
    return ulid.to_text(request), address


@contextmanager
def asked(organization: Any, params: Mapping[str, str]) -> Iterator[Any]:
    """A transaction in which a question is understood and the tenant scope is entered."""
    from django.db import transaction

    from audit.models import Entry
    from audit.questions.filters import EntryFilter

    with transaction.atomic():
        visible = Entry.objects.visible([organization.pk])  # type: ignore[attr-defined]
        question = EntryFilter(params, visible, organizations=[organization])
        yield question if question.is_valid() else None


def measure(
    organization: Any, params: Mapping[str, str], ask: Callable[[Any], object], repetitions: int
) -> Measured | None:
    """`ask` the question again and again; None if it is refused, as one of too many names."""
    from django.db import connection

    from benchmarks import plans

    measured = Measured()
    begun = time.perf_counter()
    for repetition in range(repetitions + 1):
        if repetition > 5 and time.perf_counter() - begun > PATIENCE:
            break
        spent = [0.0]

        def wrap(
            execute: Any, sql: Any, values: Any, many: Any, context: Any, spent: Any = spent
        ) -> Any:
            started = time.perf_counter()
            try:
                return execute(sql, values, many, context)
            finally:
                spent[0] += time.perf_counter() - started

        with asked(organization, params) as question:
            if question is None:
                return None
            with connection.execute_wrapper(wrap), plans.recorded(connection) as statements:
                ask(question)
        if repetition:  # the first one warms up
            measured.seconds.append(spent[0])
        measured.statements = statements
    with asked(organization, params):
        _explain(measured)
    return measured


def _explain(measured: Measured) -> None:
    from django.db import connection

    from benchmarks import plans

    for statement in measured.statements:
        if statement.sql.startswith("SET "):
            with connection.cursor() as cursor:
                cursor.execute(statement.sql)
            continue
        plan = plans.explain(connection, statement, "BUFFERS")
        top = plan["Plan"]
        measured.buffers += top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        measured.planning += plan["Planning Time"]


def pages(organization: Any, rank: int, repetitions: int, report: Report, only: str) -> None:
    from audit.questions import paging

    middle = _middle(organization.pk)

    def first(question: Any) -> object:
        return paging.page(question.qs, order=question.order)

    def deep(question: Any) -> object:
        return paging.page(question.qs, middle, order=question.order)

    print(f"  {'':<24}{'first page':>40}{'deep page':>42}")
    print("  " + " " * 24 + f"{'p50 ms':>9}{'p99':>9}{'buffers':>10}{'planning':>10}" * 2)
    for name, params in questions(organization, rank).items():
        if only and only not in name:
            continue
        line = f"  {name:<24}"
        for place, ask in (("first", first), ("deep", deep)):
            found = measure(organization, params, ask, repetitions)
            if found is None:
                line += f"{'refused: too many names':>38}"
                continue
            line += (
                f"{found.p50 * 1000:9.2f}{found.p99 * 1000:9.2f}"
                f"{found.buffers:10,}{found.planning:10.2f}"
            )
            if found.p50 > P50 or found.p99 > P99:
                times = f"{found.p50 * 1000:.1f} ms, p99 {found.p99 * 1000:.1f} ms"
                report.missed.append(f"{organization.name}, {name}, {place} page: {times}")
        print(line, flush=True)


def _middle(organization: uuid.UUID) -> uuid.UUID:
    """The id in the middle of the organization's log."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT id FROM audit_ledger WHERE organization_id = %s ORDER BY id DESC"
            " OFFSET (SELECT size / 2 FROM audit_log WHERE organization_id = %s) LIMIT 1",
            [organization, organization],
        )
        return uuid.UUID(str(cursor.fetchone()[0]))


def counts(organization: Any, rank: int, repetitions: int) -> None:
    from audit.questions import counting

    def histogram(question: Any) -> object:
        period = question.period
        return counting.histogram(question.qs, period.since, period.until, question.zone)

    ways: dict[str, Callable[[Any], object]] = {
        "histogram": histogram,
        "facets": counting.facets,
        "bounded count": lambda question: counting.bounded_count(question.qs),
        **{
            f"by {by}": partial(counting.counts, by=by)
            for by in ("actor", "resource", "project", "ip", "user_agent", "day", "hour")
        },
    }
    every = questions(organization, rank)
    for name in ("nothing", "actor", "action", "resource, quiet", "ip, once", "field", "since"):
        for way, ask in ways.items():
            found = measure(organization, every[name], ask, min(repetitions, 20))
            if found:
                print(
                    f"  {way:<14} {name:<20} {found.p50 * 1000:9.2f}{found.p99 * 1000:9.2f}"
                    f"{found.buffers:10,}{found.planning:10.2f}",
                    flush=True,
                )


def names(organization: Any, repetitions: int) -> None:
    from django.db import transaction

    from audit.questions import name_index, tenant_scope

    looked_up: dict[str, Callable[[], object]] = {
        "actor, whole name": lambda: name_index.actors("person-0@org-1.example", [organization.pk]),
        "actor, a part": lambda: name_index.actors("person-1", [organization.pk]),
        "path": lambda: name_index.resources("app-0", [organization.pk]),
        "words": lambda: name_index.matching("app-1 backend local", [organization.pk]),
        "words, nowhere": lambda: name_index.matching("nowhere", [organization.pk]),
    }
    for name, look_up in looked_up.items():
        seconds = []
        for _ in range(repetitions):
            with transaction.atomic():
                tenant_scope.enter([organization.pk])
                started = time.perf_counter()
                look_up()
                seconds.append(time.perf_counter() - started)
        print(f"  {name:<24}{_figures(seconds)}", flush=True)


def cold(organization: Any, repetitions: int) -> None:
    """Connect, enter the tenant scope and read the first page, as a process's first
    request does."""
    from django.db import connection

    from audit.questions import paging

    seconds: dict[str, list[float]] = {"connecting": [], "the first page": [], "the second": []}
    for _ in range(repetitions):
        connection.close()
        started = time.perf_counter()
        connection.ensure_connection()
        seconds["connecting"].append(time.perf_counter() - started)
        for name in ("the first page", "the second"):
            started = time.perf_counter()
            with asked(organization, {}) as question:
                paging.page(question.qs)
            seconds[name].append(time.perf_counter() - started)
    for name, times in seconds.items():
        print(f"  {name:<24}{_figures(times)}", flush=True)


def answers(organization: Any, rank: int, repetitions: int, report: Report) -> None:
    """Whole answers, by the code that gunicorn runs, without a network."""
    from django.conf import settings
    from django.test import Client
    from django.test.utils import override_settings

    from benchmarks.server import make_token
    from dotenv_cloud.environment import Limit
    from organizations.models import User

    token = make_token(_Place(organization))
    every = questions(organization, rank)
    reader = Client()
    reader.force_login(User.objects.get(email=log.OWNER))
    program = Client(headers={"authorization": f"Bearer {token}"})
    base = f"/api/v1/organizations/{organization.slug}/audit"
    asked = [
        ("page", reader, f"/o/{organization.slug}/activity", name)
        for name in ("nothing", "actor", "action", "resource, below", "since")
    ] + [("API entries", program, f"{base}/entries", name) for name in ("nothing", "actor")]
    asked += [("API histogram", program, f"{base}/histogram", "nothing")]
    asked += [("API facets", program, f"{base}/facets", "nothing")]
    asked += [("counts of a page", reader, f"/o/{organization.slug}/activity/counts", "nothing")]
    asked += [
        (what, reader, f"/o/{organization.slug}/{path}", "nothing")
        for what, path in _histories(organization, every)
    ]
    unlimited = settings.RATE_LIMITS | {"api": Limit(1_000_000, 60)}
    with override_settings(ALLOWED_HOSTS=["*"], SECURE_SSL_REDIRECT=False, RATE_LIMITS=unlimited):
        for what, client, path, name in asked:
            seconds = []
            for repetition in range(repetitions + 3):
                started = time.perf_counter()
                answer = client.get(path, every[name])
                if answer.status_code != 200:
                    raise RuntimeError(f"{path} was answered with {answer.status_code}")
                if repetition >= 3:
                    seconds.append(time.perf_counter() - started)
            report.figure(
                f"{what:<26}{name:<16}", _figures(seconds),
                statistics.median(seconds), ANSWER,
            )  # fmt: skip


def _histories(organization: Any, every: dict[str, dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Pages about one entry, thing or actor, with their addresses."""
    from audit.questions import paging
    from organizations import ulid

    def newest(name: str) -> Any:
        with asked(organization, every[name]) as question:
            return paging.page(question.qs).entries[0]

    yield "entry", f"activity/{newest('nothing').ulid}"
    for name in ("resource", "resource, quiet"):
        yield f"history, {name}", f"history/resource/{ulid.to_text(newest(name).resource_id)}"
    for name in ("actor", "actor, quiet"):
        yield f"history, {name}", f"history/actor/{ulid.to_text(newest(name).actor_id)}"


@dataclass(frozen=True)
class _Place:
    organization: Any


def _figures(seconds: list[float]) -> str:
    last = sorted(seconds)[int(len(seconds) * 0.99)]
    return f"p50 {statistics.median(seconds) * 1000:8.2f} ms   p99 {last * 1000:8.2f} ms"


_SIZES = """
SELECT CASE WHEN c.relkind = 'r' THEN 'rows' ELSE
        (SELECT relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
         WHERE i.inhrelid = c.oid) END AS place,
    sum(pg_table_size(c.oid)) / %s
FROM pg_partition_tree('audit_ledger') AS t JOIN pg_class l ON l.oid = t.relid AND l.relkind = 'r'
JOIN pg_class c ON c.oid = l.oid OR c.oid IN
    (SELECT indexrelid FROM pg_index WHERE indrelid = l.oid)
GROUP BY 1 ORDER BY 2 DESC
"""


def sizes(entries: int) -> None:
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute(_SIZES, [entries - log.UNSEALED])
        rows = cursor.fetchall()
        for table in ("audit_log", "audit_subject", "audit_label", "audit_field"):
            cursor.execute("SELECT pg_total_relation_size(%s)::numeric / %s", [table, entries])
            rows.append((table, cursor.fetchone()[0]))
    for place, size in rows:
        print(f"  {place:<40}{size:8.1f}")
    print(f"  {'in all':<40}{sum(size for _, size in rows):8.1f}", flush=True)


PARTS = ("sizes", "pages", "counts", "names", "cold", "answers")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.read", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the log (1,000,000)")
    parser.add_argument("--data-dir", type=Path, required=True, help="where the log is kept")
    parser.add_argument("--repetitions", type=int, default=50, help="of each question (50)")
    parser.add_argument("--only", default="", help="questions with this in their name")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (all of them)")
    options = parser.parse_args()
    parts, report, n = options.parts or PARTS, Report(), options.repetitions
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; name some of {PARTS}")
    with database.kept(options.data_dir):
        log.ensure(options.entries)
        describe_machine()
        from organizations.models import Organization

        for rank in (1, log.ORGANIZATIONS // 2):
            organization = Organization.objects.get(name=f"Log {rank}")
            what = f"of {options.entries:,}: {'the largest' if rank == 1 else 'a median one'}"
            if "sizes" in parts and rank == 1:
                report.heading("Bytes an entry, packed")
                sizes(options.entries)
            if "pages" in parts:
                report.heading(f"Pages, {what}")
                pages(organization, rank, n, report, options.only)
            if "counts" in parts:
                report.heading(f"Counting, {what}: p50 ms, p99, buffers, planning")
                counts(organization, rank, n)
            if "names" in parts:
                report.heading(f"Looking names up, {what}")
                names(organization, n)
            if "cold" in parts:
                report.heading(f"A new connection, {what}")
                cold(organization, n)
            if "answers" in parts:
                report.heading(f"Whole answers, {what}")
                answers(organization, rank, n, report)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())
