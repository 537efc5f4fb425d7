"""Request context: who and from where, for every entry a request leaves.

The outer middleware names the origin and, once the answer is known, enters what was refused: in
a transaction of its own, so the rollback of the refused work cannot take the entry along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from audit import context
from audit.capture import refusals
from audit.context import Actor, Origin
from audit.policy import ActorType, Interface
from audit.redaction import clean
from organizations import ulid


def _origin(request: HttpRequest) -> Origin:
    command = request.headers.get("X-Client-Command", "")
    return Origin(
        interface=_interface(request, command),
        # Of the client: the site has looked behind its proxies before.
        ip=request.META.get("REMOTE_ADDR") or None,
        user_agent=clean(request.headers.get("User-Agent", ""), 512),
        request_id=ulid.new(),
        command=clean(command, 100),
    )


def _interface(request: HttpRequest, command: str) -> Interface:
    if request.path_info.startswith("/admin/"):
        return Interface.ADMIN
    if not request.path_info.startswith(("/api/", "/audit/")):
        return Interface.WEB
    return Interface.CLI if command else Interface.API


@sync_and_async_middleware
def RequestContextMiddleware(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:  # noqa: N802
    """Names the origin of whatever the request does; answers carry `X-Request-Id`."""

    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponse:
            origin = _origin(request)
            with context.acting_from(origin):
                response: HttpResponse = await get_response(request)
                if refusals.are_pending(request, response.status_code):
                    await sync_to_async(refusals.record)(request, response.status_code)
                assert origin.request_id is not None
                response.headers["X-Request-Id"] = ulid.to_text(origin.request_id)
                return response

        markcoroutinefunction(middleware)
        return middleware

    def sync_middleware(request: HttpRequest) -> HttpResponse:
        origin = _origin(request)
        with context.acting_from(origin):
            response: HttpResponse = get_response(request)
            if refusals.are_pending(request, response.status_code):
                refusals.record(request, response.status_code)
            assert origin.request_id is not None
            response.headers["X-Request-Id"] = ulid.to_text(origin.request_id)
            return response

    return sync_middleware


@sync_and_async_middleware
def ActorMiddleware(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:  # noqa: N802
    """Names the signed-in person as the actor. API keys name themselves when they authenticate."""
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> Any:
            _name_actor(await request.auser())
            return await get_response(request)

        return middleware

    def sync_middleware(request: HttpRequest) -> Any:
        _name_actor(request.user)
        return get_response(request)

    return sync_middleware


def _name_actor(user: Any) -> None:
    if user.is_authenticated:
        context.set_actor(Actor(ActorType.USER, user.pk, user.email))
