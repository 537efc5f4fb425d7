"""What requests carry: read strictly, refused by field name. Shapes only; rules live below."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any, TypeVar

from django.conf import settings
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from dotenv_cloud.api import errors
from keys.abilities import MOST_ABILITIES, MOST_SCOPES
from keys.client_keys import ClientKey
from keys.leaving import KeysOfLeaver
from organizations import roles
from organizations.models import Project

Body = TypeVar("Body", bound=serializers.Serializer)


def read(request: Request, body: type[Body], *, partial: bool = False) -> dict[str, Any]:
    """The validated body; an empty one reads as `{}`. Raises a 422 that names each field."""
    given = request.data
    if not isinstance(given, dict):
        raise errors.invalid({"non_field_errors": ["Send a JSON object."]})
    serializer = body(data=given)
    if partial:
        # What is given is given whole: `partial=True` would let its own parts be left out too.
        for field in serializer.fields.values():
            field.required = False
    serializer.is_valid(raise_exception=True)
    validated: dict[str, Any] = serializer.validated_data
    return validated


class JsonBody(BaseParser):
    """A JSON document of bounded size and structure; whatever cannot be read is a 400, never a
    crash. A small list of objects costs a hundred times its text, so they are counted first."""

    media_type = "application/json"

    @property
    def largest(self) -> int:
        size: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        return size

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        largest = self.largest
        content = stream.read(largest + 1)
        if len(content) > largest:
            raise _too_large(f"The body is larger than {largest:,} bytes.")
        _refuse_costly(content)
        try:
            text = content.decode()
            del content  # of a large body, two copies are enough
            return json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise ParseError from None


class LargeJsonBody(JsonBody):
    """For all blobs of a project at once."""

    @property
    def largest(self) -> int:
        size: int = settings.CLIENT_ROTATION_MAX_BYTES
        return size


MOST_VALUES = 50_000
"""How many values one body may hold: a rotation of as many blobs as it may have comes to 15,000."""

# A string, ended or not, so that each byte is looked at once; or what begins another value.
_VALUE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{,]', re.DOTALL)


def _refuse_costly(content: bytes) -> None:
    """Raise a 413 for what would take far more time or memory to read than its size says."""
    values = (found for found in _VALUE.finditer(content) if found[0] in b"[{,")
    if next(itertools.islice(values, MOST_VALUES, None), None) is not None:
        raise _too_large(f"The body contains more than {MOST_VALUES:,} values.")
    if len(content) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return
    # One wide character makes each of a string take four bytes; an escape, an object of its own.
    is_plain = content.isascii() and b"\\u" not in content
    if not is_plain or content.count(b"\\") > len(content) // 32:
        raise _too_large(
            f"A body larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes may hold nothing"
            " but base64: ASCII, with hardly any escapes."
        )


def _too_large(message: str) -> errors.ApiError:
    return errors.ApiError(413, "payload_too_large", message)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class BoundedList(serializers.ListField):
    """A list with a maximum, which the schema has. Its length is looked at before its items, and
    no item after the tenth wrong one."""

    def __init__(self, child: serializers.Field, max_length: int, **kwargs: Any) -> None:
        super().__init__(child=child, max_length=max_length, **kwargs)
        self.longest = max_length

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > self.longest:
            self.fail("max_length", max_length=self.longest)
        items: list[Any] = super().to_internal_value(data)
        return items

    def run_child_validation(self, data: Any) -> list[Any]:
        valid: list[Any] = []
        wrong: dict[Any, Any] = {}
        for number, item in enumerate(data):
            try:
                valid.append(self.child.run_validation(item))
            except serializers.ValidationError as error:
                wrong[number] = error.detail
                if len(wrong) == errors.MOST_REPORTED:
                    break
        if wrong:
            raise serializers.ValidationError(wrong)
        return valid


class MetadataField(serializers.DictField):
    """An object of the client's own. PostgreSQL keeps no NUL, lone surrogate or infinity."""

    largest = 16_384
    _nul = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        try:
            text = json.dumps(data, allow_nan=False, ensure_ascii=False)
            size = len(text.encode())
        except (ValueError, RecursionError):
            raise serializers.ValidationError("This cannot be stored as JSON.") from None
        if self._nul.search(text):
            raise serializers.ValidationError("NUL characters cannot be stored.")
        if size > self.largest:
            raise serializers.ValidationError(f"Use at most {self.largest:,} bytes of JSON.")
        return data


