"""gunicorn's settings: `gunicorn --config python:dotenv_cloud.gunicorn_config`.

Command-line options win over these, and so do the variables named here.
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
# Recycled now and then, not all at once, so that a leak never grows old.
max_requests = 10_000
max_requests_jitter = 1_000
# The site writes its own line a request, without paths; gunicorn's would quote them.
accesslog = None
logconfig_dict = configuration(os.environ.get("LOG_LEVEL", "INFO"), os.environ.get("LOG_FILE")) | {
    "loggers": {
        "gunicorn.error": {"level": "WARNING", "handlers": [], "propagate": True},
        # Tells of each request that waits for a thread, however shortly.
        "waitress.queue": {"level": "ERROR"},
    }
}
# Where workers count requests for the metrics (dotenv_cloud/observability/metrics.py): each worker
# in the file of its slot, which the next one to have the slot goes on with. A reload
# finds the directory named already.
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


# Its control socket would lie in the home directory, which need not exist.
control_socket_disable = True
