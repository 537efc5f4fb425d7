"""A client of the hosted product, written from the wire contract alone.

It sends what the official SDK and command send, decodes as strictly as they do, encrypts as they
do, and shares no code with the server or the command of this repository.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

RETRIED_METHODS = {"GET", "HEAD", "OPTIONS", "DELETE"}
RETRIED_STATUSES = {429, 500, 502, 503, 504}
SENTINELS = {
    "insufficient_permissions",
    "version_locked",
    "not_found",
    "client_managed_encryption",
    "invalid_parameter_combination",
    "no_active_encryption_key",
    "key_proof_required",
    "key_proof_mismatch",
    "key_version_conflict",
    "content_required_for_old_key",
    "version_protected",
}


class SdkError(Exception):
    """What the SDK's caller sees: `kind` is a sentinel or a word for the status; `message` is empty
    where the SDK drops it; `fields` are the values of `errors` that are strings."""

    def __init__(
        self, kind: str, status: int, message: str = "", fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {kind}: {message}")
        self.kind = kind
        self.status = status
        self.message = message
        self.fields = dict(fields or {})
        self.retry_after: int | None = None


class DecodeError(Exception):
    """A strict decoder met a value of another type."""


# -- Strict decoding: a shape is a type, a list of one shape, or a mapping of names to shapes.


class Maybe:
    """null or absent, or of this shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Instant:
    """RFC 3339 with a zone."""


class MapOf:
    def __init__(self, shape: Any) -> None:
        self.shape = shape


def decode(value: Any, shape: Any, where: str = "body") -> Any:
    if isinstance(shape, Maybe):
        return None if value is None else decode(value, shape.shape, where)
    if shape is Instant:
        return decode_instant(value, where)
    if isinstance(shape, MapOf):
        _require(value, dict, where)
        return {name: decode(each, shape.shape, f"{where}.{name}") for name, each in value.items()}
    if isinstance(shape, list):
        _require(value, list, where)
        return [decode(each, shape[0], f"{where}[{n}]") for n, each in enumerate(value)]
    if isinstance(shape, dict):
        _require(value, dict, where)
        found = dict(value)
        for name, each in shape.items():
            if name not in value and not isinstance(each, Maybe):
                raise DecodeError(f"{where}.{name} is missing")
            found[name] = decode(value.get(name), each, f"{where}.{name}")
        return found
    if shape is int and isinstance(value, bool):
        raise DecodeError(f"{where} is a boolean")
    _require(value, shape, where)
    return value


def decode_instant(value: Any, where: str) -> dt.datetime:
    _require(value, str, where)
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise DecodeError(f"{where} has no zone")
    return moment


def _require(value: Any, kind: type, where: str) -> None:
    if not isinstance(value, kind):
        raise DecodeError(f"{where} is {type(value).__name__}, not {kind.__name__}")


def lenient_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """As Go decodes a hierarchy resource: keys in order, and nothing after a time that it cannot
    read."""
    found: dict[str, Any] = {}
    for name in sorted(attributes):
        value = attributes[name]
        if name.endswith("_at") and value is not None:
            try:
                value = decode_instant(value, name)
            except (DecodeError, ValueError):
                break
        found[name] = value
    return found


# -- Cryptography


def pad_key(key: str) -> bytes:
    return key.encode()[:32].ljust(32, b"0")


def derive(password: bytes, salt: bytes, rounds: int) -> bytes:
    return PBKDF2HMAC(algorithm=SHA256(), length=32, salt=salt, iterations=rounds).derive(password)


def prove(key: str, salt: bytes, rounds: int) -> str:
    return base64.b64encode(derive(pad_key(key), salt, rounds)).decode()


def seal(data_key: bytes, plaintext: bytes) -> str:
    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(data_key).encrypt(nonce, plaintext, None)).decode()


def open_blob(data_key: bytes, blob: str) -> bytes:
    content = base64.b64decode(blob, validate=True)
    return AESGCM(data_key).decrypt(content[:12], content[12:], None)


@dataclass
class Key:
    """The descriptor of a project's key, with the string where the client brings it."""

    managed: str
    version: int
    salt: bytes
    rounds: int
    key: str | None = field(repr=False)

    @property
    def data_key(self) -> bytes:
        assert self.key
        return derive(self.key.encode(), self.salt, self.rounds)

    @property
    def proof(self) -> str:
        assert self.key
        return prove(self.key, self.salt, self.rounds)


# -- The SDK

