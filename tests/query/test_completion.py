"""While somebody writes, the bar offers what may follow, out of what this reader may see."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.questions import bar
from audit.questions.bar import completion
from audit.questions.filters import EntryFilter
from organizations import ulid
from tests.query import seeding
from tests.query.conftest import NOW, ORGANIZATION, OTHER_ORGANIZATION, Log

pytestmark = pytest.mark.usefixtures("log", "db")


def offered(text: str) -> list[str]:
    found = completion.complete(ORGANIZATION, text)
    return [text[: found.start] + each.text for each in found.suggestions]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("who del", "who deleted the production environment?"),
        ("acti", "action:"),
        ("jane deleted -typ", "jane deleted -type:"),
        ("action:rot", "action:rotate"),
        ("-action:create,up", "-action:create,update"),
        ("type:api", "type:api_key"),
        ("result:f", "result:failed"),
        ("interface:c", "interface:cli"),
        ("kind:api", "kind:api_key"),
        ("field:is_p", "field:is_production"),
        ("since:tod", "since:today"),
        ('since:"last tu', 'since:"last tuesday"'),
        ("actor:jan", "actor:jane@example.org"),
        ("by:JAN", "by:jane@example.org"),
        (
            "action:delete actor:ali@example.org,zo",
            "action:delete actor:ali@example.org,zoë@example.org",
        ),
        ("actor:backup", 'actor:"backup, nightly"'),
        ('-actor:"back', '-actor:"backup, nightly"'),
        ("resource:app-1/back", "resource:app-1/backend"),
        ("resource:staging", "resource:app-0/backend/staging"),
        ("ci-d", "actor:ci-deploy"),
        ("new@", "resource:new@example.org"),
    ],
)
def test_it_offers_what_may_follow(typed: str, first: str) -> None:
    assert offered(typed)[0] == first
    log = bar.OfLog([ORGANIZATION.pk])
    struck = [each.why for each in bar.read(first, log=log).struck]
    if first in bar.examples():
        return  # with names that this log need not have
    assert struck == ([] if not first.endswith(":") else ["Add a value after the colon."])


def test_nothing_typed_is_answered_with_questions_that_one_may_ask() -> None:
    assert len(offered("")) == completion.MOST_SUGGESTIONS
    assert "who deleted the production environment?" in offered("who ")


@pytest.mark.parametrize(
    "typed", ["nobody-is-called-so", "action:xyz", "request:01", 'actor:"', "a:b"]
)
def test_it_offers_nothing_that_would_not_be_understood(typed: str) -> None:
    for text in offered(typed):
        assert bar.read(text, log=bar.OfLog([ORGANIZATION.pk])).struck == ()


def test_names_of_another_organization_are_never_offered(log: Log) -> None:
    mine = {row.resource_label for row in log.rows} | {row.actor_label for row in log.rows}
    theirs = {row.resource_label for row in log.other.rows(900, NOW - dt.timedelta(days=9), NOW)}
    assert "app-1" in theirs & mine
    found = completion.complete(OTHER_ORGANIZATION, "resource:app-1/encryption")
    assert found.with_names
    assert len(found.suggestions) == 1
    assert {text.removeprefix("resource:") for text in offered("resource:app")} <= mine


def test_what_is_not_sealed_yet_is_offered_and_versions_are_not(owner_connection: Any) -> None:
    fresh = seeding.Organization(OTHER_ORGANIZATION.pk, seed=5)
    fresh.resources = [
        ("environment", ulid.new(), "fresh/backend/production"),
        ("secret_version", ulid.new(), "fresh/backend/production#1"),
    ]
    seeding.receive(owner_connection, fresh.rows(30, NOW - dt.timedelta(minutes=1), NOW))
    found = completion.complete(OTHER_ORGANIZATION, "resource:fresh")
    assert [each.text for each in found.suggestions] == ["resource:fresh/backend/production"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text(max_size=40).filter(lambda text: "\x00" not in text)
    | st.builds(
        "{} {}:{}".format,
        st.text("ab \"'-", max_size=8),
        st.sampled_from(["actor", "resource", "-type", "when", "field", "q"]),
        st.text('ajp",\\ -é', max_size=8),
    )
)
def test_whatever_is_typed_is_completed(text: str) -> None:
    found = completion.complete(ORGANIZATION, text)
    assert 0 <= found.start <= len(text)
    assert len(found.suggestions) <= 50


def test_a_suggested_name_finds_its_entries(ask: Callable[..., EntryFilter]) -> None:
    for typed in ("actor:zo", "resource:app-2/prod", "actor:backup"):
        made = bar.read(offered(typed)[0])
        assert ask(**made.params).qs.exists()
