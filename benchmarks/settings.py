"""The service's settings, with the benchmark's own tables beside the service's.

BENCH_PACKAGES=1 adds the other audit packages. They are kept out of the first measurement: some
of them listen to every save of every model, and would slow down what they are compared with.
"""

from __future__ import annotations

import os

from dotenv_cloud.settings import *  # noqa: F403
from dotenv_cloud.settings import DATABASES, INSTALLED_APPS

WITH_PACKAGES = os.environ.get("BENCH_PACKAGES") == "1"

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks.subjects"]
SILENCED_SYSTEM_CHECKS = ["auth.W004"]

# One connection, kept: opening them is not part of what is measured.
DATABASES["default"]["OPTIONS"].pop("pool", None)
DATABASES["default"]["CONN_MAX_AGE"] = None

if WITH_PACKAGES:
    INSTALLED_APPS += ["auditlog", "simple_history", "pgtrigger", "pghistory", "easyaudit"]
    PGTRIGGER_MIGRATIONS = False
    PGTRIGGER_INSTALL_ON_MIGRATE = False
    DJANGO_EASY_AUDIT_REGISTERED_CLASSES = [
        "subjects.EasyAudit",
        "subjects.EasyAuditSecret",
        "subjects.EasyAuditSecretVersion",
    ]
    DJANGO_EASY_AUDIT_WATCH_AUTH_EVENTS = False
    DJANGO_EASY_AUDIT_WATCH_REQUEST_EVENTS = False
