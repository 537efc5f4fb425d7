"""A pack: entries of a log with what proves them, for whoever does not trust this server.

A zip, written as it is sent. `range` has the line of every entry, `leaves` that of those which a
question finds and of all others the leaf data alone, so that nobody has to believe that nothing was
left out. `filter` has the lines of entries with one of some keys in a window of time, and a walk of
the index which shows that there are no others. The first two have the same window where one is
asked for: then they hold the blocks that touch it, and the walk shows that these are all. All of
them cover the log from its first entry to the checkpoint, which covers the entry of the request for
the pack: whatever was written before is in it. A closed pack ends with the last full block, as what
follows is shown to whoever gets another.
"""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
import uuid
import zipfile
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from audit import context
from audit.entry import as_json
from audit.evidence import heads, index, notes, reading, tree, walking
from audit.evidence.reading import Checkpoint
from audit.export import download
from audit.models import Entry
from audit.policy import Result
from audit.questions import reading as recordings
from audit.questions import tenant_scope
from audit.questions.filters import EntryFilter
from audit.questions.provable import EVER, Provable, window_of
from audit.retention.archived import Archived
from organizations import clock
from organizations.models import Organization

FORMAT = "evidence"
"""What exports of this kind are recorded as."""
A_FILE = 65_536
"""Numbers whose lines are in one file."""
KINDS = ("range", "leaves", "filter")
MOST_OPENED = 1_000
"""Blocks that a pack opens where nobody asked for that kind: one of all leaves is made sooner."""
_REASONS = ("evidence_began", "remove")
"""Entries that say why a number has no entry."""

_README = """\
Evidence of the log {origin},
{size} entries, as the signed checkpoint in this file has them.

To check it without the server that made it, with the plain install of dotenv-cloud:

    dotenv audit verify THIS_FILE --key KEY

KEY is the public key of the log, which you should have from somewhere else than this file: from
whoever runs the service, or from an earlier day. Without it, nothing here proves who signed.
"""


def asked_at(request: uuid.UUID, organization: uuid.UUID) -> tuple[int, Checkpoint] | None:
    """The number of the export's own entry, and a checkpoint that covers it; None until there is
    one. Within the tenant scope."""
    entry = (
        Entry.objects.visible([organization])  # type: ignore[attr-defined]
        .of_request(request)
        .filter(action="export", is_sealed=True)
        .first()
    )
    if entry is None:
        return None
    checkpoint = reading.first(organization, at_least=entry.seq)
    return (entry.seq, checkpoint) if checkpoint else None


_File = tuple[str, Iterable[bytes]]


