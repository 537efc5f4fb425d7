"""The seam between the product and its log: what is announced, and what may be answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.checks import run_checks
from django.db import connection
from django.test.utils import CaptureQueriesContext

from organizations.models import Environment, Project, User
from organizations.signals import Operation, Verb, act, current_act, rows_written
from tests.factories import EnvironmentFactory, UserFactory

Announced = list[tuple[str, Operation]]


@contextmanager
def heard(answer: Callable[..., Any]) -> Iterator[None]:
    rows_written.connect(answer)
    try:
        yield
    finally:
        rows_written.disconnect(answer)


@pytest.fixture
def announced() -> Iterator[Announced]:
    found: Announced = []

    def note(sender: type[Any], operation: Operation, **kwargs: Any) -> None:
        found.append((sender.__name__, operation))

    with heard(note):
        yield found


@pytest.mark.django_db
def test_every_write_of_every_model_is_announced(announced: Announced) -> None:
    user = UserFactory.create()
    environment = EnvironmentFactory.create()
    target = environment.target
    deeds: list[tuple[Callable[[], object], Announced]] = [
        (environment.save, [("Environment", Operation.UPDATE)]),
        (
            lambda: Environment.objects.filter(target=target).update(name="x"),
            [("Environment", Operation.UPDATE)],
        ),
        (
            lambda: Project.objects.bulk_update([target.project], ["name"]),
            [("Project", Operation.UPDATE)],
        ),
        (
            lambda: Environment.objects.bulk_create(
                [
                    Environment(target=target, organization=target.organization, slug=slug)
                    for slug in ("a", "b")
                ]
            ),
            [("Environment", Operation.INSERT)],
        ),
        # One that is not audited is announced like any other; nobody has words for it.
        (lambda: Group.objects.create(name="reviewers"), [("Group", Operation.INSERT)]),
        (
            lambda: user.groups.add(Group.objects.get()),
            [("User_groups", Operation.INSERT)],
        ),
        (
            lambda: Group.objects.get().delete(),
            [
                ("Group_permissions", Operation.DELETE),
                ("User_groups", Operation.DELETE),
                ("Group", Operation.DELETE),
            ],
        ),
    ]
    for deed, expected in deeds:
        announced.clear()
        deed()
        # A group has other tables below it too.
        assert {*expected} <= {*announced}


@pytest.mark.django_db
def test_two_answers_for_one_write_are_an_error() -> None:
    user = UserFactory.create()
    answer = rows_written.send(User, operation=Operation.UPDATE)[0][1]
    with heard(lambda **kwargs: answer), pytest.raises(RuntimeError, match="2 receivers"):
        user.save()


@pytest.mark.django_db
def test_a_write_that_nobody_has_words_for_is_djangos_own() -> None:
    with CaptureQueriesContext(connection) as queries:
        Group.objects.create(name="reviewers")
    assert queries[0]["sql"].startswith('INSERT INTO "auth_group"')


def test_the_innermost_act_counts() -> None:
    with act(Verb.STORE, no_backup=None):
        with act(Verb.PURGE):
            assert current_act() is not None
            assert current_act().verb is Verb.PURGE  # type: ignore[union-attr]
        # A fact that is None is left out.
        assert current_act().facts == {}  # type: ignore[union-attr]
    assert current_act() is None


def test_a_backend_that_announces_nothing_fails_the_system_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "organizations.E001" not in {message.id for message in run_checks()}
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    [message] = [each for each in run_checks() if each.id == "organizations.E001"]
    assert "DATABASES['default'] uses the backend django.db.backends.postgresql" in message.msg
    assert message.hint == 'Set its ENGINE to "organizations.postgresql".'