_META = {
    "current_page": int,
    "from": Maybe(int),
    "last_page": int,
    "per_page": int,
    "to": Maybe(int),
    "total": int,
}
_LEVEL = {"encrypted": bool, "content": str, "source": str}
_SECRETS = {
    "data": {
        "type": str,
        "attributes": {"encrypted": bool, "format": str, "levels": MapOf(_LEVEL)},
    },
    "meta": {
        "api_path": str,
        "format": str,
        "merged": str,
        "timestamp": str,
        "action": str,
        "hierarchy": {"project": str, "target": Maybe(str), "environment": Maybe(str)},
    },
}
_HISTORY_ITEM = {
    "version": str,
    "managed": str,
    "key_check": Maybe(str),
    "key_check_salt": Maybe(str),
    "key_check_iterations": Maybe(int),
    "is_active": bool,
    "created_at": str,
    "rotated_at": Maybe(str),
}
_VERSION = {
    "type": str,
    "id": str,
    "attributes": {
        "action": str,
        "size_bytes": int,
        "is_client_encrypted": bool,
        "encryption_key_version": str,
        "key_version": str,
        "created_at": str,
        "created_by": Maybe({"id": int, "name": str}),
        "metadata": Maybe(dict),
        "locked": bool,
        "locked_reason": Maybe(str),
    },
}
_API_KEY = {
    "id": str,
    "name": str,
    "token_prefix": str,
    "abilities": [str],
    "expires_at": Maybe(Instant),
    "last_used_at": Maybe(Instant),
    "created_at": Instant,
    "updated_at": Maybe(Instant),
}
_USER = {
    "data": {
        "type": str,
        "id": str,
        "attributes": {
            "name": str,
            "email": str,
            "created_at": Maybe(Instant),
            "updated_at": Maybe(Instant),
            "is_verified": bool,
        },
        "relationships": {"organizations": {"data": [{"type": str, "id": str}]}},
    },
    "included": [
        {"type": str, "id": str, "attributes": {"ulid": str, "name": str, "slug": str, "role": str}}
    ],
}


