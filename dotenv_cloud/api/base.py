"""The base of every API view: the order of checks, the transaction, headers, limits."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.http import http_date, parse_etags
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dotenv_cloud.api import errors
from dotenv_cloud.api.bodies import JsonBody
from dotenv_cloud.api.principal import Principal
from keys.levels import Level
from organizations import hierarchy, limits
from organizations.grants import LEVELS
from organizations.models import Environment, Organization, Project, Target

SUNSET = dt.datetime(2027, 12, 31, tzinfo=dt.UTC)
"""When the long read-only paths of the hierarchy end."""


_HANDLERS = {"get", "post", "put", "patch", "delete"}
_CHILDREN = ("projects", "targets", "environments")

ReadAs = Callable[[QuerySet[Any]], QuerySet[Any]]


def unchanged(nodes: QuerySet[Any]) -> QuerySet[Any]:
    return nodes


def locked(nodes: QuerySet[Any]) -> QuerySet[Any]:
    """For a change: nobody else changes the node meanwhile."""
    return nodes.select_for_update(of=("self",))


class AlwaysJson(BaseContentNegotiation):
    """Whatever a client says it accepts: it gets JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        media_type = request.content_type.partition(";")[0].strip().lower()
        return parsers[0] if media_type in ("", "application/json") else None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class AtomicHandlers:
    """Each handler that a view defines, `get`, `post` and so on, runs in one transaction; unless
    the view says that it makes transactions itself."""

    is_atomic: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.is_atomic:
            return
        for method in _HANDLERS & vars(cls).keys():
            setattr(cls, method, transaction.atomic(vars(cls)[method]))


