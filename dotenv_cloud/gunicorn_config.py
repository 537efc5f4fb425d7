"""gunicorn's settings: `gunicorn --config python:dotenv_cloud.gunicorn_config`.

Command-line options and the variables named here take precedence.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from dotenv_cloud.observability.logging import configuration

wsgi_app = "dotenv_cloud.wsgi"
bind = os.environ.get("BIND", f"127.0.0.1:{os.environ.get('PORT', '8000')}")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "dotenv_cloud.serving.BufferingWorker"
threads = int(os.environ.get("WEB_THREADS", "8"))
worker_connections = 1000
timeout = 60
graceful_timeout = 20
# Workers are replaced now and then, not all at once, so that a leak cannot grow.
max_requests = 10_000
max_requests_jitter = 1_000
# The site logs one line per request, without paths; gunicorn's lines would quote them.
accesslog = None
logconfig_dict = configuration(os.environ.get("LOG_LEVEL", "INFO"), os.environ.get("LOG_FILE")) | {
    "loggers": {
        "gunicorn.error": {"level": "WARNING", "handlers": [], "propagate": True},
        # It logs each request that waits for a thread, however briefly.
        "waitress.queue": {"level": "ERROR"},
    }
}
# Where workers count requests for the metrics (dotenv_cloud/observability/metrics.py): each worker
# in the file of its slot, which the next worker in that slot continues. On a reload
# the directory is already named.
_OWN = "dotenv-metrics-"
_counts = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix=_OWN)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _counts


def pre_fork(server: Any, worker: Any) -> None:
    taken = {getattr(other, "slot", None) for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)


def post_fork(server: Any, worker: Any) -> None:
    os.environ["METRICS_SLOT"] = str(worker.slot)


def on_exit(server: Any) -> None:
    if os.path.basename(_counts).startswith(_OWN):
        shutil.rmtree(_counts, ignore_errors=True)


# Its control socket would be in the home directory, which may not exist.
control_socket_disable = True
