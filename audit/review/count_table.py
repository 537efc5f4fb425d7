"""The answer of a question that counts: a small table with bars, each row of which leads to its
entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import QueryDict

from audit.questions import counting
from audit.questions.asking import question_of
from audit.questions.filters import POSITION, EntryFilter

BY = "by"
"""The parameter that asks for a table of counts."""

WAYS = {
    "actor": ("Who", "people and keys"),
    "action": ("Action", "actions"),
    "type": ("Resource type", "resource types"),
    "resource": ("Resource", "resources"),
    "project": ("Project", "projects"),
    "ip": ("Address", "addresses"),
    "user_agent": ("Program", "programs"),
    "interface": ("Interface", "interfaces"),
    "result": ("Result", "results"),
    "severity": ("Severity", "severities"),
    "day": ("Day", "days"),
    "hour": ("Hour", "hours"),
}
"""By what entries are counted, each with its heading and what several of them are called."""

MOST_ROWS = 10


@dataclass(frozen=True)
class Row:
    """href: of the question narrowed to it, or nothing if no question finds just these; width: of
    its bar, of 100."""

    label: str
    count: int
    href: str
    width: str


@dataclass(frozen=True)
class Table:
    """said: which entries were counted, if not all; groups: how many values there are."""

    by: str
    heading: str
    rows: list[Row]
    groups: int
    many: str
    said: str
    at_least: int

    @property
    def is_cut(self) -> bool:
        return self.groups > len(self.rows)


def of(path: str, given: QueryDict, asked: EntryFilter, by: str = "") -> Table | None:
    """The table that a valid question asks for in words, or the reader by `by`; else None.

    given: the question in parameters, which the rows narrow."""
    question = question_of(asked)
    limit, at_least = None, None
    if question is not None and by in ("", question.by):
        by, limit, at_least = question.by, question.limit, question.at_least
    if by not in WAYS:
        return None
    found = counting.counts(asked, by, limit=limit or MOST_ROWS, at_least=at_least or 1)
    heading, many = WAYS[by]
    rows = list(_rows(path, given, found))
    return Table(by, heading, rows, found.groups, many, found.said, at_least or 1)


def _rows(path: str, given: QueryDict, found: counting.Counts) -> Iterator[Row]:
    for row in found.rows:
        yield Row(
            row.label, row.count, _narrowed(path, given, found.by, row), f"{row.share * 100:.1f}"
        )


def _narrowed(path: str, given: QueryDict, by: str, row: counting.Counted) -> str:
    # A thing within a project is asked for already: the project would be more than that.
    if not row.params or (by == "project" and "resource" in given):
        return ""
    rest = given.copy()
    for dropped in (*POSITION, "ask", BY):
        rest.pop(dropped, None)
    for name, text in row.params.items():
        if text:
            rest[name] = text
        else:
            rest.pop(name, None)
    return f"{path}?{rest.urlencode()}"