class RoleField(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        try:
            return roles.parse(super().to_internal_value(data)).value
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None


class AbilitiesField(BoundedList):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(serializers.CharField(max_length=40), MOST_ABILITIES, **kwargs)


class OrganizationBody(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    slug = serializers.CharField(max_length=50, required=False)


class OrganizationChange(OrganizationBody):
    history_retention_days = serializers.IntegerField(
        min_value=1, max_value=36_500, allow_null=True
    )
    member_key_retrieve = serializers.BooleanField()


class MemberBody(serializers.Serializer):
    email = serializers.EmailField(max_length=254)
    role = RoleField()


class MemberChange(serializers.Serializer):
    role = RoleField()


class LeavingBody(serializers.Serializer):
    """What becomes of the API keys that a member made: handed over, unless they are revoked."""

    api_keys = serializers.ChoiceField(list(KeysOfLeaver), required=False)


class TextField(serializers.CharField):
    """Text as it is, white space included. JSON may hold halves of characters; nothing here may."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        text: str = super().to_internal_value(data)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise serializers.ValidationError("This is not valid Unicode text.") from None
        return text


class ProjectBody(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    slug = serializers.CharField(max_length=50, required=False)
    description = serializers.CharField(max_length=1000, allow_blank=True, required=False)
    secret_format = serializers.ChoiceField(Project.SecretFormat.choices, required=False)
    storage_mode = serializers.ChoiceField(Project.StorageMode.choices, required=False)
    encryption_key = serializers.CharField(
        max_length=1024, required=False, write_only=True, trim_whitespace=False
    )
    key_hint = serializers.CharField(max_length=100, allow_blank=True, required=False)
    key_check = TextField(required=False, write_only=True)
    key_check_salt = TextField(required=False, write_only=True)
    key_check_iterations = serializers.IntegerField(required=False, write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """For a client-managed key its proof replaces the key: `client_key` in place of both."""
        proof = {
            name: attrs.pop(name, None)
            for name in ("key_check", "key_check_salt", "key_check_iterations")
        }
        if attrs.pop("storage_mode", None) != Project.StorageMode.CLIENT:
            return attrs
        missing = {
            name: "A client-managed project needs the proof of its key."
            for name, value in proof.items()
            if value is None
        }
        if "encryption_key" in attrs:
            missing["encryption_key"] = "Do not send the key of a client-managed project."
        if missing:
            raise serializers.ValidationError(missing)
        return {**attrs, "client_key": ClientKey.parse(**proof)}


class ProjectChange(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    slug = serializers.CharField(max_length=50)
    description = serializers.CharField(max_length=1000, allow_blank=True)
    metadata = MetadataField()
    secret_versioning = serializers.BooleanField()
    history_policy = serializers.ChoiceField(Project.HistoryPolicy.choices)
    history_retention_days = serializers.IntegerField(
        min_value=1, max_value=36_500, allow_null=True
    )
    strict_encryption = serializers.BooleanField()


class TargetBody(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    slug = serializers.CharField(max_length=50, required=False)
    description = serializers.CharField(max_length=1000, allow_blank=True, required=False)


class EnvironmentBody(TargetBody):
    status = serializers.RegexField(
        r"\A[a-z0-9]+(?:-[a-z0-9]+)*\Z",
        max_length=50,
        required=False,
        error_messages={"invalid": "Use lower-case letters, digits and single hyphens."},
    )
    is_production = serializers.BooleanField(required=False)


class RotationBody(serializers.Serializer):
    history_policy = serializers.ChoiceField(
        Project.HistoryPolicy.choices, required=False, allow_null=True
    )


class ScopeBody(serializers.Serializer):
    permission = serializers.CharField(max_length=40)
    project = serializers.CharField(max_length=50)
    target = serializers.CharField(max_length=50, required=False, allow_null=True)
    environment = serializers.CharField(max_length=50, required=False, allow_null=True)


class ApiKeyBody(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    abilities = AbilitiesField()
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    scoped_permissions = BoundedList(ScopeBody(), MOST_SCOPES, required=False)
    inherit_parents = serializers.BooleanField(required=False)


class LevelBody(serializers.Serializer):
    """Names a level by slugs or ULIDs."""

    project = serializers.CharField(max_length=50)
    target = serializers.CharField(max_length=50, required=False, allow_null=True, allow_blank=True)
    environment = serializers.CharField(
        max_length=50, required=False, allow_null=True, allow_blank=True
    )


MOST_NAMES = 1_000
"""How many variables a request may name."""


class FiltersBody(serializers.Serializer):
    names = BoundedList(
        serializers.CharField(max_length=255), MOST_NAMES, required=False, allow_null=True
    )
    # Blobs have none; clients may send some.
    tags = BoundedList(
        serializers.CharField(max_length=255), MOST_NAMES, required=False, allow_null=True
    )
    search = serializers.CharField(
        max_length=255, required=False, allow_blank=True, allow_null=True
    )


class WordOrFlagField(serializers.CharField):
    """`true`, `"true"` and other words: read as a word in lower case."""

    def to_internal_value(self, data: Any) -> str:
        return str(data).lower() if isinstance(data, bool) else super().to_internal_value(data)


class RetrievalBody(LevelBody):
    action = serializers.ChoiceField(
        ("read", "decrypt", "key:retrieve"), required=False, allow_null=True, allow_blank=True
    )
    filters = FiltersBody(required=False, allow_null=True)
    merge = WordOrFlagField(required=False, allow_null=True, allow_blank=True)
    raw = serializers.BooleanField(required=False)


class StoreBody(LevelBody):
    content = TextField()
    key_proof = TextField(required=False, allow_null=True, allow_blank=True, max_length=200)
    no_backup = serializers.BooleanField(required=False)


class DeleteBody(LevelBody):
    no_backup = serializers.BooleanField(required=False)
    confirmed = serializers.BooleanField(required=False)


class VersionsBody(LevelBody):
    page = serializers.IntegerField(min_value=1, max_value=10_000_000, required=False)
    per_page = serializers.IntegerField(min_value=1, max_value=100, required=False)


class RestoreBody(serializers.Serializer):
    content = TextField(required=False, allow_null=True)
    key_proof = TextField(required=False, allow_null=True, allow_blank=True, max_length=200)


class ForceBody(serializers.Serializer):
    force = serializers.BooleanField(required=False)


class PurgeBody(LevelBody):
    scope = serializers.ChoiceField(("level", "project"), required=False)
    confirmed = serializers.BooleanField(required=False)


def require_confirmed(body: dict[str, Any], why: str) -> None:
    """Raise a 422 unless the body says `confirmed: true`."""
    if not body.get("confirmed"):
        raise errors.invalid({"confirmed": [f"Send true to confirm: {why}."]})


YES, NO = ("true", "1"), ("false", "0")


def flag(name: str, given: Any) -> bool:
    """A boolean of a query or a body, where it may be a word. Raises a 422 naming it."""
    text = str(given if given not in (None, "") else "false").lower()
    if text not in (*YES, *NO):
        raise errors.invalid({name: ["Use true or false."]})
    return text in YES


MOST_BLOBS = 5_000
"""How many blobs a client may bring at once, and so how many a project may have to be rotated."""


class EncryptedBody(serializers.Serializer):
    id = serializers.CharField(max_length=50)
    content = TextField()


class ClientRotationBody(serializers.Serializer):
    secrets = BoundedList(EncryptedBody(), MOST_BLOBS)
    key_check = TextField()
    key_check_salt = TextField()
    key_check_iterations = serializers.IntegerField()
    history_policy = serializers.ChoiceField(
        Project.HistoryPolicy.choices, required=False, allow_null=True
    )
    key_proof = TextField(required=False, allow_null=True, allow_blank=True, max_length=200)


class PendingBody(serializers.Serializer):
    limit = serializers.IntegerField(min_value=1, max_value=100, required=False)


class ResubmittedBody(serializers.Serializer):
    id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    content = TextField()


class ResubmissionBody(serializers.Serializer):
    versions = BoundedList(ResubmittedBody(), 100, allow_empty=False)
    key_proof = TextField(required=False, allow_null=True, allow_blank=True, max_length=200)


class CheckpointBody(serializers.Serializer):
    """A signed note: its text, an empty line, and signatures."""

    checkpoint = TextField(max_length=20_000)


class WitnessBody(serializers.Serializer):
    """The public key of a witness, `<name>+<key id>+<base64>`."""

    vkey = serializers.CharField(max_length=300)
