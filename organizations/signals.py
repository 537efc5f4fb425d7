"""The seam between the product and its audit log: everything that is announced, on one page.

rows_written: sent by the database backend (`organizations.postgresql`) for every ORM write of every
    model: save, bulk, update, delete, cascade, many-to-many. sender: the model; operation. Answered
    with the `Words` of the write, which its statement then carries, or None.
act_begun: sent by `act`, which a verb with consequences opens. sender: `Act`; act.
content_revealed: sent by whatever hands out a secret, a version or a key, before it does. sender:
    the model; verb; revealed (each instance that is revealed at once, with its facts: a dict).
access_denied: sent by the one place that refuses. sender; request, status (int), reason (an error
    code), organization_id (or None).
token_used: sent by authentication. sender: the model; token, is_first (bool): for the first time,
    or from an address that it was not used from before.

Nothing here knows who listens. A receiver that raises stops what was announced: a reveal that
cannot be recorded must not happen, nor a write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, cast

from django.db.models import Model
from django.dispatch import Signal

rows_written = Signal(use_caching=True)
act_begun = Signal()
content_revealed = Signal()
access_denied = Signal()
token_used = Signal()


class Operation(StrEnum):
    """What a write does to rows, by the name under which it is recorded."""

    INSERT = "create"
    UPDATE = "update"
    DELETE = "delete"


class Words(NamedTuple):
    """What a write says of itself: SQL that its own statement carries.

    sql: a common table expression called `name`, of one row, with a placeholder for `parameter`.
    """

    name: str
    sql: str
    parameter: str


def words_for(model: type[Model], operation: Operation) -> Words | None:
    """Announce a write that is about to be made; returns its words, None if nobody has any."""
    answered = rows_written.send(model, operation=operation)
    answers = [cast(Words, answer) for _, answer in answered if answer is not None]
    if len(answers) > 1:
        raise RuntimeError(
            f"{len(answers)} receivers of rows_written answered for one {operation} of"
            f" {model._meta.label}; a statement carries the words of one"
        )
    return answers[0] if answers else None


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
