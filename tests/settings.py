"""The service's settings, in their shape for tests however pytest was started."""

from __future__ import annotations

import os

os.environ.setdefault("DOTENV_TEST", "1")

from dotenv_cloud.settings import *  # noqa: E402, F403
