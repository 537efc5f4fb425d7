"""Evidence over HTTP: checkpoints, tiles and proofs in the formats of C2SP, and packs.

The same views answer below `/api/v1/organizations/{o}/audit` and, for clients of C2SP tlog-tiles,
below `/audit/{ULID}`, which is the origin of the log without its host.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from audit.evidence import reading, signing, tiles, tree
from audit.evidence.reading import Checkpoint
from audit.export import download, pack_requests, packs
from audit.ledger import replica
from audit.models import Entry
from audit.policy import PART_NAMES
from audit.questions import reading as recordings
from audit.questions import tenant_scope, waiting
from audit.questions.periods import TIMES
from dotenv_cloud.api import errors
from dotenv_cloud.api.audit import LogView
from dotenv_cloud.api.schema import asks_the_log, described
from organizations import ulid

NOTE = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
_MISSING = {
    "heads": "This service makes no rounds of heads. Leave it out.",
    "stamp": "This service has no time-stamping authority. Leave it out, or ask whoever runs the"
    " service to set AUDIT_TSA_URL.",
}
"""What is said of a parameter for which the service lacks what it needs."""
FOR_EVER = "private, max-age=31536000, immutable"
"""Of hashes. Not of bundles: entries that retention removes are not given out any more."""


class EvidenceView(LogView):
    is_conditional = False

    def enter(self) -> uuid.UUID:
        """Read what was made of the organization's log, on the primary: a replica may be behind
        the checkpoint that another request was given."""
        replica.stay_on_primary()
        tenant_scope.enter([self.organization.pk])
        return self.organization.pk

    def newest(self) -> Checkpoint:
        """The checkpoint that was signed last, which is kept. Raises a 404 if there is none."""
        found = reading.newest(self.organization.pk)
        if found is None:
            raise _no_checkpoint()
        reading.keep(found)
        return found

    def mismatch(self, error: reading.MismatchError) -> Response:
        """What to answer, and to record, where the log is not as it was sealed."""
        recordings.record_mismatch(self.organization, error.seq)
        said = f"Evidence is refused: {error}. This was recorded; tell whoever runs the service."
        return Response({"error": "evidence_mismatch", "message": said}, status=500)


class CurrentCheckpoint(EvidenceView):
    @described("Show the log's newest signed checkpoint", answer=None)
    def get(self, request: Request, organization: str) -> HttpResponse:
        self.enter()
        return HttpResponse(self.newest().note, content_type=NOTE)


class OneTile(EvidenceView):
    """Hashes, which never change, or a bundle of entries' leaf data, which is recorded as read."""

    is_unlimited = True

    @described("Fetch a tile of the log's tree, or a bundle of entries", answer=None)
    def get(self, request: Request, organization: str, tile: str) -> HttpResponse | Response:
        wanted = tiles.parse(tile)
        if wanted is None:
            raise errors.not_found("tile")
        key = self.enter()
        size = reading.size(key)
        if tiles.width_at(size, wanted.level or 0, wanted.number) < wanted.width:
            raise errors.not_found("tile")
        if wanted.level is not None:
            content = reading.Tree(key).tile(wanted.level, wanted.number)
            response = self.unless_known_bytes(request, content[: wanted.width * tree.HASH])
            response["Cache-Control"] = FOR_EVER
            return response
        first = wanted.number * tiles.WIDTH
        try:
            leaves = list(reading.leaves(key, first, first + wanted.width))
        except reading.MismatchError as error:
            return self.mismatch(error)
        data = [each.data for each in leaves if each.data is not None]
        if len(data) < len(leaves):
            raise errors.ApiError(
                410,
                "removed",
                "Entries of this bundle were removed under retention. The tile has their hashes.",
            )
        recordings.record_view(self.organization)
        return self.unless_known_bytes(request, tiles.bundle(data))

    @staticmethod
    def unless_known_bytes(request: Request, content: bytes) -> HttpResponse:
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        known = parse_etags(request.headers.get("If-None-Match", ""))
        if "*" in known or tag in (each.removeprefix("W/") for each in known):
            response = HttpResponse(status=304)
        else:
            response = HttpResponse(content, content_type=BYTES)
        response["ETag"] = tag
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        said = response.get("Cache-Control")
        finished = super().finalize_response(request, response, *args, **kwargs)
        if said == FOR_EVER:
            finished["Cache-Control"] = said
        return finished


