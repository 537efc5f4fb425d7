"""`/health…` and `/metrics`, for orchestrators, load balancers and Prometheus.

Answered before any other middleware, as probes use the address instead of the host name, come
without TLS and often: no session, no rate limit, no entry. Details need METRICS_TOKEN.
"""

from __future__ import annotations

import datetime as dt
import hmac
import logging
from collections.abc import Callable
from typing import Any

import prometheus_client
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse

from audit.evidence import health as evidence_health
from audit.ledger import health as log_health
from audit.ledger import replica
from dotenv_cloud.observability import metrics

logger = logging.getLogger(__name__)

PARTITIONS_AHEAD = dt.timedelta(days=31)


class ProbeMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = _PROBES.get(request.path_info)
        if probe is None:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
        response = probe(request)
        response.headers["Cache-Control"] = "no-store"
        return response


def live(request: HttpRequest) -> HttpResponse:
    """Whether the process responds. If not, restart it."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    """Whether it can do its work. If not, send it no requests."""
    try:
        log_health.read()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("not ready: %s", _first_line(error))
        return _answer(request, {"database": "The database does not respond."}, {})
    return _answer(request, {}, {})


def health(request: HttpRequest) -> HttpResponse:
    """Whether everything is well. If not, alert an operator."""
    problems: dict[str, str] = {}
    details: dict[str, Any] = {}
    primary: log_health.State | None = None
    for role, alias in replica.databases().items():
        try:
            found = log_health.read(alias)
            evidence = evidence_health.read(alias)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("%s is down: %s", role, _first_line(error))
            problems["database" if role == "primary" else role] = f"The {role} does not respond."
            continue
        if role == "primary":
            primary = found
            details["log"] = _figures(found)
            details["evidence"] = _figures_of_evidence(evidence)
            problems |= _problems(found) | _problems_of_evidence(evidence)
        else:
            lag = found.lag(primary)
            details[role] = {"lag_seconds": round(lag.total_seconds(), 1)}
            if lag > settings.REPLICA_MAX_LAG:
                problems[role] = (
                    f"The replica is {lag.total_seconds():.0f} s behind."
                    " Check its connection to the primary."
                )
    return _answer(request, problems, details)


def _figures(log: log_health.State) -> dict[str, Any]:
    return {
        "sealing_age_seconds": round(log.sealing_age.total_seconds(), 1),
        "sealer_silence_seconds": round(log.sealer_silence.total_seconds(), 1),
        "inbox_entries": log.unsealed,
        "inbox_bytes": log.inbox_bytes,
        "sealed_entries": log.sealed,
        "ledger_bytes": log.ledger_bytes,
        "partitions_until": log.partitions_until.date().isoformat(),
    }


def _problems(log: log_health.State) -> dict[str, str]:
    problems: dict[str, str] = {}
    longest = settings.HEALTH_SEALING_AGE
    if log.sealer_silence > longest:
        problems["sealer"] = (
            f"No sealer has run for {log.sealer_silence.total_seconds():.0f} s."
            " Start `manage.py seal`, or check why it is stuck."
        )
    elif log.sealing_age > longest:
        problems["sealing"] = (
            f"The oldest entry has waited {log.sealing_age.total_seconds():.0f} s to be sealed."
            " A long transaction may be holding it back, or the sealer cannot keep up."
        )
    if log.partitions_until - log.now < PARTITIONS_AHEAD:
        problems["partitions"] = (
            f"The last partition ends on {log.partitions_until:%Y-%m-%d}. The sealer creates them"
            " three months ahead; check that it runs."
        )
    return problems


def _figures_of_evidence(evidence: evidence_health.State) -> dict[str, Any]:
    return {
        "head_age_seconds": round(evidence.head_age.total_seconds(), 1),
        "signature_age_seconds": round(evidence.signature_age.total_seconds(), 1),
        "worker_silence_seconds": round(evidence.silence.total_seconds(), 1),
        "unproved_entries": evidence.unproved_entries,
        "unsigned_logs": evidence.unsigned_logs,
        "refused_logs": evidence.refused_logs,
        "stopped_logs": evidence.stopped_logs,
        "round_age_seconds": _seconds(evidence.round_age),
        "witness_age_seconds": _seconds(evidence.witness_age),
        "bytes": evidence.bytes,
    }


def _seconds(age: dt.timedelta | None) -> float | None:
    return None if age is None else round(age.total_seconds(), 1)


def _problems_of_evidence(evidence: evidence_health.State) -> dict[str, str]:
    longest = settings.HEALTH_SEALING_AGE
    if evidence.silence > longest:
        return {
            "evidence": (
                f"No evidence was made for {evidence.silence.total_seconds():.0f} s."
                " Start `manage.py audit_evidence`, or check why it is stuck."
            )
        }
    if evidence.head_age > longest:
        return {
            "evidence": (
                f"{evidence.unproved_entries:,} sealed entries of {evidence.unproved_logs:,} logs"
                " are not in their trees. The worker is catching up, or leaves a log out: see its"
                " output."
            )
        }
    if evidence.refusal:
        # At once, however long it has been: nobody else will say so.
        return {"signatures": evidence.refusal}
    if evidence.signature_age > longest:
        return {
            "signatures": (
                f"The newest entries of {evidence.unsigned_logs:,} logs are not signed. Check that"
                " the worker has AUDIT_SIGNING_KEYS, and its output."
            )
        }
    return {}


def _answer(
    request: HttpRequest, problems: dict[str, str], details: dict[str, Any]
) -> JsonResponse:
    body: dict[str, Any] = {"status": "failing" if problems else "ok"}
    if _shows_token(request):
        body |= {"problems": problems, **details}
    return JsonResponse(body, status=503 if problems else 200)


def expose_metrics(request: HttpRequest) -> HttpResponse:
    if not settings.METRICS_TOKEN:
        return HttpResponse(
            "Metrics are off. Set METRICS_TOKEN to enable them.\n", "text/plain", 404
        )
    if not _shows_token(request):
        return HttpResponse(
            "Send METRICS_TOKEN as a bearer token.\n",
            "text/plain",
            401,
            headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
        )
    return HttpResponse(metrics.exposition(), prometheus_client.CONTENT_TYPE_LATEST)


def _shows_token(request: HttpRequest) -> bool:
    if not settings.METRICS_TOKEN:
        return False
    shown = request.headers.get("Authorization", "")
    return hmac.compare_digest(shown.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


_PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/health/live": live,
    "/health/ready": ready,
    "/health": health,
    "/metrics": expose_metrics,
}
