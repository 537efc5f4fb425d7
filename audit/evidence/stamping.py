"""Time stamps of checkpoints by an authority (RFC 3161, ESSCertIDv2 of RFC 5816).

A cosignature says that a witness saw a checkpoint; a stamp of a qualified authority says when it
was there in a way that courts take (eIDAS, Art. 41 and 42). What is stamped is the checkpoint's
text, so `openssl ts -verify` checks it without us. Where requests go is the operator's word alone.
"""

from __future__ import annotations

import datetime as dt
import uuid

from cryptography import x509
from django.conf import settings
from django.db import connections
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from audit.evidence import notes, posting
from audit.evidence.reading import Checkpoint

LONGEST = 60_000
DAY = dt.timedelta(days=1)


class StampError(RuntimeError):
    """The authority did not stamp it, or what it sent does not hold; the message says why."""


def stamp(checkpoint: Checkpoint) -> dt.datetime:
    """Have a checkpoint stamped, and keep the verified stamp; the time in it. Raises StampError."""
    text = notes.text_of(checkpoint.note).encode()
    request = TimestampRequestBuilder().data(text).hash_algorithm(HashAlgorithm.SHA256).build()
    data = _asked(request.as_bytes())
    try:
        response = decode_timestamp_response(data)
        verifier = VerifierBuilder.from_request(request)
        for root in _roots():
            verifier = verifier.add_root_certificate(root)
        verifier.build().verify_message(response, text)
    except (VerificationError, ValueError) as error:
        raise StampError(f"the time stamp does not hold: {error}") from None
    at = response.tst_info.gen_time
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT audit_keep_stamp(%s, %s, %s, %s)",
            [checkpoint.organization, checkpoint.size, data, at],
        )
        if cursor.fetchone() != (True,):
            raise StampError("the checkpoint is not there any more")
    return at


def last(log: uuid.UUID) -> dt.datetime | None:
    """When a checkpoint of the log was stamped last. Within the tenant scope."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT max(stamped_at) FROM audit_stamp WHERE organization_id = %s", [log])
        found: dt.datetime | None = cursor.fetchone()[0]
    return found


def _roots() -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(settings.AUDIT_TSA_CA.read_bytes())
    except (OSError, ValueError) as error:
        raise StampError(f"AUDIT_TSA_CA, {settings.AUDIT_TSA_CA}: {error}") from None


def _asked(request: bytes) -> bytes:
    try:
        answer = posting.post(
            settings.AUDIT_TSA_URL, request, "application/timestamp-query", LONGEST
        )
    except posting.PostError as error:
        raise StampError(f"the authority does not answer: {error}") from None
    if answer.status != 200:
        raise StampError(f"the authority answers {answer.status}")
    return answer.data
