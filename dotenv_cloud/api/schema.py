"""The OpenAPI description: each operation says what it takes and answers; shapes are named here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from audit.export.formats import FORMATS
from audit.questions import counting
from audit.questions.filters import EntryFilter
from dotenv_cloud.api import resources

Handler = Callable[..., Any]

_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": "string", "nullable": True}
_NUMBER = {"type": "integer"}
_MAYBE_NUMBER = {"type": "integer", "nullable": True}
_FLAG = {"type": "boolean"}
_MAYBE_FLAG = {"type": "boolean", "nullable": True}
_TIME = {"type": "string", "format": "date-time"}
_MAYBE_TIME = {"type": "string", "format": "date-time", "nullable": True}
_TEXTS = {"type": "array", "items": _TEXT}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_OFFERS = _array(_object(text=_TEXT, label=_TEXT))
_PARAMS = {"type": "object", "additionalProperties": _TEXTS}
_UNDERSTOOD: dict[str, Any] = {
    **_object(
        text=_TEXT,
        is_answerable=_FLAG,
        params=_PARAMS,
        parts=_array(
            _object(
                parameter=_TEXT,
                values=_TEXTS,
                label=_TEXT,
                shown=_TEXT,
                exact=_TEXT,
                words=_TEXT,
                without=_TEXT,
                offers=_OFFERS,
                entry=_MAYBE_TEXT,
            )
        ),
        struck=_array(_object(words=_TEXT, why=_TEXT, offers=_OFFERS)),
        notes=_TEXTS,
        offers=_OFFERS,
        order=_TEXT,
        limit=_MAYBE_NUMBER,
        is_count=_FLAG,
        by=_MAYBE_TEXT,
        at_least=_MAYBE_NUMBER,
        page={**_object(name=_TEXT, why=_TEXT, about=_TEXT, at=_TEXT), "nullable": True},
        then={"type": "object", "nullable": True},
        joint=_MAYBE_TEXT,
        moments=_array(_object(parameter=_TEXT, words=_TEXT, params=_PARAMS, entry=_MAYBE_TEXT)),
        is_everything=_FLAG,
    ),
    "nullable": True,
}
"""How a question in words was read; nothing where it was asked by parameters."""


def _resource(**attributes: Any) -> dict[str, Any]:
    return _object(type=_TEXT, id=_TEXT, attributes=_object(**attributes))


def shape_of(shape: type[resources.Shape]) -> dict[str, Any]:
    """The schema of what a serializer of `resources` answers."""
    described = _shape(shape())
    if issubclass(shape, resources.Resource):
        return _object(type=_TEXT, id=_TEXT, attributes=described)
    return described


def _shape(field: serializers.Field[Any, Any, Any, Any]) -> dict[str, Any]:
    described = _shape_of_value(field)
    return {**described, "nullable": True} if field.allow_null else described


def _shape_of_value(field: serializers.Field[Any, Any, Any, Any]) -> dict[str, Any]:
    match field:
        case serializers.ListSerializer() | serializers.ListField():
            assert field.child is not None
            return _array(_shape(field.child))
        case serializers.Serializer():
            parts = field.fields.items()
            return {
                "type": "object",
                "properties": {name: _shape(part) for name, part in parts},
                "required": [name for name, part in parts if not _may_be_missing(part)],
            }
        case serializers.JSONField():
            return {"type": "object", "additionalProperties": True}
        case serializers.BooleanField():
            return _FLAG
        case serializers.IntegerField():
            return _NUMBER
        case serializers.DateTimeField():
            return _TIME
        case serializers.CharField():
            return _TEXT
    raise TypeError(f"no schema is known for {type(field).__name__}")


def _may_be_missing(field: serializers.Field[Any, Any, Any, Any]) -> bool:
    return not field.required and field.default is serializers.empty


_META = _object(
    **{"current_page": _NUMBER, "from": _MAYBE_NUMBER, "last_page": _NUMBER},
    per_page=_NUMBER,
    to=_MAYBE_NUMBER,
    total=_NUMBER,
)
_LINKS = _object(first=_TEXT, last=_TEXT, prev=_MAYBE_TEXT, next=_MAYBE_TEXT)


def _one(resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"data": resource, "message": _TEXT},
        "required": ["data"],
    }


def _page(resource: dict[str, Any]) -> dict[str, Any]:
    return _object(data=_array(resource), meta=_META, links=_LINKS)


_TIMES = {"created_at": _TIME, "updated_at": _TIME}
_ORGANIZATION = shape_of(resources.OrganizationResource)
_MEMBER = shape_of(resources.MemberResource)
_INVITATION = shape_of(resources.InvitationResource)
_PROJECT = shape_of(resources.ProjectResource)
_TARGET = shape_of(resources.TargetResource)
_ENVIRONMENT = shape_of(resources.EnvironmentResource)
_LEVEL = _object(encrypted=_FLAG, content=_TEXT, source=_TEXT, id=_TEXT)
_LEVELS = {"type": "object", "additionalProperties": _LEVEL}
_VARIABLES = {"type": "object", "additionalProperties": _TEXT}
_SECRETS = {
    "type": "object",
    "properties": {
        "type": _TEXT,
        "attributes": {
            "type": "object",
            "properties": {
                "encrypted": _FLAG,
                "format": _TEXT,
                "levels": _LEVELS,
                "merged": _VARIABLES,
            },
            "required": ["encrypted", "format", "levels"],
        },
        "secrets": _VARIABLES,
    },
    "required": ["type", "attributes"],
}
_SECRETS_META = _object(
    api_path=_TEXT,
    format=_TEXT,
    merged=_TEXT,
    timestamp=_TIME,
    action=_TEXT,
    hierarchy={"type": "object", "additionalProperties": _TEXT},
)
_SECRET_VERSION = shape_of(resources.SecretVersionResource)
_PLACE: dict[str, Any] = {"path": _TEXT, "path_ids": _TEXTS}
_VERSION = shape_of(resources.KeyVersionItem)
_API_KEY = shape_of(resources.ApiKeyItem)
_WITNESS = shape_of(resources.WitnessItem)
_WHO = _object(type=_TEXT, id=_MAYBE_TEXT, label=_TEXT)
_ENTRY = _resource(
    id=_TEXT,
    time=_TIME,
    organization=_TEXT,
    actor=_WHO,
    action=_TEXT,
    action_label=_TEXT,
    severity=_TEXT,
    resource=_WHO,
    result={"type": "string", "enum": ["success", "denied", "failed"]},
    reason=_TEXT,
    ip=_MAYBE_TEXT,
    user_agent=_TEXT,
    request_id=_MAYBE_TEXT,
    interface=_TEXT,
    changes={
        "type": "object",
        "description": "Field → [before, after].",
        "additionalProperties": {"type": "array", "items": {}, "minItems": 2, "maxItems": 2},
    },
    changed_fields=_TEXTS,
    context={"type": "object", "additionalProperties": True},
    seq=_MAYBE_NUMBER,
    resource_seq=_MAYBE_NUMBER,
    actor_seq=_MAYBE_NUMBER,
)
_ENTRY["properties"]["attributes"]["properties"]["erased"] = {
    "type": "array",
    "items": {"type": "string", "enum": ["actor", "origin", "resource", "detail", "leaf"]},
    "description": "Parts that were erased, which are empty for this reason; absent otherwise.",
}
_ENTRY["properties"]["attributes"]["properties"]["unreadable"] = {
    "type": "array",
    "items": {"type": "string", "enum": ["changes", "context"]},
    "description": "Which of the two lie in the log and cannot be read; absent when both can.",
}
ENTRY_VERSION = 1
"""Counted up when a member of an entry is renamed, removed or of another type."""


def entry_schema(address: str) -> dict[str, Any]:
    """An entry as the NDJSON export writes it and as `attributes` of the API, in JSON Schema
    2020-12. address: where this schema is, which is its `$id`."""
    described = _without_nullable(_ENTRY["properties"]["attributes"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": address,
        "title": f"Entry of the audit log, version {ENTRY_VERSION}",
        **described,
    }


def _without_nullable(described: Any) -> Any:
    """JSON Schema says by its types what OpenAPI 3.0 says by `nullable`."""
    if isinstance(described, list):
        return [_without_nullable(each) for each in described]
    if not isinstance(described, dict):
        return described
    made = {name: _without_nullable(value) for name, value in described.items()}
    if made.pop("nullable", False) is True:
        made["type"] = [made["type"], "null"]
    return made


_ENTRY_NOW = {
    "type": "object",
    "properties": {
        **_ENTRY["properties"],
        "meta": _object(actor_name=_TEXT, actor_exists=_MAYBE_FLAG, resource_exists=_MAYBE_FLAG),
    },
    "required": [*_ENTRY["required"], "meta"],
}
"""An entry, and whether what it refers to is still there; null if it refers to no row."""
_MAYBE_ANSWER = {
    **_MAYBE_TEXT,
    "description": "The answer to a question in words, in a sentence, as far as it is known here.",
}
_COUNTED = _array(
    _object(
        value=_TEXT,
        label=_TEXT,
        count=_NUMBER,
        params={"type": "object", "additionalProperties": _TEXT},
    )
)
"""Entries that have something in common, and the parameters that find them."""
_COUNTED_OF = {
    "counted": _NUMBER,
    "is_exact": _FLAG,
    "counted_from": _MAYBE_TIME,
    "complete_to": _MAYBE_TIME,
    "left_out": _TEXTS,
    "understood": _UNDERSTOOD,
    "answer": _MAYBE_ANSWER,
}

ANSWERS: dict[str, dict[str, Any]] = {
    "Organization": _one(_ORGANIZATION),
    "OrganizationList": _page(_ORGANIZATION),
    "Principal": _object(
        data=_object(
            type=_TEXT,
            id=_TEXT,
            attributes={
                "type": "object",
                "properties": {
                    "name": _TEXT,
                    "email": _TEXT,
                    "is_verified": _FLAG,
                    # A person's alone, and an API key's alone.
                    "ulid": _TEXT,
                    "abilities": _TEXTS,
                    "expires_at": _MAYBE_TIME,
                    **_TIMES,
                },
                "required": ["name", "email", "is_verified", *_TIMES],
            },
            relationships=_object(
                organizations=_object(data=_array(_object(type=_TEXT, id=_TEXT)))
            ),
        ),
        included=_array(_resource(ulid=_TEXT, name=_TEXT, slug=_TEXT, role=_TEXT)),
    ),
    "Member": _one(_MEMBER),
    "MemberList": _page(_MEMBER),
    "Invitation": _one(_INVITATION),
    "Project": _one(_PROJECT),
    "ProjectList": _page(_PROJECT),
    "Target": _one(_TARGET),
    "TargetList": _page(_TARGET),
    "Environment": _one(_ENVIRONMENT),
    "EnvironmentList": _page(_ENVIRONMENT),
    "EncryptionKey": _one(_resource(format=_TEXT, encrypted=_FLAG, content=_TEXT)),
    "KeyHistory": _object(
        data=_array(_VERSION),
        meta=_object(
            re_encryption={
                **_object(done=_NUMBER, total=_NUMBER, remaining=_NUMBER),
                "nullable": True,
            }
        ),
    ),
    "RotatedKey": _object(
        message=_TEXT,
        # Its attributes have `key` too, for who may retrieve it.
        data=_object(key=shape_of(resources.RotatedKeyResource)),
    ),
    "Secrets": _object(data=_SECRETS, meta=_SECRETS_META),
    # The key, and with `raw` a flat object of strings: what it is depends on what was asked.
    "Retrieved": {"type": "object", "additionalProperties": True},
    "Stored": _one(_object(type=_TEXT, level=_TEXT, source=_TEXT, bytes=_NUMBER)),
    "VersionList": _page(_SECRET_VERSION),
    "Version": _one(
        {
            "type": "object",
            "properties": {
                **_SECRET_VERSION["properties"],
                **_PLACE,
                "content": _TEXT,
                "key": {**_VERSION, "nullable": True},
            },
            "required": [*_SECRET_VERSION["required"], *_PLACE, "content"],
        }
    ),
    "Restored": _one(_object(type=_TEXT, secret_id=_NUMBER, restored_from=_TEXT, **_PLACE)),
    "Purged": _one(_object(purged_count=_NUMBER)),
    "Seen": _one(_object(outcome={"type": "string", "enum": ["continued"]}, size=_NUMBER)),
    "Cosigned": _one(_object(kept=_NUMBER)),
    "Witness": _one(_WITNESS),
    "WitnessList": _object(data=_array(_WITNESS)),
    "Rounds": _object(
        data=_array(_object(round=_NUMBER, size=_NUMBER, checkpoint=_TEXT, proof=_TEXT)),
        meta=_object(rounds=_NUMBER),
    ),
    "ClientRotation": _object(
        success=_FLAG, message=_TEXT, data=_object(count=_NUMBER, message=_TEXT)
    ),
    "PendingVersions": _object(
        data=_array(_object(id=_NUMBER, content=_TEXT, key_version=_TEXT)),
        meta=_object(remaining=_NUMBER),
    ),
    "Resubmitted": _one(_object(updated=_NUMBER, remaining=_NUMBER)),
    "ApiKey": _one(_API_KEY),
    "ApiKeyList": _object(data=_array(_API_KEY)),
    "IssuedApiKey": _object(
        success=_FLAG,
        message=_TEXT,
        token={
            "oneOf": [
                _TEXT,
                _object(name=_TEXT, token=_TEXT, abilities=_TEXTS, expires_at=_MAYBE_TIME),
            ]
        },
        api_key=_API_KEY,
        data=_object(token=_TEXT, api_key=_API_KEY),
    ),
    "Entry": _one(_ENTRY_NOW),
    "EntryList": _object(
        data=_array(_ENTRY_NOW),
        meta=_object(
            next_cursor=_MAYBE_TEXT,
            sealed_to=_NUMBER,
            reached=_MAYBE_NUMBER,
            complete_to=_MAYBE_TIME,
            per_page=_NUMBER,
            since=_MAYBE_TIME,
            until=_MAYBE_TIME,
            as_of=_MAYBE_TIME,
            left_out=_TEXTS,
            understood=_UNDERSTOOD,
            answer=_MAYBE_ANSWER,
            notes=_TEXTS,
            names=_array(
                _object(
                    parameter=_TEXT,
                    asked=_TEXT,
                    type=_TEXT,
                    id=_TEXT,
                    now=_TEXT,
                    now_called=_MAYBE_TEXT,
                    created_at=_MAYBE_TIME,
                )
            ),
            retention_boundary={
                **_object(
                    before=_TIME,
                    removed_at=_TIME,
                    manifest=_TEXT,
                    entries=_NUMBER,
                    archives=_NUMBER,
                ),
                "nullable": True,
            },
        ),
        links=_object(prev=_MAYBE_TEXT, next=_MAYBE_TEXT),
    ),
    "Histogram": _object(
        data=_array(_object(start=_TIME, end=_TIME, count=_NUMBER, is_exact=_FLAG)),
        meta=_object(complete_to=_MAYBE_TIME, left_out=_TEXTS, understood=_UNDERSTOOD),
    ),
    "Facets": _object(
        data=_object(**dict.fromkeys(counting.FACETS, _COUNTED)),
        meta=_object(groups=_object(**dict.fromkeys(counting.FACETS, _NUMBER)), **_COUNTED_OF),
    ),
    "Counts": _object(
        data=_COUNTED,
        meta=_object(by=_TEXT, groups=_NUMBER, notes=_TEXTS, **_COUNTED_OF),
    ),
    "Catalogue": _one(
        _object(
            actions=_array(_object(name=_TEXT, label=_TEXT, severity=_TEXT, context=_TEXTS)),
            groups=_array(_object(name=_TEXT, label=_TEXT, about=_TEXT, actions=_TEXTS)),
            types=_array(_object(name=_TEXT, label=_TEXT, fields=_TEXTS)),
            results=_TEXTS,
            interfaces=_TEXTS,
            actor_types=_TEXTS,
        )
    ),
}

_ERROR = {
    "type": "object",
    "properties": {
        "error": _TEXT,
        "message": _TEXT,
        "details": {"type": "object", "additionalProperties": True},
        "errors": {"type": "object", "additionalProperties": True},
    },
    "required": ["error", "message"],
}
_REFUSALS = {
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The caller lacks the ability.",
    404: "There is no such resource, or the caller has no access to it.",
    422: "The body or the query is not valid; each field is named.",
    429: "Too many requests; see Retry-After.",
}


class Schema(AutoSchema):
    """Operations are named by method and view."""

    def get_operation_id(self) -> str:
        name = type(self.view).__name__
        return f"{self.method.lower()}{name}"

    def get_tags(self) -> list[str]:
        return [type(self.view).__module__.rpartition(".")[2]]


def described(
    summary: str,
    *,
    body: Any = None,
    answer: str | None = None,
    status: int = 200,
    parameters: list[OpenApiParameter] | None = None,
) -> Callable[[Handler], Handler]:
    """Describe an operation. answer: a name in ANSWERS; None: no body."""
    success = OpenApiResponse(ANSWERS[answer] if answer else None, description=summary)
    responses: dict[int, OpenApiResponse] = {status: success}
    responses |= {code: OpenApiResponse(_ERROR, text) for code, text in _REFUSALS.items()}
    decorated: Callable[[Handler], Handler] = extend_schema(
        summary=summary, request=body, responses=responses, parameters=parameters
    )
    return decorated


ASK = (
    "A question in words, such as: who deleted the production environment last tuesday? It is read"
    " as on the page; meta.understood says how. Other filters may be given beside it."
)


def asks_the_log(
    summary: str, *, answer: str | None, parameters: Sequence[OpenApiParameter] = ()
) -> Callable[[Handler], Handler]:
    """Describe an operation whose query string is a question to the log."""
    own = {parameter.name for parameter in parameters}
    described_ones = [
        OpenApiParameter(
            name,
            str,
            description=filter_.extra.get("help_text", ""),
            enum=filter_.extra.get("words"),
        )
        for name, filter_ in EntryFilter.base_filters.items()
        if name not in own
    ]
    if answer is None:
        described_ones.append(OpenApiParameter("format", str, enum=[*FORMATS]))
    described_ones.insert(0, OpenApiParameter("ask", str, description=ASK))
    return described(summary, answer=answer, parameters=[*described_ones, *parameters])