class Proof(EvidenceView):
    @described("Prove that an entry is in the log", answer=None)
    def get(self, request: Request, organization: str, entry: str) -> HttpResponse | Response:
        log = self.enter()
        key = ulid.parse_or_none(entry)
        mine = Entry.objects.visible([log])
        found = mine.filter(pk=key).first() if key else None
        if found is None:
            raise errors.not_found("entry")
        checkpoint = reading.newest(log, at_least=found.seq) if found.seq else None
        if checkpoint is None or found.seq is None:
            raise _not_sealed_yet("The entry has no proof yet")
        reading.keep(checkpoint)
        try:
            [leaf] = reading.leaves(log, found.seq - 1, found.seq)
        except reading.MismatchError as error:
            return self.mismatch(error)
        recordings.record_view(self.organization, entry=found)
        return HttpResponse(reading.proof_of(leaf, checkpoint), content_type=NOTE)


class Consistency(EvidenceView):
    @described(
        "Prove that the log only grew since it had a size",
        answer=None,
        parameters=[OpenApiParameter("old", int, required=True, description="That size.")],
    )
    def get(self, request: Request, organization: str) -> HttpResponse:
        old = number_in(request, "old", "Give the size that the log had, a whole number.")
        self.enter()
        checkpoint = self.newest()
        if old > checkpoint.size:
            raise errors.invalid(
                {
                    "old": [
                        f"The newest checkpoint has {checkpoint.size} entries, which is less than"
                        f" {old}. If one with more was signed before, the log was set back."
                    ]
                }
            )
        return HttpResponse(reading.consistency(old, checkpoint), content_type=NOTE)


class Keys(EvidenceView):
    @described("List the public keys that the log's checkpoints were signed with", answer=None)
    def get(self, request: Request, organization: str) -> HttpResponse:
        name = signing.origin(self.organization.pk, reading.fork(self.organization.pk))
        lines = "".join(f"{vkey}\n" for vkey in reading.vkeys(name))
        return HttpResponse(lines, content_type=NOTE)


