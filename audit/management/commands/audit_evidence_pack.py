"""`manage.py audit_evidence_pack`: a pack that has what left under retention, out of archives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import context
from audit.export import download, pack_requests
from audit.management import naming
from audit.questions import waiting
from audit.questions.asking import ask
from audit.retention.archive import ArchiveError
from audit.retention.archived import Archived
from organizations import ulid


class Command(BaseCommand):
    help = (
        "Write a pack of evidence in which entries that left under retention are shown, out of"
        " their archives: of the whole log, or of a question that the index answers. It verifies as"
        " any other (`dotenv audit verify`). The export is recorded; sealer and evidence worker"
        " have to run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", help="its slug or id")
        parser.add_argument(
            "--archive",
            action="append",
            type=Path,
            required=True,
            metavar="DIR",
            help="an archive, or a directory of archives; repeatable",
        )
        parser.add_argument(
            "--filter",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="as in the API: resource=my-app, action=delete, since=2021-01-01; repeatable",
        )
        parser.add_argument(
            "-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # A request of its own, by which its entry is found.
        origin = replace(context.origin(), request_id=ulid.new())
        with context.acting_from(origin, context.actor()):
            self._make(options)

    def _make(self, options: dict[str, Any]) -> None:
        organization = naming.organization(options["organization"])
        params: dict[str, list[str]] = {}
        for text in options["filter"]:
            name, equals, value = text.partition("=")
            if not equals:
                raise CommandError(f"{text!r} is not NAME=VALUE.")
            params.setdefault(name, []).append(value)
        if params:
            # Views of the log are part of the answer, as in any pack.
            params.setdefault("views", ["true"])
        try:
            archived = Archived(organization.pk, options["archive"])
            pack = pack_requests.make(
                organization,
                lambda: ask([organization], params) if params else None,
                "filter" if params else "range",
                archived=archived,
            )
            with options["output"].open("xb") as file:
                for part in pack:
                    file.write(part)
        except pack_requests.NotProvableError:
            raise CommandError(
                "The index cannot prove the answer to this question: it knows paths, ids of actors,"
                " actions, types, results and interfaces, and times."
            ) from None
        except (pack_requests.NothingSignedError, pack_requests.NotSealedError):
            raise CommandError(
                "The request is not sealed and signed: are sealer and evidence worker running?"
            ) from None
        except (waiting.TooManyWaitingError, download.TooManyExportsError) as full:
            raise CommandError(str(full)) from None
        except (ArchiveError, OSError) as error:
            raise CommandError(f"{error}.") from None
        size = options["output"].stat().st_size
        self.stdout.write(
            f"Wrote {size:,} bytes to {options['output']}: {ulid.to_text(organization.pk)},"
            f" {pack.checkpoint.size:,} entries."
        )
