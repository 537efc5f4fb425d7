"""`manage.py audit_erase`: erases parts of entries, for good, with all evidence still holding."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import policy
from audit.evidence.leaf import WITHHELD
from audit.evidence.reading import MismatchError
from audit.management import naming
from audit.retention import BusyError, RetentionError, erasing
from organizations import ulid

TRY_AGAIN = 75
_DEFAULT = ("actor", "origin")


class Command(BaseCommand):
    help = (
        "Erase parts of entries for good: actor (the name of who acted), origin (address, browser,"
        " request), resource (the name of what it is about, if that is no path) and detail (what"
        " changed, and the context). Everything that was signed or given away still verifies;"
        " copies that were given away, backups and archives keep what they have. That it was erased"
        " is recorded in the log. Needs the owner's role (DATABASE_OWNER_URL)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "organization", nargs="?", help="its slug or id; all of them with --again"
        )
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "--seq",
            action="append",
            metavar="N",
            help="number of an entry, or N-M; several with commas",
        )
        which.add_argument(
            "--actor",
            metavar="ID",
            help="all entries of a person or key: actor and origin of what it did, resource and"
            " detail of what is about it",
        )
        which.add_argument(
            "--again",
            action="store_true",
            help="after a restore: erase what was erased since the backup was made, as the file"
            " beside AUDIT_MEMORY says",
        )
        parser.add_argument(
            "--parts",
            metavar="PARTS",
            help=f"with --seq: any of {', '.join(policy.PART_NAMES)} (default:"
            f" {','.join(_DEFAULT)})",
        )
        parser.add_argument(
            "--leaf",
            action="store_true",
            help="with --seq: withhold the whole entry, its path too; only its hash stays",
        )
        parser.add_argument("--reason", help="why, such as a case number; no personal data")
        parser.add_argument("--by", metavar="WHO", help="who requested it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["again"]:
                self._again(options)
            else:
                self._erase(options)
        except BusyError as error:
            raise CommandError(f"{error}.", returncode=TRY_AGAIN) from None
        except (RetentionError, MismatchError) as error:
            raise CommandError(f"{error}.") from error

    def _erase(self, options: dict[str, Any]) -> None:
        if not options["organization"]:
            raise CommandError("Say of which organization: its slug or id.")
        if not options["reason"] or not options["by"]:
            raise CommandError("Give --reason and --by; the log records who requested it and why.")
        organization = naming.organization(options["organization"])
        actor = None
        if options["actor"]:
            if options["parts"] or options["leaf"]:
                raise CommandError("--parts and --leaf go with --seq.")
            actor = ulid.parse_or_none(options["actor"])
            if actor is None:
                raise CommandError(f"{options['actor']!r} is not an id.")
            wanted = erasing.of_actor(organization.pk, actor)
        else:
            parts = _parts(options["parts"], options["leaf"])
            wanted = dict.fromkeys(_numbers(options["seq"]), parts)
        done = erasing.erase(organization.pk, wanted, options["reason"], options["by"])
        self._say(organization.slug, done)
        still = erasing.still_named(organization.pk, done.names) if options["actor"] else []
        if still:
            numbers = ", ".join(map(str, still))
            self.stderr.write(
                f"A name that was erased is still in other parts of entries {numbers}; look at"
                " them, and erase them with --seq if they are about the same person."
            )
        others = erasing.other_logs(organization.pk, actor) if actor else []
        if others:
            names = ", ".join(map(ulid.to_text, others))
            self.stderr.write(f"Other logs know this person too, and keep what they have: {names}.")
        if done.entries:
            self.stdout.write(
                "Backups, archives, and packs and exports that were given away keep what they have."
            )

    def _again(self, options: dict[str, Any]) -> None:
        chosen = None
        if options["organization"]:
            chosen = naming.organization(options["organization"]).pk
        entries = refused = 0
        for log, done in erasing.again(chosen):
            if isinstance(done, RetentionError):
                self.stderr.write(f"{ulid.to_text(log)}: {done}.")
                refused += 1
                continue
            if done.entries:
                self._say(ulid.to_text(log), done)
            entries += done.entries
        if refused:
            raise CommandError("Not everything is erased again; see above.")
        if not entries:
            self.stdout.write("Everything that was erased still is.")

    def _say(self, name: str, done: erasing.Erased) -> None:
        what = "1 entry" if done.entries == 1 else f"{done.entries:,} entries"
        self.stdout.write(
            f"Erased parts of {what} of {name}."
            if done.entries
            else f"Nothing to erase in {name}: there is no such entry, or it was erased before."
        )


def _parts(text: str | None, is_whole: bool) -> frozenset[int]:
    if is_whole:
        if text:
            raise CommandError("--leaf withholds all parts; leave out --parts.")
        return frozenset({WITHHELD})
    names = [name.strip() for name in text.split(",")] if text else _DEFAULT
    for name in names:
        if name not in policy.PART_NAMES:
            raise CommandError(f"{name!r} is not a part. Parts: {', '.join(policy.PART_NAMES)}.")
    return frozenset(map(policy.PART_NAMES.index, names))


def _numbers(texts: list[str]) -> list[int]:
    found: list[int] = []
    for text in (part.strip() for given in texts for part in given.split(",")):
        first, _, last = text.partition("-")
        try:
            low, high = int(first), int(last or first)
        except ValueError:
            raise CommandError(f"{text!r} is not a number, nor a range such as 5-9.") from None
        if not 0 < low <= high or high - low >= 1_000_000:
            raise CommandError(f"{text!r} is not a range of numbers from 1.")
        found += range(low, high + 1)
    return found
