"""API keys. Flat resources; the token is in the answer to create and rotate, and nowhere else."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from dotenv_cloud.api import bodies, errors, resources
from dotenv_cloud.api.base import ApiView, data, no_content
from dotenv_cloud.api.schema import described
from keys import api_keys
from keys.models import ApiKey
from organizations import hierarchy, ulid
from organizations.grants import LEVELS, Scope
from organizations.models import Environment, Project, Target

_Nodes = dict[tuple[str, ...], Project | Target | Environment | None]
"""By their references from the project down."""


class _ApiKeyView(ApiView):
    def keys(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.filter(organization=self.organization).select_related("created_by")

    def key(self) -> ApiKey:
        key = ulid.parse_or_none(self.kwargs["api_key"])
        found: ApiKey | None = self.keys().filter(pk=key).first() if key else None
        if found is None:
            raise errors.not_found("API key")
        return found

    def read(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        body = bodies.read(request, bodies.ApiKeyBody, partial=partial)
        scopes = body.pop("scoped_permissions", None)
        if scopes is not None:
            nodes: _Nodes = {}
            body["scopes"] = [
                self._scope(number, scope, nodes) for number, scope in enumerate(scopes)
            ]
        return body

    def _scope(self, number: int, given: dict[str, Any], nodes: _Nodes) -> Scope:
        """The scope a client names by slugs or ULIDs. nodes: those already looked up."""
        siblings: QuerySet[Any] = Project.objects.filter(organization=self.organization)
        below = ("targets", "environments", "")
        found: dict[str, Any] = {}
        path: tuple[str, ...] = ()
        for level, children in zip(LEVELS, below, strict=True):
            reference = given.get(level)
            if not reference:
                break
            path = (*path, reference.lower())
            if path not in nodes:
                nodes[path] = hierarchy.find_node(siblings, path[-1])
            node = nodes[path]
            if node is None:
                name = f"scoped_permissions.{number}.{level}"
                raise errors.invalid({name: [f"There is no {level} {reference}."]})
            found[level] = node.pk
            if children:
                siblings = getattr(node, children).all()
        skipped = [level for level in LEVELS if given.get(level) and level not in found]
        if skipped:
            name = f"scoped_permissions.{number}.{skipped[0]}"
            raise errors.invalid({name: ["Name the levels above it too."]})
        return Scope(given["permission"], **found)


class ApiKeys(_ApiKeyView):
    abilities: ClassVar = {"GET": "api-token:read", "POST": "api-token:create"}

    @described("List the API keys", answer="ApiKeyList")
    def get(self, request: Request, organization: str) -> Response:
        return Response({"data": [resources.api_key(key) for key in self.keys()]})

    @described("Create an API key", body=bodies.ApiKeyBody, answer="IssuedApiKey", status=201)
    def post(self, request: Request, organization: str) -> Response:
        issued = api_keys.create(
            self.organization,
            granter=self.principal.grant,
            created_by=self.principal.person,
            **self.read(request),
        )
        shown = resources.api_key(issued.api_key)
        token = {
            "name": issued.api_key.name,
            "token": issued.token,
            "abilities": issued.api_key.abilities,
            "expires_at": shown["expires_at"],
        }
        return Response(
            {
                "success": True,
                "message": "API key created. Save the token: it is shown only this once.",
                "token": token,
                "api_key": shown,
                "data": {"token": issued.token, "api_key": shown},
            },
            status=201,
        )


class OneApiKey(_ApiKeyView):
    abilities: ClassVar = {
        "GET": "api-token:read",
        "PATCH": "api-token:update",
        "PUT": "api-token:update",
        "DELETE": "api-token:delete",
    }

    @described("Show an API key", answer="ApiKey")
    def get(self, request: Request, organization: str, api_key: str) -> Response:
        return data(resources.api_key(self.key()))

    @described("Change an API key", body=bodies.ApiKeyBody, answer="ApiKey")
    def patch(self, request: Request, organization: str, api_key: str) -> Response:
        changed = api_keys.update(
            self.key(),
            self.read(request, partial=True),
            granter=self.principal.grant,
        )
        return data(resources.api_key(changed), success=True)

    @described(
        "Change an API key: like PATCH, as clients use it", body=bodies.ApiKeyBody, answer="ApiKey"
    )
    def put(self, request: Request, organization: str, api_key: str) -> Any:
        return self.patch(request, organization, api_key)

    @described("Revoke an API key", status=204)
    def delete(self, request: Request, organization: str, api_key: str) -> Response:
        api_keys.revoke(self.key(), granter=self.principal.grant)
        return no_content()


class ApiKeyRotation(_ApiKeyView):
    abilities: ClassVar = {"POST": "api-token:create"}

    @described("Rotate the secret of an API key", answer="IssuedApiKey")
    def post(self, request: Request, organization: str, api_key: str) -> Response:
        self._require("api-token:delete")
        issued = api_keys.rotate(
            self.key(), granter=self.principal.grant, rotated_by=self.principal.person
        )
        shown = resources.api_key(issued.api_key)
        return Response(
            {
                "success": True,
                "message": "API key rotated. Save the token: it is shown only this once.",
                "token": issued.token,
                "api_key": shown,
                "data": {"token": issued.token, "api_key": shown},
            }
        )
