"""A pack that somebody asks for, by page or API, and what it will prove.

The request is recorded first and the pack is made once that entry is sealed and signed, so that
whatever was written before the request is in it.
"""

from __future__ import annotations

import datetime as dt
import math
import shlex
import uuid
from collections.abc import Callable, Collection
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.http import StreamingHttpResponse

from audit import context
from audit.entry import as_json
from audit.evidence import heads, index, reading
from audit.evidence.reading import Checkpoint
from audit.export import packs
from audit.ledger import replica
from audit.policy import PART_NAMES
from audit.questions import reading as recordings
from audit.questions import tenant_scope, waiting
from audit.questions.filters import EntryFilter
from audit.questions.provable import Provable, provable, unprovable
from audit.retention.archived import Archived
from organizations.models import Organization

SEALED_IN = 15
"""Seconds that a request for a pack waits until its own entry is sealed and signed."""


class NothingSignedError(Exception):
    """The log has no checkpoint."""


class TooFewError(Exception):
    """The log has no full block, so there is nothing before its tail."""


class NotProvableError(Exception):
    """The index cannot prove the answer to this question."""


class NotSealedError(Exception):
    """The request is recorded, but was not sealed and signed in time."""


class NotStampedError(Exception):
    """The authority did not stamp the checkpoint; the message says why."""


def make(
    organization: Organization,
    question: Callable[[], EntryFilter | None],
    kind: str = "",
    *,
    in_heads: bool = False,
    is_stamped: bool = False,
    is_closed: bool = False,
    redacted: Collection[str] = (),
    archived: Archived | None = None,
) -> packs.Pack:
    """question: asks it within the transaction in which it is called; None for the whole log.
    kind: one of packs.KINDS, or whatever proves the answer with the least. in_heads: wait for the
    next round of `heads`; is_stamped: with a time stamp of an authority; is_closed: without the
    entries after the last full block; redacted: names of parts that are withheld; archived: what
    archives have of entries that left. Raises the
    errors above, TooManyWaitingError and TooManyExportsError."""
    replica.stay_on_primary()
    with transaction.atomic():
        asked = question()
        if kind == "filter" and asked is not None and provable(asked) is None:
            raise NotProvableError
        tenant_scope.enter([organization.pk])
        if reading.newest(organization.pk) is None:
            raise NothingSignedError
        if is_closed and reading.size(organization.pk) <= index.BLOCK:
            raise TooFewError
        recordings.record_export(organization, asked, packs.FORMAT, redacted)
    request = context.origin().request_id
    assert request is not None
    number, checkpoint = _wait(organization.pk, request, in_heads=in_heads)
    if is_stamped:
        _stamp(checkpoint)
    with transaction.atomic():
        asked = question()
        tenant_scope.enter([organization.pk])
        proved = _proved(asked, kind, checkpoint)
        numbers = frozenset(map(PART_NAMES.index, redacted))
        return packs.Pack(
            organization,
            asked,
            checkpoint,
            number,
            proved,
            numbers,
            archived,
            is_range=kind == "range",
            is_closed=is_closed,
        )


def answer(organization: Organization, pack: packs.Pack) -> StreamingHttpResponse:
    """The pack as a file. Its headers say which window it is of, and what it cannot prove."""
    response = StreamingHttpResponse(pack, content_type="application/zip")
    size = pack.checkpoint.size
    name = f"{organization.slug}-{size}-{pack.kind}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Audit-Size"] = str(size)
    if pack.asked is not None:
        for header, moment in (
            ("Audit-Since", pack.asked.period.since),
            ("Audit-Until", pack.asked.period.until),
        ):
            if moment is not None:
                response[header] = as_json.rfc3339(moment)
        if lacking := unprovable(pack.asked):
            response["Audit-Unproved"] = ", ".join(lacking)
    response["X-Accel-Buffering"] = "no"
    return response


class Claim(NamedTuple):
    """What a pack of a question will prove, and the options by which it is verified."""

    is_complete: bool
    sentence: str
    options: str


_VERIFIED = ("resource", "actor", "action", "type", "result", "interface")
"""Filters that `dotenv audit verify` has too."""


_NAMES = {"ip": "the IP address", "q": "words in names", "actor": "names of actors"}
"""Filters whose name in a URL is not what people call them."""


def claim(asked: EntryFilter) -> Claim:
    lacking = unprovable(asked)
    if lacking:
        names = " and ".join(_NAMES.get(name, name.replace("_", " ")) for name in lacking)
        return Claim(
            False,
            "Not proved to be complete: each entry in it is in the log as it was sealed, but that"
            " no other answers this question is the word of this server, as the sealed leaf does"
            f" not decide {names}.",
            "",
        )
    given = {name: asked.params[name] for name in _VERIFIED if name in asked.params}
    times = [(name, moment) for name, moment in asked.period._asdict().items() if moment]
    window = "".join(
        f" {'from' if name == 'since' else 'to'} {_moment(moment)}" for name, moment in times
    )
    if not given:
        what = "nothing else happened at all"
    elif given.keys() == {"resource"}:
        what = f"nothing else happened to {' or '.join(given['resource'])}"
    else:
        what = "no other entry answers this question"
    then = " Things are found by the names that they had then." if "resource" in given else ""
    options = [(name, text) for name, texts in given.items() for text in texts]
    options += [(name, _moment(moment)) for name, moment in times]
    return Claim(
        True,
        f"Complete: {what}{window}, as of the entry of your request.{then}",
        "".join(f" --{name} {shlex.quote(text)}" for name, text in options),
    )


def _moment(moment: dt.datetime) -> str:
    return as_json.rfc3339(moment).replace(".000Z", "Z")


def _proved(asked: EntryFilter | None, kind: str, checkpoint: Checkpoint) -> Provable | None:
    """What the index is asked for; None where a pack of leaves is made."""
    proved = provable(asked) if asked is not None and kind in ("", "filter") else None
    if proved is None or kind == "filter":
        return proved
    return proved if packs.is_quick(checkpoint.organization, checkpoint, proved) else None


def _stamp(checkpoint: Checkpoint) -> None:
    # Only here, so that a service without an authority does not load what reads its answers.
    from audit.evidence import stamping

    try:
        stamping.stamp(checkpoint)
    except stamping.StampError as error:
        raise NotStampedError(str(error)) from None


def _wait(organization: uuid.UUID, request: uuid.UUID, *, in_heads: bool) -> tuple[int, Checkpoint]:
    """The number of the request's own entry, and a checkpoint that covers it: of a round, if that
    is wanted."""

    def look(is_last: bool) -> tuple[int, Checkpoint] | None:
        with transaction.atomic():
            replica.stay_on_primary()
            tenant_scope.enter([organization])
            found = packs.asked_at(request, organization)
            if found is None or not in_heads:
                return found
            checkpoint = heads.covering(organization, found[0])
            return (found[0], checkpoint) if checkpoint else None

    seconds = SEALED_IN + (math.ceil(settings.AUDIT_HEADS_SECONDS) if in_heads else 0)
    found = waiting.wait_for(organization, seconds, look)
    if found is None:
        raise NotSealedError
    return found