class Sdk:
    def __init__(self, base: str, token: str, organization: str, tries: int = 4) -> None:
        self.organization = organization
        self.tries = tries
        self.last: httpx.Response | None = None
        self.http = httpx.Client(
            base_url=base,
            timeout=30,
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "User-Agent": "dotenv-go-sdk/1.0.0",
                "X-API-Version": "1",
            },
        )

    # -- Transport

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer. A request without a body has no Content-Type either."""
        for attempt in range(self.tries):
            response = self.http.request(
                method,
                f"/api/v1{path}",
                content=None if body is None else json.dumps(body),
                headers={} if body is None else {"Content-Type": "application/json"},
            )
            self.last = response
            may_retry = method in RETRIED_METHODS and response.status_code in RETRIED_STATUSES
            if not may_retry or attempt == self.tries - 1:
                break
            time.sleep(float(response.headers.get("Retry-After", 2**attempt)))
        assert response.headers["X-API-Version"] == "1"
        if response.is_error:
            raise _error(response)
        if response.status_code == 204:
            assert response.content == b""
            return None
        assert response.headers["Content-Type"].startswith("application/json")
        return response.json()

    def _at(self, *segments: str) -> str:
        return "/" + "/".join((self.organization, *segments))

    def _long(self, *segments: str) -> str:
        return "/" + "/".join(("organizations", self.organization, *segments))

    # -- Calls of the SDK

    def user(self) -> Any:
        return decode(self.send("GET", "/user"), _USER)

    def organizations(self) -> list[dict[str, Any]]:
        return self._resources(self.send("GET", "/organizations"))

    def projects(self) -> list[dict[str, Any]]:
        return self._resources(self.send("GET", self._at("projects")))

    def children(self, *segments: str) -> list[dict[str, Any]]:
        return self._resources(self.send("GET", self._at(*segments)))

    def project(self, slug: str) -> dict[str, Any]:
        return self._resource(self.send("GET", self._at(slug)))

    def create(self, *segments: str, **body: Any) -> dict[str, Any]:
        return self._resource(self.send("POST", self._at(*segments), body))

    def key(self, project: str, client_key: str | None = None) -> Key:
        answer = self.send("GET", self._at(project, "encryption-key"))
        shape = {"data": {"type": str, "id": str, "attributes": {"content": str}}}
        content = decode(answer, shape)["data"]["attributes"]["content"]
        described = decode(
            json.loads(content)["key"],
            {
                "managed": str,
                "key": Maybe(str),
                "version": int,
                "key_check_salt": str,
                "key_check_iterations": int,
                "created_at": Instant,
            },
        )
        assert "key_check" not in described
        assert (described.get("key") is None) == (described["managed"] == "client")
        return Key(
            described["managed"],
            described["version"],
            base64.b64decode(described["key_check_salt"]),
            described["key_check_iterations"],
            described.get("key") or client_key,
        )

    def key_history(self, project: str) -> list[dict[str, Any]]:
        answer = self.send("GET", self._at(project, "encryption-key", "history"))
        found: list[dict[str, Any]] = decode(answer, {"data": [_HISTORY_ITEM]})["data"]
        return found

    def rotate_key(self, project: str, body: Any = None) -> str:
        attributes = {"version": str, "is_active": bool, "created_at": Instant, "managed": str}
        answer = decode(
            self.send("POST", self._at(project, "encryption-key", "rotate"), body),
            {"message": str, "data": {"key": {"type": str, "id": str, "attributes": attributes}}},
        )
        version: str = answer["data"]["key"]["attributes"]["version"]
        return version

    def secrets(self, *segments: str) -> Any:
        return decode(self.send("GET", self._at(*segments, "secrets")), _SECRETS)

    def store(self, **body: Any) -> Any:
        return self.send("POST", self._at("secrets", "store"), body)

    def versions(self, **body: Any) -> Any:
        shape = {"data": [_VERSION], "meta": _META}
        return decode(self.send("POST", self._at("secrets", "versions"), body), shape)

    def version(self, number: str) -> Any:
        answer = self.send("GET", self._at("secrets", "versions", number))
        shape = {"data": {**_VERSION, "content": str, "key": Maybe(_HISTORY_ITEM)}}
        return decode(answer, shape)["data"]

    def restore(self, number: str, body: Any = None) -> None:
        self.send("POST", self._at("secrets", "versions", number, "restore"), body)

    def purge(self, **body: Any) -> int:
        answer = self.send("POST", self._at("secrets", "versions", "purge"), body)
        count: int = decode(answer, {"data": {"purged_count": int}})["data"]["purged_count"]
        return count

    def api_keys(self) -> list[dict[str, Any]]:
        answer = self.send("GET", self._long("api-keys"))
        found: list[dict[str, Any]] = decode(answer, {"data": [_API_KEY]})["data"]
        return found

    def create_api_key(self, name: str, abilities: Iterable[str]) -> str:
        body = {"name": name, "abilities": list(abilities)}
        token = {"name": str, "token": str, "abilities": [str], "expires_at": Maybe(Instant)}
        answer = decode(
            self.send("POST", self._long("api-keys"), body), {"token": token, "message": str}
        )
        plain: str = answer["token"]["token"]
        return plain

    def rename_api_key(self, number: str, name: str) -> Any:
        answer = self.send("PUT", self._long("api-keys", number), {"name": name})
        return decode(answer, {"data": _API_KEY})["data"]

    def rotate_api_key(self, number: str) -> str:
        answer = self.send("POST", self._long("api-keys", number, "rotate"))
        token: str = decode(answer, {"data": {"token": str, "api_key": _API_KEY}})["data"]["token"]
        return token

    def delete_api_key(self, number: str) -> None:
        self.send("DELETE", self._long("api-keys", number))

    def _resource(self, answer: Any) -> dict[str, Any]:
        resource = decode(answer, {"data": {"type": str, "id": str, "attributes": dict}})["data"]
        return lenient_attributes(resource["attributes"])

    def _resources(self, answer: Any) -> list[dict[str, Any]]:
        shape = {"data": [{"type": str, "id": str, "attributes": dict}]}
        return [lenient_attributes(row["attributes"]) for row in decode(answer, shape)["data"]]

    # -- What the official command does with them

    def push(
        self, path: str, content: bytes, client_key: str | None = None, **more: Any
    ) -> tuple[str, Any]:
        """GET project, GET key, GET secrets, store. Returns what was stored, and the answer."""
        segments = path.split("/")
        self.project(segments[0])
        key = self.key(segments[0], client_key)
        self.secrets(*segments)
        blob = seal(key.data_key, content)
        body = dict(zip(("project", "target", "environment"), segments, strict=False))
        if key.managed == "client":
            body["key_proof"] = key.proof
        return blob, self.store(**body, content=blob, **more)

    def pull(
        self, path: str, client_key: str | None = None, *, level_only: bool = False
    ) -> dict[str, bytes]:
        """The plaintext of each level, the outermost first."""
        segments = path.split("/")
        answer = self.secrets(*segments)
        attributes, hierarchy = answer["data"]["attributes"], answer["meta"]["hierarchy"]
        assert attributes["format"] in ("env", "", "json")
        levels = [name for name in ("project", "target", "environment") if hierarchy.get(name)]
        if level_only:
            levels = levels[-1:]
        held = {name: attributes["levels"][name] for name in levels if name in attributes["levels"]}
        if not held:
            return {}
        key = self.key(segments[0], client_key)
        return {
            name: open_blob(key.data_key, level["content"])
            if level["encrypted"]
            else level["content"].encode()
            for name, level in held.items()
        }


def _error(response: httpx.Response) -> SdkError:
    """By the SDK's table: a known word first, then the status."""
    body = response.json()
    assert "data" not in body and "response" not in body
    status, word, message = response.status_code, body["error"], body["message"]
    fields = {
        name: value if isinstance(value, str) else ""
        for name, value in (body.get("errors") or {}).items()
    }
    by_status = {401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "rate_limit"}
    if word in SENTINELS:
        error = SdkError(word, status)
    elif status in by_status:
        error = SdkError(by_status[status], status, message if status == 401 else "")
    elif status == 400 and fields:
        error = SdkError("validation", status, "", fields)
    elif status == 409:
        error = SdkError("already_exists", status)
    else:
        error = SdkError("generic", status, message)
    if status == 429:
        error.retry_after = int(response.headers.get("Retry-After", 60))
    return error
