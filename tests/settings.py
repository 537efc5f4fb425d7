"""The service's settings, in their shape for tests however pytest was started."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("DOTENV_TEST", "1")
# Wherever pytest was started.
os.environ.setdefault("DATA_DIR", str(Path(__file__).parents[1] / ".data"))

from dotenv_cloud.settings import *  # noqa: E402, F403

# Every new client of a test would list the static files anew, a tenth of the suite's time.
WHITENOISE_AUTOREFRESH = True
