"""However an address is spelled: one account, one count, one invitation; and no answer says, nor
does the time it takes, whether there is such an account."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client

from organizations import limits, members
from organizations.grants import EVERYTHING
from organizations.models import Invitation, Organization, User
from tests.factories import PASSWORD, UserFactory
from tests.web.conftest import Browser, Entries

SPELLINGS = ("iris@example.org", "IRIS@example.org", "Iriſ@Example.org", "ıris@example.org")

WRONG = "not the password"


@pytest.fixture
def iris(db: None) -> User:
    return UserFactory.create(email="Iris@example.org")


def sign_in(client: Client, email: str, password: str = WRONG) -> int:
    return client.post("/sign-in", {"username": email, "password": password}).status_code


@pytest.mark.parametrize("spelling", SPELLINGS[:3])
def test_an_account_is_found_by_each_spelling(iris: User, browser: Browser, spelling: str) -> None:
    assert sign_in(browser(), spelling, PASSWORD) == 302


def test_another_letter_is_another_account(iris: User, browser: Browser) -> None:
    assert sign_in(browser(), "ıris@example.org", PASSWORD) == 200
    assert User.objects.with_email("ıris@example.org") is None


def test_attempts_are_counted_by_what_accounts_are_found_by(iris: User, settings: Any) -> None:
    most = settings.RATE_LIMITS["sign_in_account"].requests
    for number in range(most):
        client = Client(REMOTE_ADDR=f"203.0.113.{number}")
        assert sign_in(client, SPELLINGS[number % 3]) == 200
    for spelling in SPELLINGS[:3]:
        assert sign_in(Client(REMOTE_ADDR="198.51.100.1"), spelling, PASSWORD) == 429


def test_no_second_account_and_no_second_invitation_by_another_spelling(
    acme: Organization, owner: User, iris: User
) -> None:
    for spelling in SPELLINGS[:3]:
        with pytest.raises(IntegrityError, match="organizations_user_email"), transaction.atomic():
            User.objects.create_user(spelling)

    def invite(email: str) -> Invitation:
        return members.invite(
            acme, email, "member", invited_by=owner, granter=EVERYTHING
        ).invitation

    assert len({invite(spelling).pk for spelling in SPELLINGS[:3]}) == 1
    members.accept(invite("iris@example.org"), iris)
    for spelling in SPELLINGS[:3]:
        with pytest.raises(ValidationError, match="already a member"):
            invite(spelling)


def test_links_to_reset_are_counted_by_account_and_by_address(
    iris: User, browser: Browser, settings: Any
) -> None:
    most = settings.RATE_LIMITS["password_reset"].requests
    for number in range(most + 3):
        browser().post("/password/reset", {"email": SPELLINGS[number % 3]})
    assert len(mail.outbox) == most
    others = settings.RATE_LIMITS["password_reset_address"].requests - most - 3
    for number in range(others):
        answer = browser().post("/password/reset", {"email": f"nobody{number}@example.org"})
        assert answer.status_code == 302
    answer = browser().post("/password/reset", {"email": "nobody@example.org"})
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert browser().get("/password/reset").status_code == 200


def test_what_depends_on_the_account_is_done_after_the_answer(
    acme: Organization, iris: User, browser: Browser, django_assert_num_queries: Any
) -> None:
    """The statements before the answer are the same, so its duration reveals nothing."""
    from dotenv_cloud.accounts.views import AnswerFirst

    done: list[Any] = []
    patch = pytest.MonkeyPatch()
    patch.setattr(AnswerFirst, "close", lambda self: done.append(self.then))
    try:
        statements = []
        for email in ("iris@example.org", "nobody@example.org"):
            browser().post("/password/reset", {"email": email})  # the count is there
            with django_assert_num_queries(4, exact=False) as found:
                browser().post("/password/reset", {"email": email})
            named = (query["sql"].split(" VALUES")[0] for query in found)
            statements.append([re.sub(r'"s\d+_x\d+"', "one", sql) for sql in named])
    finally:
        patch.undo()
    assert statements[0] == statements[1]
    assert not mail.outbox
    assert len(done) == 4
    assert all(done)


def test_a_failure_to_send_mail_does_not_change_the_answer(
    iris: User, browser: Browser, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "there.is.NoSuchBackend"
    answers = {
        browser().post("/password/reset", {"email": email}).status_code
        for email in ("iris@example.org", "nobody@example.org")
    }
    assert answers == {302}


def test_a_link_that_is_asked_for_is_entered_with_where_it_came_from(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    browser().post("/password/reset", {"email": "OWNER@example.org"})
    [entry] = entries(acme, action="reset_password")
    assert (entry.ip, entry.interface, entry.actor_type) == ("203.0.113.7", "web", "anonymous")


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        (None, "unknown"),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(address: str | None, counted_as: str) -> None:
    assert limits.network(address) == counted_as


def test_one_ipv6_network_does_not_guess_by_many_addresses(iris: User, settings: Any) -> None:
    most = settings.RATE_LIMITS["sign_in_address"].requests
    for number in range(most):
        sign_in(Client(REMOTE_ADDR=f"2001:db8:1:2::{number + 1:x}"), f"guess{number}@example.org")
    assert sign_in(Client(REMOTE_ADDR="2001:db8:1:2:ffff::1"), "x@example.org") == 429
    assert sign_in(Client(REMOTE_ADDR="2001:db8:1:3::1"), "x@example.org") == 200
