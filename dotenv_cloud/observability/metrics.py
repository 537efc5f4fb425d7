"""What Prometheus scrapes: requests by route, and the state of the log and its database.

Each worker process counts on its own, in the file of its slot; a scrape, whichever worker answers
it, adds the files up. `gunicorn_config` assigns the slots: a worker that replaces another continues
its file, so that files do not pile up. No label names an organization.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import suppress

import prometheus_client
from django.db import DatabaseError, InterfaceError
from prometheus_client import multiprocess, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit.evidence import health as evidence_health
from audit.ledger import health, replica

FILES = "PROMETHEUS_MULTIPROC_DIR"
SLOT = "METRICS_SLOT"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

if FILES in os.environ:
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        lambda: os.environ.get(SLOT) or os.getpid()
    )

REQUESTS = prometheus_client.Counter(
    "dotenv_http_requests",
    "Responses by method, route and status. 401, 403 and 429 are denials.",
    ["method", "route", "status"],
    registry=None,
)
SECONDS = prometheus_client.Histogram(
    "dotenv_http_request_seconds",
    "Time to respond, without the sending of streamed bodies.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=None,
)

UNREADABLE_HEADERS = prometheus_client.Counter(
    "dotenv_forwarding_headers_unreadable",
    "Requests of unknown clients, as a proxy's X-Forwarded-For or Forwarded cannot be read.",
    ["header"],
    registry=None,
)


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count a response and its time by the template of the route, never by the path."""
    known = method if method in METHODS else "other"
    REQUESTS.labels(known, route, status).inc()
    SECONDS.labels(known, route).observe(seconds)


def exposition() -> bytes:
    """Everything, in Prometheus's text format."""
    registry = prometheus_client.CollectorRegistry()
    if FILES in os.environ:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REQUESTS)
        registry.register(SECONDS)
        registry.register(UNREADABLE_HEADERS)
    registry.register(_OfDatabase())
    return prometheus_client.generate_latest(registry)


class _OfDatabase(Collector):
    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("dotenv_database_up", "1 if the database answers.", labels=["role"])
        found: dict[str, health.State] = {}
        for role, alias in replica.databases().items():
            try:
                found[role] = health.read(alias)
            except (DatabaseError, InterfaceError):
                up.add_metric([role], 0)
            else:
                up.add_metric([role], 1)
        yield up
        if "primary" in found:
            yield from _of_log(found["primary"])
            yield _entries()
            yield from _of_evidence()
        if "replica" in found:
            yield GaugeMetricFamily(
                "dotenv_replica_lag_seconds",
                "How far the replica is behind the primary.",
                found["replica"].lag(found.get("primary")).total_seconds(),
            )


def _of_log(log: health.State) -> Iterator[Metric]:
    gauges: dict[str, tuple[str, dt.timedelta | int]] = {
        "dotenv_audit_sealing_age_seconds": (
            "Time the oldest unsealed entry has been waiting.",
            log.sealing_age,
        ),
        "dotenv_audit_sealer_silence_seconds": (
            "Time since a sealer last checked the inbox, which it does once a second.",
            log.sealer_silence,
        ),
        "dotenv_audit_inbox_entries": (
            f"Entries waiting to be sealed; counted up to {health.MOST_COUNTED:,}.",
            log.unsealed,
        ),
        "dotenv_audit_inbox_bytes": (
            "Size of the inbox on disk, with its indexes.",
            log.inbox_bytes,
        ),
        "dotenv_audit_ledger_bytes": (
            "Size of the ledger on disk, with its indexes.",
            log.ledger_bytes,
        ),
        "dotenv_audit_partitions_ahead_seconds": (
            "Time until the ledger's last partition ends.",
            log.partitions_until - log.now,
        ),
    }
    for name, (what, value) in gauges.items():
        yield GaugeMetricFamily(
            name, what, value.total_seconds() if isinstance(value, dt.timedelta) else value
        )
    yield CounterMetricFamily(
        "dotenv_audit_entries_sealed",
        "All entries ever sealed, including removed ones.",
        log.sealed,
    )


def _of_evidence() -> Iterator[Metric]:
    with suppress(DatabaseError, InterfaceError):  # it went away in between
        found = evidence_health.read()
        yield GaugeMetricFamily(
            "dotenv_audit_head_age_seconds",
            "Time the oldest sealed entry has been waiting to be in its log's tree.",
            found.head_age.total_seconds(),
        )
        yield GaugeMetricFamily(
            "dotenv_audit_signature_age_seconds",
            "Time the oldest sealed entry has been waiting to be under a signed checkpoint.",
            found.signature_age.total_seconds(),
        )
        yield GaugeMetricFamily(
            "dotenv_audit_evidence_silence_seconds",
            "Time since the worker that makes evidence last looked, which it does twice a second.",
            found.silence.total_seconds(),
        )
        yield GaugeMetricFamily(
            "dotenv_audit_unproved_entries",
            "Sealed entries that are not in their log's tree.",
            found.unproved_entries,
        )
        yield GaugeMetricFamily(
            "dotenv_audit_unsigned_logs",
            "Logs whose tree has grown since it was signed.",
            found.unsigned_logs,
        )
        yield GaugeMetricFamily(
            "dotenv_audit_refused_logs",
            "Logs that are not signed, as they are not what was signed: see /health.",
            found.refused_logs,
        )
        yield GaugeMetricFamily(
            "dotenv_audit_stopped_logs",
            "Logs that are not signed, as somebody has a checkpoint that they do not continue.",
            found.stopped_logs,
        )
        if found.round_age is not None:
            yield GaugeMetricFamily(
                "dotenv_audit_round_age_seconds",
                "Time since the last round of the log of heads.",
                found.round_age.total_seconds(),
            )
        if found.witness_age is not None:
            yield GaugeMetricFamily(
                "dotenv_audit_witness_age_seconds",
                "Time since the witness of heads that was not heard of for longest cosigned.",
                found.witness_age.total_seconds(),
            )
        yield GaugeMetricFamily(
            "dotenv_audit_evidence_bytes",
            "Size of trees, salts, index and checkpoints on disk.",
            found.bytes,
        )


def _entries() -> Metric:
    entries = CounterMetricFamily(
        "dotenv_audit_entries",
        "All entries ever sealed, by action and result.",
        labels=["action", "result"],
    )
    with suppress(DatabaseError, InterfaceError):  # it went away in between
        for labels, size in health.entries_by_action().items():
            entries.add_metric(labels, size)
    return entries
