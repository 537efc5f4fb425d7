"""The settings of `benchmarks.unaudited`."""

from __future__ import annotations

from dotenv_cloud.settings import *  # noqa: F403
from dotenv_cloud.settings import MIDDLEWARE

MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith("audit.middleware.")]
