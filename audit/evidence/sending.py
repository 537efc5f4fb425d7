"""Checkpoints that are sent to witnesses, as C2SP tlog-witness has it.

Where they are sent to is the operator's word alone: a setting, or a command on the server. No
redirect is followed, and an answer is bounded in size and time.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import NamedTuple

from django.db import connections, transaction

from audit.evidence import notes, posting, reading, witnesses
from audit.evidence.notes import WitnessKey
from audit.models import Witness

LONGEST = 64 * 1024
AGAIN_AFTER = 300
"""Seconds after which a checkpoint that was cosigned is sent again: a log at rest was seen, too."""


class WitnessError(RuntimeError):
    """A witness did not cosign; the message says why."""


class Recipient(NamedTuple):
    log: uuid.UUID
    key: WitnessKey
    url: str


class Answer(NamedTuple):
    status: int
    body: str


Enter = Callable[[Recipient], None]
"""Opens the tenant scope of a recipient's log in a transaction."""


def recipients() -> list[Recipient]:
    """The witnesses of organizations to which checkpoints are sent."""
    found = Witness.objects.exclude(url="").order_by("organization_id", "id")
    return [
        Recipient(each.organization_id, WitnessKey.parse(each.vkey), each.url) for each in found
    ]


def send(recipient: Recipient, enter: Enter) -> int:
    """Send the newest checkpoint and keep the cosignature; how many were kept. Raises
    WitnessError."""
    old = 0
    with transaction.atomic():
        enter(recipient)
        checkpoint = reading.newest(recipient.log)
        if checkpoint is None or _is_fresh(recipient, checkpoint.size):
            return 0
        reading.keep(checkpoint)
        known = {shown.vkey: size for shown, size in witnesses.last_seen(recipient.log)}
        old = known.get(recipient.key.vkey, 0)
        body = reading.consistency(old, checkpoint)
    answer = _post(recipient.url, body)
    if answer.status == 409 and re.fullmatch(r"(0|[1-9][0-9]{0,15})\n?", answer.body):
        # It knows another size than what is kept here, or forgot.
        old = int(answer.body)
        if old > checkpoint.size:
            raise WitnessError(
                f"it has seen {old:,} entries, and the log has {checkpoint.size:,}: the log was set"
                " back, or somebody else signs it"
            )
        with transaction.atomic():
            enter(recipient)
            body = reading.consistency(old, checkpoint)
        answer = _post(recipient.url, body)
    if answer.status == 409:
        raise WitnessError(
            f"it has another checkpoint of {checkpoint.size:,} entries, or did not take its own"
        )
    if answer.status == 422:
        raise WitnessError("what it saw before is not continued: keep its state, and find out why")
    if answer.status != 200:
        raise WitnessError(f"it answers {answer.status}: {answer.body[:200].strip()}")
    lines = [line for line in answer.body.split("\n") if line]
    with transaction.atomic():
        enter(recipient)
        try:
            return witnesses.cosign(recipient.log, notes.text_of(checkpoint.note), lines)
        except witnesses.RefusedError as error:
            raise WitnessError(str(error)) from None


def _is_fresh(recipient: Recipient, size: int) -> bool:
    """Whether this checkpoint was cosigned a moment ago."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM audit_cosignature WHERE organization_id = %s AND size = %s"
            " AND vkey = %s AND seen_at > now() - make_interval(secs => %s))",
            [recipient.log, size, recipient.key.vkey, AGAIN_AFTER],
        )
        return bool(cursor.fetchone()[0])


def _post(url: str, body: str) -> Answer:
    address = f"{url.rstrip('/')}/add-checkpoint"
    try:
        found = posting.post(address, body.encode(), "text/plain; charset=utf-8", LONGEST)
    except posting.PostError as error:
        raise WitnessError(str(error)) from None
    return Answer(found.status, found.data.decode(errors="replace"))
