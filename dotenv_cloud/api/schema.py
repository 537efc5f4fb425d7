"""The OpenAPI description: each operation says what it takes and answers; shapes are named here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from audit.export.formats import FORMATS
from audit.questions.filters import EntryFilter

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


def _resource(**attributes: Any) -> dict[str, Any]:
    return _object(type=_TEXT, id=_TEXT, attributes=_object(**attributes))


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
_ORGANIZATION = _resource(
    ulid=_TEXT,
    name=_TEXT,
    slug=_TEXT,
    status=_TEXT,
    plan_name=_TEXT,
    history_retention_days=_MAYBE_NUMBER,
    member_key_retrieve=_FLAG,
    **_TIMES,
)
_MEMBER = _resource(user_id=_TEXT, email=_TEXT, name=_TEXT, role=_TEXT, groups=_TEXTS, **_TIMES)
_INVITATION = _resource(
    email=_TEXT, role=_TEXT, expires_at=_TIME, accepted_at=_MAYBE_TIME, **_TIMES
)
_PROJECT = _resource(
    ulid=_TEXT,
    organization_id=_TEXT,
    name=_TEXT,
    slug=_TEXT,
    description=_TEXT,
    secret_format=_TEXT,
    encryption_type=_TEXT,
    storage_mode=_TEXT,
    has_secrets=_FLAG,
    secret_count=_NUMBER,
    target_count=_NUMBER,
    environment_count=_NUMBER,
    metadata={"type": "object", "additionalProperties": True},
    secret_versioning=_FLAG,
    history_policy=_TEXT,
    history_retention_days=_MAYBE_NUMBER,
    strict_encryption=_FLAG,
    **_TIMES,
)
_TARGET = _resource(
    ulid=_TEXT,
    project_id=_TEXT,
    name=_TEXT,
    slug=_TEXT,
    description=_TEXT,
    environment_count=_NUMBER,
    secret_count=_NUMBER,
    **_TIMES,
)
_ENVIRONMENT = _resource(
    ulid=_TEXT,
    project_id=_TEXT,
    target_id=_TEXT,
    name=_TEXT,
    slug=_TEXT,
    description=_TEXT,
    status=_TEXT,
    is_production=_FLAG,
    **_TIMES,
)
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
_SECRET_VERSION = _resource(
    action=_TEXT,
    size_bytes=_NUMBER,
    is_client_encrypted=_FLAG,
    encryption_key_version=_TEXT,
    key_version=_TEXT,
    created_at=_TIME,
    created_by={**_object(id=_NUMBER, name=_TEXT), "nullable": True},
    metadata={"type": "object", "additionalProperties": True},
    locked=_FLAG,
    locked_reason=_MAYBE_TEXT,
)
_PLACE: dict[str, Any] = {"path": _TEXT, "path_ids": _TEXTS}
_VERSION = _object(
    version=_TEXT,
    managed=_TEXT,
    key_check_salt=_TEXT,
    key_check_iterations=_NUMBER,
    is_active=_FLAG,
    created_at=_TIME,
    rotated_at=_MAYBE_TIME,
)
_SCOPE = {
    "type": "object",
    "properties": {
        "permission": _TEXT,
        "project": _TEXT,
        "target": _TEXT,
        "environment": _TEXT,
    },
    "required": ["permission", "project"],
}
_API_KEY = _object(
    id=_TEXT,
    name=_TEXT,
    token_prefix=_TEXT,
    fingerprint=_TEXT,
    abilities=_TEXTS,
    scoped_permissions=_array(_SCOPE),
    inherit_parents=_FLAG,
    expires_at=_MAYBE_TIME,
    last_used_at=_MAYBE_TIME,
    last_used_ip=_MAYBE_TEXT,
    rotated_at=_MAYBE_TIME,
    created_by={**_object(id=_NUMBER, name=_TEXT), "nullable": True},
    **_TIMES,
)
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
_ENTRY_NOW = {
    "type": "object",
    "properties": {
        **_ENTRY["properties"],
        "meta": _object(actor_exists=_MAYBE_FLAG, resource_exists=_MAYBE_FLAG),
    },
    "required": [*_ENTRY["required"], "meta"],
}
"""An entry, and whether what it refers to is still there; null if it refers to no row."""
_FACET = _array(_object(value=_TEXT, label=_TEXT, count=_NUMBER))

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
        data=_object(
            key=_resource(
                id=_TEXT,
                project_id=_TEXT,
                version=_TEXT,
                is_active=_FLAG,
                created_at=_TIME,
                managed=_TEXT,
                key_check_salt=_TEXT,
                key_check_iterations=_NUMBER,
            )
        ),
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
            per_page=_NUMBER,
            since=_MAYBE_TIME,
            until=_MAYBE_TIME,
            as_of=_MAYBE_TIME,
            notes=_TEXTS,
            floor={
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
        links=_object(next=_MAYBE_TEXT),
    ),
    "Histogram": _object(
        data=_array(_object(start=_TIME, end=_TIME, count=_NUMBER, is_exact=_FLAG))
    ),
    "Facets": _object(
        data=_object(actor=_FACET, action=_FACET, type=_FACET),
        meta=_object(counted=_NUMBER, is_exact=_FLAG),
    ),
    "Catalogue": _one(
        _object(
            actions=_array(_object(name=_TEXT, label=_TEXT, severity=_TEXT, context=_TEXTS)),
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
    404: "There is no such resource, or it is not the caller's to know.",
    422: "The body or the query does not fit; each field is named.",
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


def asks_the_log(summary: str, *, answer: str | None) -> Callable[[Handler], Handler]:
    """Describe an operation whose query string is a question to the log."""
    parameters = [
        OpenApiParameter(name, str, description=filter_.extra.get("help_text", ""))
        for name, filter_ in EntryFilter.base_filters.items()
    ]
    if answer is None:
        parameters.append(OpenApiParameter("format", str, enum=[*FORMATS]))
    return described(summary, answer=answer, parameters=parameters)