class Pack(Iterator[bytes]):
    """The bytes of a pack, which enters its own end as other exports do."""

    def __init__(
        self,
        organization: Organization,
        asked: EntryFilter | None,
        checkpoint: Checkpoint,
        request: int,
        proved: Provable | None = None,
        redacted: Collection[int] = (),
        archived: Archived | None = None,
        *,
        is_range: bool = False,
        is_closed: bool = False,
    ) -> None:
        """asked: the question; None for the whole log. proved: of a `filter`, what the index is
        asked. request: the number of the entry that says that the pack was asked for. redacted:
        parts that are withheld; archived: what archives have of entries that left. is_range: every
        entry of the question's window, whatever else it asks. is_closed: without the tail. Within
        the tenant scope. Raises TooManyExportsError."""
        self._leave = download.take_place(self, [organization])
        self._organization, self._asked, self._checkpoint = organization, asked, checkpoint
        self._proved, self._request = proved, request
        self._is_range, self._is_closed = is_range or asked is None, is_closed
        window = window_of(asked) if asked is not None else EVER
        self._window = window if window != EVER or is_closed else None
        self._who, self._origin = context.actor(), context.origin()
        self._redacted, self._archived = redacted, archived
        self._shown = 0
        self._lacks_entries = False
        self._vkeys = reading.vkeys(checkpoint.origin)
        self._parts = self._written()
        self._has_ended = False
        reading.keep(checkpoint)

    @property
    def checkpoint(self) -> Checkpoint:
        return self._checkpoint

    @property
    def asked(self) -> EntryFilter | None:
        return self._asked

    @property
    def kind(self) -> str:
        return "filter" if self._proved else "range" if self._is_range else "leaves"

    def __next__(self) -> bytes:
        try:
            return next(self._parts)
        except StopIteration:
            self._record_end(Result.SUCCESS)
            raise
        except reading.MismatchError as error:
            record_mismatch(self._organization, error)
            self._record_end(Result.FAILED, reason="broken")
            raise
        except Exception:
            self._record_end(Result.FAILED, reason="broken")
            raise

    def close(self) -> None:
        """Called when the answer is over, also when its reader has gone away."""
        self._parts.close()
        self._record_end(Result.FAILED, reason="cut_off")

    def _written(self) -> Generator[bytes, None, None]:
        out = _Out()
        now = clock.now()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as pack:
            size = self._checkpoint.size
            pack.writestr(_member("checkpoint", now), self._checkpoint.note.encode())
            readme = _README.format(origin=self._checkpoint.note.split("\n", 1)[0], size=size)
            pack.writestr(_member("README.txt", now), readme.encode())
            yield out.taken()
            if self._proved is not None:
                parts = self._answer(self._proved)
            elif self._window is not None:
                parts = self._in_window(*self._window)
            else:
                parts = self._all()
            for name, pieces in parts:
                with pack.open(_member(name, now), "w") as file:
                    for piece in pieces:
                        file.write(piece)
                        yield out.taken()
                yield out.taken()
            contents = self._said()
            if removed := self._removed():
                pack.writestr(_member("removed.json", now), removed)
            with self._reading():
                further = heads.files(self._checkpoint)
            for name, data in further.items():
                pack.writestr(_member(name, now), data)
            pack.writestr(_member("pack.json", now), as_json.canonical_line(contents).encode())
        yield out.taken()

    def _said(self) -> dict[str, Any]:
        """What `pack.json` says: what to look for, and nothing that anybody has to believe."""
        said: dict[str, Any] = {"kind": self.kind, "v": 1, "vkeys": self._vkeys}
        window = self._proved[1:] if self._proved else self._window
        if window is None:
            said |= {"edge": [], "entries": self._checkpoint.size, "first": 0}
        else:
            said |= {"since": window[0], "until": window[1]}
        if self._is_closed:
            said["closed"] = True
        elif window is None or self._request > self._tail:
            said["request"] = self._request
        if self._proved is not None:
            keys = self._proved.keys
            said["key"] = keys[0] if len(keys) == 1 else list(keys)
        elif self.kind == "leaves" and self._asked is not None:
            said["question"] = {name: list(texts) for name, texts in self._asked.params.items()}
        return said

    @property
    def _tail(self) -> int:
        """How many entries are before the tail."""
        return max(self._checkpoint.size - 1, 0) // index.BLOCK * index.BLOCK

    def _all(self) -> Iterator[_File]:
        size = self._checkpoint.size
        for first in range(0, size, A_FILE):
            yield file_name(first), self._lines(first, min(size, first + A_FILE))

    def _in_window(self, since: int, until: int) -> Iterator[_File]:
        """The files of a window: all entries of the blocks that touch it, the tail, the walk that
        shows that there are no other blocks, and the path from all of it to the root."""
        log, size, tail = self._organization.pk, self._checkpoint.size, self._tail
        walk = walking.Walk(log, size, (), since, until)
        with self._reading():
            for _ in walk.steps(walk.zones()):
                pass
        yield "zones.json", [json.dumps(walk.items, separators=(",", ":")).encode()]
        spans: list[tuple[int, int]] = []
        for block in walk.here:
            start, end = block * index.BLOCK, (block + 1) * index.BLOCK
            adjoins = spans and spans[-1][1] == start and start % A_FILE
            spans.append((spans.pop()[0] if adjoins else start, end))
        for start, end in spans:
            yield file_name(start), self._lines(start, end)
        with self._reading():
            matching = self._matching(tail, size) if self.kind == "leaves" else None
            found = list(self._leaves(tail, tail + 1 if self._is_closed else size))
        lines: list[bytes] = []
        for each in found:
            self._lacks_entries = self._lacks_entries or each.parts is None
            is_wanted = each.data is not None and not each.is_removed and not self._is_closed
            is_shown = is_wanted and (
                each.seq in matching if matching is not None else since <= each.time() < until
            )
            self._shown += is_shown
            if is_shown:
                lines.append(each.line(self._redacted))
            else:
                lines.append(each.line() if each.data is None else each.data)
        yield "tail.ndjson", [line + b"\n" for line in lines]
        with self._reading():
            shown = [*spans, (tail, tail + len(found))]
            proof = tree.outside(reading.Tree(log), size, shown)
        yield "proof", proof

    def _answer(self, proved: Provable) -> Iterator[_File]:
        """The files of a `filter`: what the index names, the tail, the walk, and the path from all
        of it to the root."""
        log, size = self._organization.pk, self._checkpoint.size
        keys = [*dict.fromkeys([*proved.keys, *walking.renamings(proved.keys)])]
        restored = self._archived.restored if self._archived else None
        walk = walking.Walk(log, size, keys, proved.since, proved.until, restored=restored)
        with self._reading():
            steps = walk.steps(walk.zones())
        is_over = False
        while not is_over:
            # Each block in a transaction of its own.
            with self._reading():
                is_over = next(steps, None) is None
        yield "index.json", [json.dumps(walk.items, separators=(",", ":")).encode()]
        wanted = {*keys}
        lines: list[bytes] = []
        for block, numbers in itertools.groupby(
            sorted(walk.named), key=lambda number: (number - 1) // index.BLOCK
        ):
            of_block = {*numbers}
            first = block * index.BLOCK
            with self._reading():
                found = list(self._leaves(first, first + index.BLOCK))
            lines += [each.line(self._redacted) for each in found if each.seq in of_block]
        tail: list[bytes] = []
        with self._reading():
            end = walk.tail + 1 if self._is_closed else size
            for each in self._leaves(walk.tail, end):
                subjects = None if self._is_closed else each.subjects()
                is_shown = subjects is not None and not wanted.isdisjoint(index.keys(subjects))
                if is_shown and each.parts is not None:
                    lines.append(each.line(self._redacted))
                else:
                    tail.append(each.line() if each.data is None else each.data)
                self._lacks_entries = self._lacks_entries or each.is_removed
            shown = [*((number - 1, number) for number in sorted(walk.named)), (walk.tail, end)]
            proof = tree.outside(reading.Tree(log), size, shown)
        self._shown = len(lines)
        yield "entries.ndjson", [line + b"\n" for line in lines]
        yield "tail.ndjson", [line + b"\n" for line in tail]
        yield "proof", proof

    def _leaves(self, after: int, upto: int) -> Iterator[reading.Leaf]:
        found = reading.leaves(self._organization.pk, after, upto)
        return map(self._archived.restored, found) if self._archived else found

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A short transaction within the tenant scope."""
        with transaction.atomic():
            tenant_scope.enter([self._organization.pk])
            yield

    def _lines(self, after: int, upto: int) -> Iterator[bytes]:
        """The lines of these numbers, in parts that are each read in a transaction of its own."""
        while after < upto:
            past = min(upto, after + reading.CHUNK)
            with self._reading():
                found = list(self._leaves(after, past))
                shown = self._matching(after, past) if self.kind == "leaves" else None
            lines = [_line(each, shown, self._redacted) for each in found]
            self._lacks_entries = self._lacks_entries or any(each.parts is None for each in found)
            self._shown += len(found) if shown is None else len(shown)
            yield b"".join(lines)
            after = past

    def _removed(self) -> bytes:
        """Where the pack has numbers without an entry and not every line: the entries that say why,
        each with the path that leads from it to the root."""
        if not self._lacks_entries or (self.kind == "range" and self._window is None):
            return b""
        log = self._organization.pk
        with self._reading():
            numbers = sorted(
                Entry.objects.visible([log])  # type: ignore[attr-defined]
                .filter(action__in=_REASONS, resource_type="audit_log", is_sealed=True)
                .filter(seq__lte=self._checkpoint.size)
                .order_by()
                .values_list("seq", flat=True)
            )
            nodes = reading.Tree(log)
            found = [
                {
                    "line": each.line().decode(),
                    "proof": [
                        notes.in_base64(one)
                        for one in tree.inclusion(nodes, number - 1, self._checkpoint.size)
                    ],
                }
                for number in numbers
                for each in reading.leaves(log, number - 1, number)
            ]
        return json.dumps(found, ensure_ascii=False).encode()

    def _matching(self, after: int, upto: int) -> frozenset[int]:
        """The numbers of those that the question finds."""
        assert self._asked is not None
        between = reading.ids_between(self._organization.pk, after, upto)
        if between is None:
            return frozenset()
        found = self._asked.qs.filter(
            is_sealed=True, id__range=between, seq__gt=after, seq__lte=upto
        )
        return frozenset(found.order_by().values_list("seq", flat=True))

    def _record_end(self, result: Result, reason: str = "") -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._leave()
        with context.acting_from(self._origin, self._who), transaction.atomic():
            recordings.record_end_of_export(
                self._organization,
                FORMAT,
                self._shown,
                result,
                reason,
                size=self._checkpoint.size,
                root=notes.in_base64(self._checkpoint.root),
            )


def file_name(first: int) -> str:
    """Of the file whose first line is that of the entry after this number."""
    return f"entries/{first:012}.ndjson"


def record_mismatch(organization: Organization, error: reading.MismatchError) -> None:
    """Record that an entry is not as it was sealed, whatever becomes of the request."""
    with transaction.atomic():
        recordings.record_mismatch(organization, error.seq)


def _line(found: reading.Leaf, shown: frozenset[int] | None, redacted: Collection[int]) -> bytes:
    if shown is None or found.seq in shown or found.data is None:
        return found.line(redacted) + b"\n"
    return found.data + b"\n"


def _member(name: str, now: dt.datetime) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, now.timetuple()[:6])
    made.compress_type = zipfile.ZIP_DEFLATED
    made.external_attr = 0o644 << 16
    return made


class _Out(io.RawIOBase):
    """What a zip writes to, a piece at a time."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since it was last taken."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def is_quick(organization: uuid.UUID, checkpoint: Checkpoint, proved: Provable) -> bool:
    """Whether few enough blocks of the index have to be opened. Within the tenant scope."""
    walk = walking.Walk(organization, checkpoint.size, proved.keys, proved.since, proved.until)
    return walk.opened(walk.zones()) <= MOST_OPENED