class ApiView(AtomicHandlers, APIView):
    """Checks in the contract's order: address → token → organization → limit → ability → node.

    abilities: what each method needs; None for anybody with a token. Authentication
    and limits come before the handler's transaction, so that a rollback takes no count along.
    """

    abilities: ClassVar[Mapping[str, str | None]] = {}
    limit_scopes: ClassVar[Mapping[str, str]] = {}
    legacy = False
    is_conditional = False
    """Its answers to GET have ETags: they are lists, or what hardly changes, and no secrets."""
    is_unlimited = False
    """Requests for it are not counted: there are many, they cost little and each is made once."""
    http_method_names = [*sorted(_HANDLERS), "head"]
    permission_classes = [IsAuthenticated]
    parser_classes = [JsonBody]
    content_negotiation_class = AlwaysJson

    organization: Organization
    """The one of the path, or the API key's own; a person elsewhere has none."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return transaction.non_atomic_requests(super().as_view(**initkwargs))

    @property
    def principal(self) -> Principal:
        principal: Principal = self.request.user  # type: ignore[assignment]
        return principal

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.limited: limits.Limited | None = None
        self._counted_in: str | None = None
        super().initial(request, *args, **kwargs)
        if not isinstance(request.user, Principal):
            raise errors.unauthenticated(errors.NO_CALLER)
        self._enter(kwargs.get("organization"))
        method = str(request.method).lower()
        if method not in self.http_method_names or not hasattr(self, method):
            return
        if self.principal.organization and not self.organization.is_active:
            raise errors.ApiError(
                403,
                "organization_inactive",
                f"The organization is {self.organization.status}.",
                is_refusal=True,
            )
        self._require(self.abilities["GET" if method == "head" else method.upper()])
        if method in self.limit_scopes:
            self._counted_in = self.limit_scopes[method]
            self._limit(self._counted_in)

    def _enter(self, reference: str | None) -> None:
        """Go to the organization of the path; one that is not the caller's is not there. What is
        counted is the organization's, and a person's own elsewhere: looking around has a limit."""
        entered = self.principal if reference is None else self.principal.entering(reference)
        if entered is not None:
            self.request.user = entered  # type: ignore[assignment]
            self.request._request.api_principal = entered  # type: ignore[attr-defined]
        self._limit("api")
        if entered is None:
            raise errors.hidden("organization")
        if entered.organization is not None:
            self.organization = entered.organization

    def _limit(self, scope: str) -> None:
        if self.is_unlimited:
            return
        self.limited = limits.hit(scope, str(self.principal.limited_as))
        if not self.limited.allowed:
            raise errors.rate_limited(self.limited, "Too many requests")

    def _require(self, ability: str | None) -> None:
        self.ability = ability or ""
        if ability is not None and ability not in self.principal.abilities:
            raise errors.forbidden(ability)

    def also_require(self, ability: str) -> None:
        """For what depends on what is asked: raise a 403 unless the caller has `ability` too."""
        if ability not in self.principal.abilities:
            raise errors.forbidden(ability)

    def finalize_response(
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> Any:
        finished = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        if finished.status_code >= 400:
            self._take_back()
        finished = self._unless_known(request, finished)
        headers = dict(errors.HEADERS)
        limited: limits.Limited | None = getattr(self, "limited", None)
        if limited is not None:
            headers |= limited.headers
        if self.legacy:
            headers |= {"Deprecation": "true", "Sunset": http_date(SUNSET.timestamp())}
        for name, value in headers.items():
            finished[name] = value
        return finished

    def _unless_known(self, request: Request, response: Any) -> Any:
        """The answer with an ETag, where it has one; 304 if the client has it already."""
        is_one = self.is_conditional or getattr(response, "is_conditional", False)
        if not is_one or request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        text = json.dumps(response.data, sort_keys=True, default=str)
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        known = parse_etags(request.headers.get("If-None-Match", ""))
        if "*" in known or tag in (each.removeprefix("W/") for each in known):
            response.data, response.status_code = None, 304
        response["ETag"] = tag
        return response

    def _take_back(self) -> None:
        """What was refused does not count against a limit of its own, such as that of rotations."""
        if getattr(self, "_counted_in", None) is None or self.limited is None:
            return
        with suppress(DatabaseError, InterfaceError):  # it may be why this is refused
            limits.take_back(str(self._counted_in), str(self.principal.limited_as))
        if self.limited.allowed:
            self.limited = replace(self.limited, remaining=self.limited.remaining + 1)

    # -- Nodes

    def project(self, *, in_part: bool = False, read_as: ReadAs = unchanged) -> Project:
        """The project of the path. in_part: the ability may be narrowed to something below it;
        read_as: what else to read of it, or to lock it."""
        project: Project = self._walk(1, in_part, read_as)
        return project

    def target(self, *, in_part: bool = False, read_as: ReadAs = unchanged) -> Target:
        target: Target = self._walk(2, in_part, read_as)
        return target

    def environment(self, *, read_as: ReadAs = unchanged) -> Environment:
        environment: Environment = self._walk(3, False, read_as)
        return environment

    def project_called(self, reference: str, *, in_part: bool = False) -> Project:
        """As `project`, for one that the body names."""
        project: Project = self._walk(1, in_part, unchanged, {"project": reference})
        return project

    def level(
        self, project: str, target: str | None = None, environment: str | None = None
    ) -> Level:
        """The level that path or body names, where the ability must reach."""
        if environment and not target:
            raise errors.invalid({"target": ["Name the target of the environment too."]})
        names = {"project": project, "target": target, "environment": environment}
        given = {name: reference for name, reference in names.items() if reference}
        node = self._walk(len(given), False, unchanged, given)
        if isinstance(node, Environment):
            return Level(node.target.project, node.target, node)
        return Level(node.project, node) if isinstance(node, Target) else Level(node)

    def _walk(
        self,
        depth: int,
        in_part: bool,
        read_as: ReadAs,
        references: Mapping[str, str] | None = None,
    ) -> Any:
        """The node that the path (or `references`) names at `depth`. What the ability is not
        narrowed to is not there, at any level: the same words as for what does not exist."""
        references = self.kwargs if references is None else references
        node: Any = None
        path: list[uuid.UUID] = []
        for level, siblings in zip(LEVELS[:depth], _CHILDREN, strict=False):
            children = getattr(node or self.organization, siblings).all()
            if level == LEVELS[depth - 1]:
                children = read_as(children)
            node = hierarchy.find_node(children, references[level].lower())
            if node is None:
                raise errors.not_found(level)
            path.append(node.pk)
            if not self.principal.reaches_into(self.ability, *path):
                raise errors.hidden(level)
        if not in_part and not self.principal.reaches(self.ability, *path):
            raise errors.hidden(LEVELS[depth - 1])
        return node


def data(resource: Mapping[str, Any], status: int = 200, **more: Any) -> Response:
    """`{"data": resource, ...}`."""
    return Response({"data": resource, **more}, status=status)


def no_content() -> Response:
    return Response(status=204)
