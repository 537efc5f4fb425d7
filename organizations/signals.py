"""The seam between the product and whoever records what it does: everything announced, in one page.

| signal | sent by | carries |
|---|---|---|
| `act_begun` | `act`, which a verb with consequences opens | sender `Act`, act |
| `content_revealed` | whatever hands out a secret, a version or a key | sender (the model), verb, \
revealed (each instance with its facts) |
| `access_denied` | the one place that refuses | sender, request, status (int), reason (an error \
code), organization_id (or None) |
| `token_used` | authentication | sender (the model), token, is_first: for the first time, or from \
an address that it was not used from before |

Nothing here knows who listens. A receiver that raises stops what was announced: a reveal that
cannot be recorded must not happen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.dispatch import Signal

act_begun = Signal()
content_revealed = Signal()
access_denied = Signal()
token_used = Signal()


class Verb(StrEnum):
    """What is done on purpose, where "create", "update" or "delete" would say too little."""

    CHANGE_PASSWORD = "change_password"  # noqa: S105  # a word
    DECRYPT = "decrypt"
    DELETE = "delete"
    INVITE = "invite"
    JOIN = "join"
    LEAVE = "leave"
    PURGE = "purge"
    RE_ENCRYPT = "re_encrypt"
    READ = "read"
    RESTORE = "restore"
    RETRIEVE = "retrieve"
    REWRAP = "rewrap"
    ROTATE = "rotate"
    STORE = "store"
    SWITCH_CUSTODY = "switch_custody"


@dataclass(frozen=True)
class Act:
    """A verb and facts around the row changes that carry it out."""

    verb: Verb
    facts: Mapping[str, Any] = field(default_factory=dict)


_current: ContextVar[Act | None] = ContextVar("act", default=None)


def current_act() -> Act | None:
    """The innermost act under way, or None."""
    return _current.get()


@contextmanager
def act(verb: Verb, **facts: Any) -> Iterator[Act]:
    """Say that the changes made inside are done to `verb`, with `facts` worth recording.

    A fact that is None is left out. Raises what a receiver of `act_begun` raises, such as for a
    fact that nobody expects of this verb.
    """
    begun = Act(Verb(verb), {name: value for name, value in facts.items() if value is not None})
    act_begun.send(Act, act=begun)
    token = _current.set(begun)
    try:
        yield begun
    finally:
        _current.reset(token)
