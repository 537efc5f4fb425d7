"""Who acts in the demo, from where and when; and the plan of its scenes.

Scenes are collected first, in any order, and played in the order of their times: ids contain the
time and numbers follow it, so history has to be played forwards.
"""

from __future__ import annotations

import datetime as dt
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connections
from django.http import HttpRequest

from audit import context, receivers
from audit.context import Actor, Origin
from audit.policy import ActorType, Interface
from keys import tokens
from keys.models import ApiKey
from organizations import clock, permissions, ulid
from organizations.grants import Grant
from organizations.models import Organization, User

CLI = "dotenv-cli/0.1.0"
SECRET_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # noqa: S105 - what passwords are made of
"""Without characters that look alike: people read these passwords off a screen."""


@contextmanager
def owner_connection() -> Iterator[None]:
    """Inside, `default` is the owner's connection, in this thread alone.

    The shifted clock sets ids, so that an entry has the time at which its scene is set. The
    application's role must not be able to do that.
    """
    application = connections["default"]
    connections["default"] = connections["owner"]
    _rows.clear()
    try:
        yield
    finally:
        connections["default"] = application


@dataclass(frozen=True)
class Person:
    """A person in the demo; `ip` and `browser` are where their entries come from."""

    name: str
    email: str
    ip: str
    browser: str

    @property
    def first_name(self) -> str:
        return self.name.split()[0]

    def row(self) -> User:
        """Read once: nobody in the demo changes their e-mail address."""
        if self.email not in _rows:
            _rows[self.email] = User.objects.get(email=self.email)
        return _rows[self.email]


_rows: dict[str, User] = {}


def new_password() -> str:
    """About 59 bits, such as `k7qm-x2pd-9rtw`."""
    groups = ("".join(secrets.choice(SECRET_ALPHABET) for _ in range(4)) for _ in range(3))
    return "-".join(groups)


# -- Acting


@contextmanager
def person(
    who: Person, interface: Interface = Interface.WEB, ip: str | None = None
) -> Iterator[User]:
    """Inside, a signed-in person acts."""
    user = who.row()
    with _origin(interface, ip or who.ip, who.browser), context.acting_as(_actor_of(user)):
        yield user


@contextmanager
def stranger(ip: str, browser: str) -> Iterator[None]:
    """Inside, somebody who has not signed in acts."""
    with _origin(Interface.WEB, ip, browser):
        yield


@contextmanager
def program(api_key: ApiKey, ip: str, user_agent: str = CLI, command: str = "") -> Iterator[ApiKey]:
    """Inside, a program acts with an API key; with `command`, through the `dotenv` command."""
    interface = Interface.CLI if command else Interface.API
    actor = Actor(ActorType.API_KEY, api_key.pk, api_key.name)
    with _origin(interface, ip, user_agent, command), context.acting_as(actor):
        last = api_key.last_used_at
        if last is None or clock.now() - last > dt.timedelta(days=1):
            tokens.note_use(api_key, ip)
        yield api_key


@contextmanager
def operator(command: str) -> Iterator[None]:
    """Inside, somebody at the server's own command line acts."""
    with _origin(Interface.COMMAND, None, "", command), context.acting_as(context.SYSTEM):
        yield


@contextmanager
def _origin(
    interface: Interface, ip: str | None, user_agent: str, command: str = ""
) -> Iterator[None]:
    # The server's own commands are not requests.
    request_id = ulid.new() if ip else None
    with context.acting_from(Origin(interface, ip, user_agent, request_id, command)):
        yield


def _actor_of(user: User) -> Actor:
    return Actor(ActorType.USER, user.pk, user.email)


def held_by(user: User, organization: Organization) -> Grant:
    return Grant(permissions.abilities_of(user, organization))


# -- Signing in: our receivers of Django's signals, without Django's own, which would record the
#    real time


def sign_up(who: Person, password: str | None) -> User:
    """An account; without `password` nobody can sign in to it."""
    with stranger(who.ip, who.browser):
        return User.objects.create_user(who.email, password, name=who.name)


def sign_in(who: Person, ip: str | None = None) -> None:
    with stranger(ip or who.ip, who.browser):
        user = who.row()
        receivers.record_sign_in(HttpRequest(), user)
        User.objects.filter(pk=user.pk).update(last_login=clock.now(), updated_at=clock.now())


def sign_out(who: Person) -> None:
    with person(who) as user:
        receivers.record_sign_out(HttpRequest(), user)


def fail_to_sign_in(email: str, ip: str, browser: str) -> None:
    with stranger(ip, browser):
        receivers.record_failed_sign_in({"username": email})


# -- The plan


@dataclass
class Plan:
    """Scenes by moment. `today` is the demo day's midnight (UTC); nothing happens after `now`."""

    now: dt.datetime
    random: random.Random = field(default_factory=lambda: random.Random(90))  # noqa: S311
    scenes: list[tuple[dt.datetime, Callable[[], object]]] = field(default_factory=list)

    @property
    def today(self) -> dt.datetime:
        return self.now.replace(hour=0, minute=0, second=0, microsecond=0)

    def add(self, days_ago: int, time: str, scene: Callable[[], object]) -> None:
        """Play `scene` so many days before the demo day, at `time` (HH:MM or HH:MM:SS, UTC)."""
        at = dt.time.fromisoformat(time)
        # People do not act exactly on the minute; scheduled programs do, and give the seconds.
        second = at.second if time.count(":") == 2 else self.random.randrange(60)
        moment = self.today - dt.timedelta(days=days_ago)
        moment += dt.timedelta(hours=at.hour, minutes=at.minute, seconds=second)
        if moment < self.now - dt.timedelta(minutes=2):
            self.scenes.append((moment, scene))

    def is_workday(self, days_ago: int) -> bool:
        return (self.today - dt.timedelta(days=days_ago)).weekday() < 5

    def days_since_last(self, weekday: int) -> int:
        """How many days ago that weekday was; 7 when it is today. Monday is 0."""
        return (self.today.weekday() - weekday - 1) % 7 + 1

    def play(self) -> None:
        for moment, scene in sorted(self.scenes, key=lambda planned: planned[0]):
            with clock.at(moment):
                scene()
