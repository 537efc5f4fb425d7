"""What gunicorn serves to show what auditing costs: the service without it.

Not the middleware, not the words that go with each write, not the entries of reading. The
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
    from audit import receivers
    from audit.questions import reading
    from organizations.signals import rows_written

    if not rows_written.disconnect(receivers.say_who_writes):
        raise RuntimeError("nobody answered the backend: the audited service would say nothing")
    reading.record_in_each_once_a_minute = _nothing  # type: ignore[attr-defined]
    return made


application = _make_application()
