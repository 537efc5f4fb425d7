"""`manage.py audit_coverage`: writes docs/audit-coverage.md, or checks that it is current."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.coverage import declared
from audit.coverage.routes import all_routes


class Command(BaseCommand):
    help = "Write what each model, action and route records to docs/audit-coverage.md."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="write nothing; fail if a route is not mapped or the page is out of date",
        )
        parser.add_argument("--page", type=Path, help="the page (default: docs/audit-coverage.md)")

    def handle(self, *args: Any, **options: Any) -> None:
        page: Path = options["page"] or settings.BASE_DIR / "docs" / "audit-coverage.md"
        routes = all_routes()
        found = list(declared.mistakes(routes))
        if found:
            raise CommandError("\n".join(found))
        text = declared.page(routes)
        if options["check"]:
            if not page.exists() or page.read_text() != text:
                raise CommandError(f"{page} is out of date. Run manage.py audit_coverage.")
            self.stdout.write(f"{len(routes)} routes are mapped, and {page.name} is up to date.")
            return
        page.write_text(text)
        self.stdout.write(f"Wrote {page} ({len(routes)} routes).")
