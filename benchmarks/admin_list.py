"""Django admin's list of a large log: `python -m benchmarks.admin_list --data-dir DIR`.

The same entries twice: in the ledger, behind our list, and in django-auditlog's table, behind the
list that it brings. Whole answers, by turns. DIR is filled first if it is empty (`benchmarks.log`)
and kept; it gets the other packages' tables, so it is none to measure anything else in.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import database, log
from benchmarks.report import Report, describe_machine

_COPY = """
INSERT INTO auditlog_logentry (content_type_id, object_pk, object_repr, action, changes,
    actor_id, remote_addr, timestamp, additional_data, changes_text)
SELECT (SELECT id FROM django_content_type WHERE app_label = 'auditlog'),
    COALESCE(resource_id::text, ''), resource_label,
    CASE action WHEN 'create' THEN 0 WHEN 'update' THEN 1 WHEN 'delete' THEN 2 ELSE 3 END,
    changes, %s, ip, uuid_extract_timestamp(id), NULL, ''
FROM audit_ledger ORDER BY id
"""

_OPEN = {"ALLOWED_HOSTS": ["*"], "SECURE_SSL_REDIRECT": False}

SLOW = 5.0
"""Seconds after which a page is asked for no more."""


def fill() -> None:
    """Copy the sealed entries into django-auditlog's table, unless that was done before."""
    from django.db import connections

    from organizations.models import User

    person = User.objects.get(email=log.OWNER)
    User.objects.filter(pk=person.pk).update(is_staff=True, is_superuser=True)
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM auditlog_logentry)")
        if cursor.fetchone()[0]:
            return
        cursor.execute(_COPY, [person.pk])
        cursor.execute("VACUUM (ANALYZE) auditlog_logentry")


def pages(middle: str, pages_of_100: int) -> dict[str, tuple[str, str]]:
    """What is asked, of ours and of theirs."""
    return {
        "first page": ("?organization=", "?"),
        "first page, all organizations": ("?", "?"),
        "a page of the middle": (f"?organization=&before={middle}", f"?p={pages_of_100 // 2}"),
        "deletions": ("?organization=&action=delete", "?action=2"),
        "a name": ("?organization=&q=app-1+backend+local", "?q=app-1/backend/local"),
    }


def ask(client: Any, path: str) -> float:
    started = time.perf_counter()
    answer = client.get(path)
    elapsed = time.perf_counter() - started
    if answer.status_code != 200:
        raise RuntimeError(f"{path} was answered with {answer.status_code}")
    return elapsed


def compare(report: Report, entries: int, repetitions: int) -> None:
    from django.db import connections
    from django.test import Client
    from django.test.utils import override_settings

    from organizations import ulid
    from organizations.models import Organization, User

    largest = Organization.objects.get(name="Log 1")
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT id FROM audit_ledger ORDER BY id OFFSET %s LIMIT 1", [entries // 2])
        [key] = cursor.fetchone()
    client = Client()
    client.force_login(User.objects.get(email=log.OWNER))
    with override_settings(ROOT_URLCONF="benchmarks.stock_admin", **_OPEN):
        for name, (ours, theirs) in pages(ulid.to_text(key), entries // 100).items():
            ours = ours.replace("organization=", f"organization={largest.slug}", 1)
            paths = {
                "ours": f"/admin/audit/entry/{ours}",
                "auditlog": f"/stock/auditlog/logentry/{theirs}",
            }
            seconds: dict[str, list[float]] = {who: [] for who in paths}
            for repetition in range(repetitions + 1):
                for who, path in paths.items():
                    if sum(seconds[who]) < SLOW:
                        elapsed = ask(client, path)
                        if repetition:  # the first one warms up
                            seconds[who].append(elapsed)
            ms = {who: statistics.median(times) * 1000 for who, times in seconds.items()}
            shown = f"{ms['ours']:8.1f} ms   django-auditlog {ms['auditlog']:9.1f} ms"
            report.figure(f"{name:<32}", shown, ms["ours"], None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admin_list", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the log (1,000,000)")
    parser.add_argument("--data-dir", type=Path, required=True, help="where the log is kept")
    parser.add_argument("--repetitions", type=int, default=20, help="of each page (20)")
    options = parser.parse_args()
    if importlib.util.find_spec("auditlog") is None:
        parser.error("django-auditlog is not installed; run: make venv-bench")
    os.environ["BENCH_PACKAGES"] = "1"
    report = Report()
    with database.kept(options.data_dir):
        log.ensure(options.entries)
        fill()
        describe_machine()
        report.heading(f"Django admin's list of {options.entries:,} entries, median")
        compare(report, options.entries, options.repetitions)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())
