"""The secrets of levels: read, retrieved, stored, deleted.

A request for a level reads it and the levels above, which clients merge; writing touches the level
alone. Decrypting and merging is for projects whose key the server holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from dotenv_cloud.api import bodies, encryption_keys, errors, resources
from dotenv_cloud.api.base import ApiView, data, no_content
from dotenv_cloud.api.schema import described
from dotenv_cloud.formats import env, env_writing, merging
from keys import blobs, secrets
from keys.levels import Level
from keys.secrets import Opened
from organizations import clock

MERGES = ("false", "true", "both")


class Asked(NamedTuple):
    """How a client wants to see what it reads."""

    decrypt: bool = False
    merge: str = "false"
    raw: bool = False

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Asked:
        """From a query or a body, where flags are words or booleans. Raises a 422 by field."""
        decrypt, raw = (bodies.flag(name, given.get(name)) for name in ("decrypt", "raw"))
        merge = str(given.get("merge") or "false").lower()
        if merge not in MERGES:
            raise errors.invalid({"merge": [f"Use one of {', '.join(MERGES)}."]})
        if raw and merge == "false":
            merge = "true"
        if (raw or merge != "false") and not decrypt:
            raise _cannot_combine("merge and raw need plaintext: ask for decrypt.")
        return cls(decrypt, merge, raw)

    @classmethod
    def wants_plaintext(cls, given: Mapping[str, Any]) -> bool:
        """Whether to decrypt, before the rest is known to make sense."""
        return str(given.get("decrypt")).lower() in bodies.YES


class SecretsView(ApiView):
    """Finds levels, reads them as asked, and says who writes."""

    def read(self, level: Level, asked: Asked, *abilities: str) -> list[Opened]:
        """The blobs of the level and those above it that `abilities` reach."""
        levels = self.seen(level, *abilities)
        return secrets.decrypt(levels) if asked.decrypt else secrets.read(levels)

    def seen(self, level: Level, *abilities: str) -> list[Level]:
        """The level and those above it, unless the caller's abilities are narrowed to less and do
        not reach up."""
        principal = self.principal
        for ability in abilities:
            if not principal.reaches(ability, *level.ids):
                raise errors.hidden(level.name)
        if principal.inherits_parents:
            return list(level.and_above)
        return [
            one
            for one in level.and_above
            if all(principal.reaches(ability, *one.ids) for ability in abilities)
        ]


class Secrets(SecretsView):
    abilities: ClassVar = {"GET": "secret:read"}

    @described(
        "Read the secrets of a level and those above it",
        answer="Secrets",
        parameters=[
            OpenApiParameter("decrypt", bool, description="Answer plaintext."),
            OpenApiParameter("merge", str, enum=MERGES, description="Merge the variables."),
            OpenApiParameter("raw", bool, description="Answer KEY=value lines as text."),
        ],
    )
    def get(self, request: Request, organization: str, **path: str) -> Any:
        # First what may be asked, then of what, then how.
        if Asked.wants_plaintext(request.query_params):
            self.also_require("secret:decrypt")
        level = self.level(**path)
        asked = Asked.parse(request.query_params)
        more = ["secret:decrypt"] if asked.decrypt else []
        opened = self.read(level, asked, "secret:read", *more)
        if asked.raw:
            text = _as_lines(_merged(level, opened))
            return HttpResponse(text, content_type="text/plain; charset=utf-8")
        return _answer(request, level, opened, asked, "decrypt" if asked.decrypt else "read")


class SecretsOfProject(Secrets):
    """A name for each depth, by which the schema tells them apart."""


class SecretsOfTarget(Secrets):
    pass


class SecretsOfEnvironment(Secrets):
    pass


class Retrieval(SecretsView):
    """The same by POST, and the key as well: what is needed depends on the action."""

    abilities: ClassVar = {"POST": None}

    @described("Retrieve secrets or the key", body=bodies.RetrievalBody, answer="Retrieved")
    def post(self, request: Request, organization: str) -> Any:
        body = bodies.read(request, bodies.RetrievalBody)
        action = body.get("action") or "read"
        self.ability = action if action == "key:retrieve" else f"secret:{action}"
        self.also_require(self.ability)
        asked = Asked.parse(
            {
                "decrypt": action == "decrypt",
                "merge": body.get("merge"),
                "raw": body.get("raw"),
            }
        )
        if action == "key:retrieve":
            project = self.project_called(body["project"], in_part=True)
            return encryption_keys.described_key(project)
        wanted = body.get("filters") or {}
        names, search = wanted.get("names") or [], wanted.get("search") or ""
        if action == "read" and (names or search):
            raise _cannot_combine("filters.names and filters.search need the action decrypt.")
        level = self.level(body["project"], body.get("target"), body.get("environment"))
        opened = self.read(level, asked, self.ability)
        if action == "decrypt":
            found = _filtered(_merged(level, opened), names, search)
        else:
            found = {one.level.name: blobs.to_text(one.secret.content) for one in opened}
        if asked.raw:
            return Response(found)
        return _answer(request, level, opened, asked, action, secrets=found)


class Storing(SecretsView):
    abilities: ClassVar = {"POST": "secret:write"}

    @described("Store the secret of a level", body=bodies.StoreBody, answer="Stored")
    def post(self, request: Request, organization: str) -> Response:
        body = bodies.read(request, bodies.StoreBody)
        level = self.level(body["project"], body.get("target"), body.get("environment"))
        stored = secrets.store(
            level,
            body["content"],
            author=self.principal.author,
            key_proof=body.get("key_proof"),
            no_backup=bool(body.get("no_backup")),
        )
        return data(
            {
                "type": "secrets",
                "level": level.name,
                "source": level.slug,
                "bytes": stored.secret.size_bytes,
            },
            message="Secret stored." if stored.is_changed else "Secret unchanged.",
        )


class Deleting(SecretsView):
    abilities: ClassVar = {"POST": "secret:write"}

    @described("Delete the secret of a level", body=bodies.DeleteBody, status=204)
    def post(self, request: Request, organization: str) -> Response:
        body = bodies.read(request, bodies.DeleteBody)
        no_backup = bool(body.get("no_backup"))
        if no_backup:
            self.also_require("secret:purge")
        level = self.level(body["project"], body.get("target"), body.get("environment"))
        if no_backup:
            if not self.principal.reaches("secret:purge", *level.ids):
                raise errors.hidden(level.name)
            bodies.require_confirmed(body, "this permanently deletes the level's versions")
        secrets.delete(level, author=self.principal.author, no_backup=no_backup)
        return no_content()


def _answer(
    request: Request,
    level: Level,
    opened: Sequence[Opened],
    asked: Asked,
    action: str,
    **more: Any,
) -> Response:
    attributes: dict[str, Any] = {
        "encrypted": not asked.decrypt,
        "format": level.project.secret_format,
        "levels": {}
        if asked.merge == "true"
        else {one.level.name: resources.level(one) for one in opened},
    }
    if asked.merge != "false":
        attributes["merged"] = _merged(level, opened)
    names = ("project", "target", "environment")
    return data(
        {"type": "secrets", "attributes": attributes, **more},
        meta={
            "api_path": request.path,
            "format": level.project.secret_format,
            "merged": asked.merge,
            "timestamp": resources.instant(clock.now()),
            "action": action,
            "hierarchy": {
                name: node.slug for name in names if (node := getattr(level, name)) is not None
            },
        },
    )


def _merged(level: Level, opened: Sequence[Opened]) -> dict[str, str]:
    """The variables of all levels, the deepest wins."""
    found = []
    for one in opened:
        try:
            variables = merging.variables_of(resources.plaintext(one), level.project.secret_format)
        except merging.UnreadableError as error:
            raise _cannot_combine(f"{one.level.path} cannot be merged: {error.reason}.") from None
        found.append(variables)
    return merging.merge(found)


def _filtered(variables: dict[str, str], names: Sequence[str], search: str) -> dict[str, str]:
    return {
        name: value
        for name, value in variables.items()
        if (not names or name in names) and search.lower() in name.lower()
    }


def _as_lines(variables: dict[str, str]) -> str:
    try:
        return env_writing.write(variables)
    except env.UnwritableError as error:
        raise _cannot_combine(f"This cannot be written as lines: {error}.") from None


def _cannot_combine(message: str) -> errors.ApiError:
    return errors.ApiError(422, "invalid_parameter_combination", message)
