"""Witnesses over HTTP: who they are, their cosignatures, what others have seen, and `heads`.

`heads` is the log of the whole installation; a leaf of it is asked for with the organization's own
place in it, and its tree is hashes alone, so no organization learns of another.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from audit.evidence import equivocation, heads, notes, reading, tiles, tree, witnesses
from audit.evidence.equivocation import Seen
from audit.evidence.reading import Checkpoint
from audit.models import Witness
from audit.questions import reading as recordings
from dotenv_cloud.api import bodies, errors, resources
from dotenv_cloud.api.base import data, no_content
from dotenv_cloud.api.evidence import FOR_EVER, NOTE, EvidenceView, OneTile, number_in
from dotenv_cloud.api.schema import described
from organizations import ulid

MOST_ROUNDS = 200


class Witnesses(EvidenceView):
    abilities: ClassVar = {"GET": "audit:read", "POST": "audit:manage"}

    @described("List the witnesses of the log", answer="WitnessList")
    def get(self, request: Request, organization: str) -> Response:
        self.enter()
        seen = _seen(self.organization.pk)
        return Response({"data": [shown(each, seen) for each in _of(self.organization)]})

    @described("Add a witness", body=bodies.WitnessBody, answer="Witness", status=201)
    def post(self, request: Request, organization: str) -> Response:
        body = bodies.read(request, bodies.WitnessBody)
        try:
            made = witnesses.add(self.organization, body["vkey"])
        except witnesses.RefusedError as error:
            raise errors.invalid({"vkey": [str(error)]}) from None
        self.enter()
        return data(shown(made, _seen(self.organization.pk)), 201)


class OneWitness(EvidenceView):
    abilities: ClassVar = {"DELETE": "audit:manage"}

    @described("Remove a witness", answer=None, status=204)
    def delete(self, request: Request, organization: str, witness: str) -> Response:
        key = ulid.parse_or_none(witness)
        found = _of(self.organization).filter(pk=key).first() if key else None
        if found is None:
            raise errors.not_found("witness")
        witnesses.remove(found)
        return no_content()


def _of(organization: Any) -> Any:
    return Witness.objects.filter(organization=organization)


LastSeen = Mapping[str, tuple[int, dt.datetime | None]]
"""By key: the size of the largest checkpoint that a witness saw, and when it did last."""


def _seen(log: uuid.UUID) -> LastSeen:
    return {each.vkey: (size, each.seen_at) for each, size in witnesses.last_seen(log)}


def shown(witness: Witness, seen: LastSeen) -> dict[str, Any]:
    """A witness as the API shows it."""
    size, at = seen.get(witness.vkey, (0, None))
    witness.last_size = size  # type: ignore[attr-defined]
    witness.last_seen_at = at  # type: ignore[attr-defined]
    return resources.WitnessItem.show(witness)


class Cosignatures(EvidenceView):
    abilities: ClassVar = {"POST": "audit:read"}

    @described("Send cosignatures on a checkpoint", body=bodies.CheckpointBody, answer="Cosigned")
    def post(self, request: Request, organization: str) -> Response:
        note = bodies.read(request, bodies.CheckpointBody)["checkpoint"]
        opened = notes.opened(note)
        if opened is None:
            raise errors.invalid({"checkpoint": [_NOT_A_NOTE]})
        log = self.enter()
        try:
            return data({"kept": witnesses.cosign(log, *opened)})
        except witnesses.RefusedError as error:
            raise errors.invalid({"checkpoint": [str(error)]}) from None


class SeenCheckpoint(EvidenceView):
    abilities: ClassVar = {"POST": "audit:read"}

    @described("Show a checkpoint that you kept", body=bodies.CheckpointBody, answer="Seen")
    def post(self, request: Request, organization: str) -> Response:
        note = bodies.read(request, bodies.CheckpointBody)["checkpoint"]
        self.enter()
        try:
            outcome, size, is_new = equivocation.compare(self.organization, note)
        except equivocation.NotOursError as error:
            raise errors.invalid({"checkpoint": [str(error)]}) from None
        if is_new:
            recordings.record_fork(self.organization, size)
        if outcome is Seen.STOPPED:
            # An answer, not an exception: what was noted stays.
            said = (
                f"This service signed a checkpoint of {size} entries that the log does not"
                " continue: it was set back, or shown differently. It is not signed any more; keep"
                " the checkpoint."
            )
            return Response({"error": "log_not_continued", "message": said}, status=409)
        return data({"outcome": str(outcome), "size": size})


_NOT_A_NOTE = "Send a signed note: the checkpoint, an empty line, and a line for each signature."


# -- The log of heads


class _HeadsView(EvidenceView):
    def newest_heads(self) -> Checkpoint:
        self.enter()
        found = reading.newest(notes.HEADS)
        if found is None:
            raise errors.ApiError(404, "no_checkpoint", "There was no round of heads yet.")
        reading.keep(found)
        return found


class Rounds(_HeadsView):
    @described(
        "Show where the log's head is in rounds of `heads`",
        answer="Rounds",
        parameters=[
            OpenApiParameter(
                "since",
                int,
                description=f"The first round wanted; {MOST_ROUNDS} at most are answered."
                " Without it, the newest.",
            )
        ],
    )
    def get(self, request: Request, organization: str) -> Response:
        since = number_in(request, "since", "Give the number of a round.", is_needed=False)
        log = self.enter()
        checkpoint = reading.newest(notes.HEADS)
        if checkpoint is None:
            return Response({"data": [], "meta": {"rounds": 0}})
        reading.keep(checkpoint)
        found = heads.rounds(log, since=since, most=MOST_ROUNDS if since else 1)
        answered = []
        for each in found:
            head = reading.of_size(log, each.size)
            if head is not None and each.number <= checkpoint.size:
                answered.append(
                    {
                        "round": each.number,
                        "size": each.size,
                        "checkpoint": head.note,
                        "proof": heads.proof_of(each, checkpoint),
                    }
                )
        return Response({"data": answered, "meta": {"rounds": checkpoint.size}})


class HeadsCheckpoint(_HeadsView):
    @described("Show the newest signed checkpoint of `heads`", answer=None)
    def get(self, request: Request, organization: str) -> HttpResponse:
        return HttpResponse(self.newest_heads().note, content_type=NOTE)


class HeadsConsistency(_HeadsView):
    @described(
        "Prove that `heads` only grew since it had a size",
        answer=None,
        parameters=[OpenApiParameter("old", int, required=True, description="That size.")],
    )
    def get(self, request: Request, organization: str) -> HttpResponse:
        old = number_in(request, "old", "Give the size that the log had, a whole number.")
        checkpoint = self.newest_heads()
        if old > checkpoint.size:
            raise errors.invalid({"old": [f"The newest checkpoint has {checkpoint.size} rounds."]})
        return HttpResponse(reading.consistency(old, checkpoint), content_type=NOTE)


class HeadsTile(_HeadsView):
    is_unlimited = True

    @described("Fetch a tile of the tree of `heads`", answer=None)
    def get(self, request: Request, organization: str, tile: str) -> Any:
        wanted = tiles.parse(tile)
        self.enter()
        size = reading.size(notes.HEADS)
        if (
            wanted is None
            or wanted.level is None
            or tiles.width_at(size, wanted.level, wanted.number) < wanted.width
        ):
            raise errors.not_found("tile")
        content = reading.Tree(notes.HEADS).tile(wanted.level, wanted.number)
        response = OneTile.unless_known_bytes(request, content[: wanted.width * tree.HASH])
        response["Cache-Control"] = FOR_EVER
        return response
