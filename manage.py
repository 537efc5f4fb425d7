#!/usr/bin/env python
"""Runs a management command, recorded as coming from it."""

from __future__ import annotations

import os
import sys

# Commands that need no database: the embedded server stays off for them.
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
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dotenv_cloud.settings")
    import django
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from dotenv_cloud.demo import embedded

    try:
        django.setup()
        if settings.EMBEDDED_SERVER and not WITHOUT_DATABASE.intersection(
            sys.argv[1:2] or ["help"]
        ):
            embedded.start(settings.EMBEDDED_SERVER)
    except (ImproperlyConfigured, embedded.EmbeddedError) as error:
        sys.exit(f"{type(error).__name__}: {error}")

    from audit import context

    with context.command(sys.argv):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
