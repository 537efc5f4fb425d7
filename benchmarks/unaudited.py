"""What gunicorn serves to tell what auditing costs: the service without it.

Not the middleware, not the backend that writes entries with rows, not the entries of reading. The
guards are switched off in the database (`benchmarks.service`). No one could run it by mistake: the
guards of any other database refuse each of its changes.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.unaudited_settings"


def _nothing(*args: Any, **kwargs: Any) -> None:
    pass


def _make_application() -> Any:
    from django.core.wsgi import get_wsgi_application

    made = get_wsgi_application()
    from audit.questions import reading

    reading.record_in_each_once_a_minute = _nothing  # type: ignore[attr-defined]
    return made


application = _make_application()
