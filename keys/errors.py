"""What the rules of keys and secrets refuse. `code` is the word that clients know it by."""

from __future__ import annotations

from typing import Any, ClassVar


class RuleError(Exception):
    """A rule refused; nothing was changed. The message is for people, the code for programs.

    is_refusal: someone was denied something, which the audit log records.
    """

    code: ClassVar[str]
    is_refusal: ClassVar[bool] = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class GoneError(RuleError):
    """Someone else has deleted it in the meantime."""

    code = "not_found"


class NoActiveKeyError(RuleError):
    """The project has no active key version."""

    code = "no_active_encryption_key"


class ClientManagedError(RuleError):
    """The server does not hold this project's key."""

    code = "client_managed_encryption"


class ServerManagedError(RuleError):
    """The key is the server's; what was asked is for keys of clients."""

    code = "server_managed_encryption"


class RotationInProgressError(RuleError):
    """Another rotation of the same project has not finished."""

    code = "rotation_in_progress"


class RotationMismatchError(RuleError):
    """The client did not bring every blob of the project exactly once."""

    code = "validation_failed"


class KeyProofRequiredError(RuleError):
    """A client-managed write came without the proof of its key."""

    code = "key_proof_required"
    is_refusal = True


class KeyProofMismatchError(RuleError):
    """The proof is not the one of the project's key."""

    code = "key_proof_mismatch"
    is_refusal = True


class InsecureClientKeyError(RuleError):
    """The key is of 32 bytes, so that its proof would open what it encrypts."""

    code = "insecure_client_key"
    is_refusal = True


class KeyVersionConflictError(RuleError):
    """The key was rotated meanwhile."""

    code = "key_version_conflict"


class ContentNotEncryptedError(RuleError):
    """The content is not a blob, and may not be stored as it is."""

    code = "content_not_encrypted"
    is_refusal = True


class ContentUndecryptableError(RuleError):
    """The active key does not open the content."""

    code = "content_undecryptable"


class ContentRequiredError(RuleError):
    """Only the client can bring a version under the active key, and it sent no content."""

    code = "content_required_for_old_key"


class ContentTooLargeError(RuleError):
    """The content is larger than a level may hold."""

    code = "payload_too_large"


class VersionLockedError(RuleError):
    """The version is older than the organization keeps history open."""

    code = "version_locked"
    is_refusal = True


class VersionProtectedError(RuleError):
    """The version is all that is left of a deleted level."""

    code = "version_protected"