class Evidence(EvidenceView):
    abilities: ClassVar = {"GET": "audit:export"}
    is_atomic = False
    known = ("kind", "heads", "stamp", "redact", "closed")

    @asks_the_log(
        "Export entries with what proves them",
        answer=None,
        parameters=[
            OpenApiParameter(
                "kind",
                str,
                enum=[*packs.KINDS],
                description="range: every entry of the log, or of a time, the default without"
                " filters; leaves: those that match, and the leaf data of all others, of that time"
                " if one is given; filter: those that match, and a walk of the index, the default"
                " where it can prove the answer.",
            ),
            OpenApiParameter(
                "closed",
                bool,
                description="Leave out what follows the last full block of 256 entries, which"
                " shows the leaf data of other things: for somebody outside. Nothing is claimed of"
                " it then.",
            ),
            OpenApiParameter(
                "heads",
                bool,
                description="Wait for the next round of `heads`, a minute at most, and show that"
                " the checkpoint is the one head of the log in it.",
            ),
            OpenApiParameter(
                "stamp",
                bool,
                description="Have the checkpoint stamped by the service's time-stamping authority.",
            ),
            OpenApiParameter(
                "redact",
                str,
                description="Parts to withhold from each entry, comma-separated: "
                f"{', '.join(PART_NAMES)}. What the leaf commits to of them stands in their place,"
                " so the pack proves the same. The detail of entries about the log itself stays.",
            ),
        ],
    )
    def get(self, request: Request, organization: str) -> Any:
        filters = [name for name in request.query_params if name not in (*self.known, "tz")]
        kind = request.query_params.get("kind") or ("" if filters else "range")
        is_range = not {*filters} - {*TIMES}
        if (
            kind not in ("", *packs.KINDS)
            or (kind == "range" and not is_range)
            or (kind in ("filter", "leaves") and not filters)
        ):
            raise errors.invalid(
                {
                    "kind": [
                        "Use filter or leaves for what filters find, or range for the whole log or"
                        " a time of it, which takes no other filters."
                    ]
                }
            )
        in_heads = _is_wanted(request, "heads", settings.AUDIT_HEADS_SECONDS > 0)
        is_stamped = _is_wanted(request, "stamp", bool(settings.AUDIT_TSA_URL))
        try:
            pack = pack_requests.make(
                self.organization,
                lambda: self.question(request, whole=True) if filters else None,
                kind,
                in_heads=in_heads,
                is_stamped=is_stamped,
                is_closed=_is_wanted(request, "closed", True),
                redacted=_redacted(request),
            )
        except pack_requests.NotProvableError:
            raise errors.invalid(
                {
                    "kind": [
                        "The index cannot prove the answer to this question: it knows paths, ids of"
                        " actors, actions, types, results and interfaces. Use leaves."
                    ]
                }
            ) from None
        except pack_requests.TooFewError:
            message = "The log has no full block of 256 entries yet, so a closed pack has nothing."
            raise errors.invalid({"closed": [message]}) from None
        except pack_requests.NothingSignedError:
            raise _no_checkpoint() from None
        except pack_requests.NotSealedError:
            raise _not_sealed_yet("The request for this pack is recorded, but not sealed") from None
        except pack_requests.NotStampedError as error:
            raise errors.ApiError(503, "no_time_stamp", f"No time stamp: {error}.") from None
        except waiting.TooManyWaitingError as full:
            raise errors.too_many(full, "too_many_waiting", waiting.RETRY_SECONDS) from None
        except download.TooManyExportsError as full:
            raise errors.too_many(full, "too_many_exports", download.RETRY_SECONDS) from None
        return pack_requests.answer(self.organization, pack)


def _redacted(request: Request) -> list[str]:
    """The parts to withhold, in order."""
    given = {name for text in request.query_params.getlist("redact") for name in text.split(",")}
    for name in sorted(given - {*PART_NAMES, ""}):
        raise errors.invalid(
            {"redact": [f"{name!r} is not a part. Use any of {', '.join(PART_NAMES)}."]}
        )
    return [name for name in PART_NAMES if name in given]


def _is_wanted(request: Request, name: str, is_there: bool) -> bool:
    """Whether a parameter says true. Raises a 422 if the service does not have what it is for."""
    given = request.query_params.get(name, "false")
    if given not in ("true", "false"):
        raise errors.invalid({name: ["Give true or false."]})
    if given == "true" and not is_there:
        raise errors.invalid({name: [_MISSING[name]]})
    return given == "true"


def number_in(request: Request, name: str, otherwise: str, *, is_needed: bool = True) -> int:
    """A number in the query string; 0 where it is not given and not needed."""
    given = request.query_params.getlist(name)
    if not given and not is_needed:
        return 0
    if len(given) != 1 or not re.fullmatch("0|[1-9][0-9]{0,15}", given[0]):
        raise errors.invalid({name: [otherwise]})
    return int(given[0])


def _no_checkpoint() -> errors.ApiError:
    return errors.ApiError(
        404,
        "no_checkpoint",
        "Nothing was signed yet. The log is signed about a second after its first entry is sealed,"
        " if the service has a signing key.",
    )


def _not_sealed_yet(what: str) -> errors.ApiError:
    return errors.ApiError(
        409,
        "not_sealed_yet",
        f"{what}: entries are sealed, and the log is signed, about a second later. Ask again.",
        headers={"Retry-After": "1"},
    )


@require_safe
def installation_keys(request: HttpRequest) -> HttpResponse:
    """`/.well-known/dotenv-audit-keys`: the notes in which this installation's keys are announced,
    each signed by the key before. The same for everybody."""
    announced = "\n".join(key.announcement for key in reading.signing_keys())
    return HttpResponse(announced, content_type=NOTE, headers=errors.HEADERS)
