"""Who acts and from where, for the code that runs now.

Two context variables, entered by the request middleware, by API authentication, by `manage.py`
and by code that calls functions directly. Only entries read them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from audit.policy import ActorType, Interface
from audit.redaction import clean


@dataclass(frozen=True)
class Actor:
    type: ActorType
    id: uuid.UUID | None
    label: str


@dataclass(frozen=True)
class Origin:
    """Where an action comes from. `command`: the command of the client or of `manage.py`;
    `access_token`: the ULID of the token by which a person calls."""

    interface: Interface
    ip: str | None = None
    user_agent: str = ""
    request_id: uuid.UUID | None = None
    command: str = ""
    access_token: str = ""


SYSTEM = Actor(ActorType.SYSTEM, None, "system")
ANONYMOUS = Actor(ActorType.ANONYMOUS, None, "anonymous")
NO_ORIGIN = Origin(Interface.COMMAND)

_actor: ContextVar[Actor] = ContextVar("audit_actor", default=SYSTEM)
_origin: ContextVar[Origin] = ContextVar("audit_origin", default=NO_ORIGIN)


def actor() -> Actor:
    return _actor.get()


def origin() -> Origin:
    return _origin.get()


def set_actor(value: Actor) -> None:
    """Name the actor from here on, until the surrounding `acting_from` ends."""
    _actor.set(value)


def set_access_token(value: str) -> None:
    _origin.set(replace(_origin.get(), access_token=value))


@contextmanager
def acting_as(value: Actor) -> Iterator[None]:
    """Changes made inside are recorded as `value`'s."""
    token = _actor.set(value)
    try:
        yield
    finally:
        _actor.reset(token)


@contextmanager
def acting_from(value: Origin, who: Actor = ANONYMOUS) -> Iterator[None]:
    """Changes made inside are recorded as coming from `value`, by `who` until named."""
    actor_token, origin_token = _actor.set(who), _origin.set(value)
    try:
        yield
    finally:
        _actor.reset(actor_token)
        _origin.reset(origin_token)


@contextmanager
def command(argv: Sequence[str]) -> Iterator[None]:
    """Changes made inside are recorded as made by a management command (its name alone)."""
    name = clean(argv[1] if len(argv) > 1 else "help", 100)
    with acting_from(Origin(Interface.COMMAND, command=name), SYSTEM):
        yield
