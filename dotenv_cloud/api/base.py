"""The base of every API view: the order of checks, the transaction, headers, limits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpResponseBase
from django.utils.http import http_date
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dotenv_cloud import limits
from dotenv_cloud.api import errors
from dotenv_cloud.api.principal import Principal
from organizations import hierarchy, ulid
from organizations.models import Organization, Project

SUNSET = dt.datetime(2027, 12, 31, tzinfo=dt.UTC)
"""When the long read-only paths of the hierarchy end."""


class ApiView(APIView):
    """Checks in the contract's order: address → token → organization → limit → ability → node.

    abilities: what each method needs; None for anybody with a token. The handler runs in one
    transaction; authentication and limits before it, so that a rollback takes no count along.
    """

    abilities: ClassVar[Mapping[str, str | None]] = {}
    limit_scopes: ClassVar[Mapping[str, str]] = {}
    legacy = False

    organization: Organization

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return transaction.non_atomic_requests(super().as_view(**initkwargs))

    @property
    def principal(self) -> Principal:
        principal: Principal = self.request.user  # type: ignore[assignment]
        return principal

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.limited: limits.Limited | None = None
        super().initial(request, *args, **kwargs)
        if not isinstance(request.user, Principal):
            raise errors.unauthenticated("Send an API key: Authorization: Bearer dotenv_…")
        self.organization = self._organization(kwargs.get("organization"))
        self._limit("api")
        method = str(request.method).lower()
        if method not in self.http_method_names or not hasattr(self, method):
            return
        if not self.organization.is_active:
            raise errors.ApiError(
                403,
                "organization_inactive",
                f"The organization is {self.organization.status}.",
                is_refusal=True,
            )
        self._require(self.abilities.get(method.upper()))
        if method in self.limit_scopes:
            self._limit(self.limit_scopes[method])
        # Found by the REST framework's dispatch in place of the method itself.
        setattr(self, method, transaction.atomic(getattr(self, method)))

    def _organization(self, reference: str | None) -> Organization:
        mine = self.principal.organization
        if reference is None:
            return mine
        key = ulid.parse_or_none(reference)
        if (key == mine.pk) if key else (reference.lower() == mine.slug):
            return mine
        raise errors.hidden("organization")

    def _limit(self, scope: str) -> None:
        self.limited = limits.hit(scope, str(self.organization.pk))
        if not self.limited.allowed:
            raise errors.ApiError(
                429,
                "rate_limited",
                f"Too many requests; try again in {self.limited.retry_after} seconds.",
                headers={"Retry-After": str(self.limited.retry_after)},
                is_refusal=True,
            )

    def _require(self, ability: str | None) -> None:
        self.ability = ability or ""
        if ability is not None and ability not in self.principal.abilities:
            raise errors.forbidden(ability)

    def finalize_response(
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> Any:
        finished = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        finished["X-API-Version"] = "1"
        finished["Cache-Control"] = "no-store"
        finished["X-XSS-Protection"] = "1; mode=block"
        limited = getattr(self, "limited", None)
        if limited is not None:
            finished["X-RateLimit-Limit"] = str(limited.limit)
            finished["X-RateLimit-Remaining"] = str(limited.remaining)
            finished["X-RateLimit-Reset"] = str(int(limited.reset_at.timestamp()))
        if self.legacy:
            finished["Deprecation"] = "true"
            finished["Sunset"] = http_date(SUNSET.timestamp())
        return finished

    # -- Nodes

    def project(self) -> Any:
        """The project of the path. What lies outside the token's scope does not exist for it."""
        project = hierarchy.find_node(
            Project.objects.filter(organization=self.organization), self.kwargs["project"].lower()
        )
        if project is None:
            raise errors.not_found("project")
        self._reach("project", project.pk)
        return project

    def target(self) -> Any:
        """The target of the path; its project's scope is not asked, only its own."""
        project = self._parent(
            Project.objects.filter(organization=self.organization), self.kwargs["project"]
        )
        target = hierarchy.find_node(project.targets.all(), self.kwargs["target"].lower())
        if target is None:
            raise errors.not_found("target")
        target.project = project
        self._reach("target", project.pk, target.pk)
        return target

    def environment(self) -> Any:
        project = self._parent(
            Project.objects.filter(organization=self.organization), self.kwargs["project"]
        )
        target = self._parent(project.targets.all(), self.kwargs["target"])
        target.project = project
        environment = hierarchy.find_node(
            target.environments.all(), self.kwargs["environment"].lower()
        )
        if environment is None:
            raise errors.not_found("environment")
        environment.target = target
        self._reach("environment", project.pk, target.pk, environment.pk)
        return environment

    def _parent(self, siblings: Any, reference: str) -> Any:
        node = hierarchy.find_node(siblings, reference.lower())
        if node is None:
            raise errors.not_found(siblings.model._meta.verbose_name)
        return node

    def _reach(self, what: str, *path: Any) -> None:
        if not self.principal.reaches(self.ability, *path):
            raise errors.hidden(what)


def data(resource: Mapping[str, Any], status: int = 200, **more: Any) -> Response:
    """`{"data": resource, ...}`."""
    return Response({"data": resource, **more}, status=status)


def no_content() -> Response:
    return Response(status=204)
