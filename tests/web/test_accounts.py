"""Signing in and out, passwords, and joining by the link of an invitation."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core import mail
from django.db import connection, connections
from django.test import Client

from organizations import clock, members
from organizations.grants import EVERYTHING
from organizations.models import Organization, User
from tests.factories import PASSWORD, UserFactory
from tests.web.conftest import ADDRESS, AGENT, Browser, Entries

NEW_PASSWORD = "a different long password"


def sign_in(client: Client, email: str, password: str = PASSWORD, **extra: Any) -> Any:
    return client.post("/sign-in", {"username": email, "password": password}, **extra)


# -- Signing in and out


def test_signing_in_leaves_an_entry_in_the_organization_of_the_person(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    answer = sign_in(browser(), "OWNER@example.org")
    assert answer.status_code == 302
    [entry] = entries(acme, action="sign_in")
    assert (entry.actor_id, entry.actor_label) == (owner.pk, owner.email)
    assert (entry.result, entry.ip, entry.user_agent) == ("success", ADDRESS, AGENT)


def test_signing_out_takes_a_post_and_leaves_an_entry(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser(owner)
    assert client.get("/sign-out").status_code == 405
    assert client.post("/sign-out").status_code == 302
    assert entries(acme, action="sign_out")[-1].actor_id == owner.pk
    assert client.get("/o/acme/activity").status_code == 302


def test_a_form_from_elsewhere_is_refused(acme: Organization, owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert sign_in(client, owner.email).status_code == 403


def test_a_wrong_password_is_entered_where_the_person_belongs(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    answer = sign_in(browser(), owner.email, "wrong")
    assert answer.status_code == 200
    [entry] = entries(acme, action="sign_in")
    assert (entry.result, entry.reason, entry.actor_type) == (
        "failed",
        "wrong_password",
        "anonymous",
    )


def test_an_unknown_account_is_entered_without_what_was_typed(
    acme: Organization, browser: Browser, entries: Entries
) -> None:
    sign_in(browser(), "my-secret-password@example.org", "wrong")
    [entry] = entries(None, action="sign_in")
    assert entry.reason == "unknown_account"
    assert "my-secret-password" not in str(vars(entry))


def test_signing_in_never_redirects_to_another_site(
    acme: Organization, owner: User, browser: Browser
) -> None:
    values = {"username": owner.email, "password": PASSWORD, "next": "https://evil.example/"}
    assert browser().post("/sign-in", values).headers["Location"] == "/"


@pytest.mark.parametrize("email", ["owner@example.org", "nobody@example.org"])
def test_after_ten_failures_an_account_waits_whether_it_exists_or_not(
    email: str, acme: Organization, browser: Browser
) -> None:
    for _ in range(10):
        assert sign_in(browser(), email, "wrong").status_code == 200
    answer = sign_in(browser(), email, "wrong")
    assert answer.status_code == 429
    assert "Too many failed attempts. Try again in 15 minutes" in answer.content.decode()


def test_who_has_to_wait_cannot_sign_in_with_the_right_password_either(
    acme: Organization, owner: User, browser: Browser
) -> None:
    for _ in range(10):
        sign_in(browser(), owner.email, "wrong")
    client = browser()
    assert sign_in(client, owner.email.upper()).status_code == 429
    assert client.get("/o/acme/activity").status_code == 302
    with connection.cursor() as cursor:
        cursor.execute("UPDATE organizations_limit SET ends_at = now() - interval '1 s'")
    assert sign_in(client, owner.email).status_code == 302


def test_a_new_password_ends_the_wait(acme: Organization, owner: User, browser: Browser) -> None:
    for _ in range(11):
        answer = sign_in(browser(), owner.email, "wrong")
    assert answer.status_code == 429
    client = browser()
    client.post("/password/reset", {"email": owner.email})
    [link] = re.findall(r"http://testserver(/password/reset/\S+)", str(mail.outbox[0].body))
    form = client.get(link, follow=True)
    values = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    client.post(form.redirect_chain[-1][0], values)
    assert sign_in(browser(), owner.email, NEW_PASSWORD).status_code == 302


def test_a_refusal_for_too_many_tries_is_in_the_log_of_the_organization_once_a_minute(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    for _ in range(13):
        sign_in(browser(), owner.email, "wrong")
    [entry] = entries(acme, action="sign_in", result="denied")
    assert (entry.resource_id, entry.resource_label) == (owner.pk, owner.email)
    assert (entry.actor_type, entry.ip) == ("anonymous", ADDRESS)
    assert entry.reason == "too_many_attempts_of_account"


def test_an_address_that_has_to_wait_cannot_lock_an_account(
    acme: Organization, owner: User, browser: Browser
) -> None:
    for number in range(30):
        sign_in(browser(), f"guess{number}@example.org", "wrong")
    for _ in range(20):
        assert sign_in(browser(), owner.email, "wrong").status_code == 429
    assert sign_in(Client(REMOTE_ADDR="198.51.100.9"), owner.email).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_many_attempts_at_once_no_more_than_the_limit_are_looked_at(
    acme: Organization, owner: User, browser: Browser
) -> None:
    def attempt(number: int) -> int:
        try:
            status: int = sign_in(browser(), owner.email, "wrong").status_code
            return status
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as pool:
        answers = Counter(pool.map(attempt, range(32)))
    assert answers == {200: 10, 429: 22}


def test_an_address_that_tries_many_accounts_waits_and_others_do_not(
    acme: Organization, owner: User, browser: Browser
) -> None:
    for number in range(30):
        sign_in(browser(), f"guess{number}@example.org", "wrong")
    assert sign_in(browser(), owner.email).status_code == 429
    assert sign_in(Client(REMOTE_ADDR="198.51.100.9"), owner.email).status_code == 302


def test_signing_in_rightly_is_not_counted(
    acme: Organization, owner: User, browser: Browser
) -> None:
    for _ in range(12):
        assert sign_in(browser(), owner.email).status_code == 302


# -- Passwords


def test_changing_one_s_password_asks_for_the_old_one_and_leaves_an_entry(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser(owner)
    values = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    client.post("/password", {**values, "old_password": "wrong"})
    assert not entries(acme, action="change_password")
    answer = client.post("/password", {**values, "old_password": PASSWORD}, follow=True)
    assert "Your password was changed." in answer.content.decode()
    [entry] = entries(acme, action="change_password")
    assert (entry.actor_id, entry.resource_id) == (owner.pk, owner.pk)
    assert entry.changed_fields == ["password"]
    assert NEW_PASSWORD not in str(vars(entry))


def test_wrong_passwords_of_someone_signed_in_count_like_those_at_sign_in(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    """Else whoever has a session could guess on until the password opens everything else."""
    client = browser(owner)
    values = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    for number in range(10):
        answer = client.post("/password", {**values, "old_password": f"wrong{number}"})
        assert "This is not your password." in answer.content.decode()
    answer = client.post("/password", {**values, "old_password": PASSWORD})
    assert "Too many wrong passwords." in answer.content.decode()
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)
    assert sign_in(browser(), owner.email).status_code == 429
    found = [(entry.reason, entry.actor_id) for entry in entries(acme, action="access")]
    assert found == [("wrong_password", owner.pk), ("rate_limited", owner.pk)]


def test_a_password_too_easy_is_refused(acme: Organization, owner: User, browser: Browser) -> None:
    answer = browser(owner).post(
        "/password",
        {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"},
    )
    assert "too short" in answer.content.decode()
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


def test_a_mailed_link_resets_a_forgotten_password_once(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser()
    client.post("/password/reset", {"email": owner.email})
    [entry] = entries(acme, action="reset_password")
    assert (entry.actor_type, entry.resource_id) == ("anonymous", owner.pk)
    [message] = mail.outbox
    assert message.to == [owner.email]
    [link] = re.findall(r"http://testserver(/password/reset/\S+)", str(message.body))

    form = client.get(link, follow=True)
    values = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    answer = client.post(form.redirect_chain[-1][0], values, follow=True)
    assert "Your password was changed" in answer.content.decode()
    assert entries(acme, action="change_password")
    assert sign_in(browser(), owner.email, NEW_PASSWORD).status_code == 302
    again = browser().get(link, follow=True).content.decode()
    assert "This link no longer works" in again


def test_a_reset_reveals_to_nobody_which_accounts_exist(
    acme: Organization, owner: User, browser: Browser
) -> None:
    answers = [
        browser().post("/password/reset", {"email": email}, follow=True)
        for email in (owner.email, "nobody@example.org")
    ]
    assert answers[0].content == answers[1].content
    assert len(mail.outbox) == 1


# -- Joining


def invite(acme: Organization, owner: User, email: str, role: str = "developer") -> str:
    invited = members.invite(acme, email, role, invited_by=owner, granter=EVERYTHING)
    return f"/invitations/{invited.token}"


def test_someone_new_joins_with_a_name_and_a_password(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    link, client = invite(acme, owner, "new@example.org"), browser()
    assert "new@example.org" in client.get(link).content.decode()
    answer = client.post(link, {"name": "Nina New", "password": NEW_PASSWORD}, follow=True)
    assert answer.redirect_chain[-1][0] == "/o/acme/projects"
    user = User.objects.get(email="new@example.org")
    assert user.name == "Nina New"
    assert acme.memberships.get(user=user).role == "developer"
    [entry] = entries(acme, action="join", actor_id=user.pk)
    assert (entry.resource_label, entry.ip) == ("new@example.org", ADDRESS)
    assert browser().get(link).status_code == 404


def test_joining_holds_passwords_to_the_same_rules(
    acme: Organization, owner: User, browser: Browser
) -> None:
    link = invite(acme, owner, "new@example.org")
    answer = browser().post(link, {"name": "Nina", "password": "password1234"})
    assert "too common" in answer.content.decode()
    assert not User.objects.filter(email="new@example.org").exists()


def test_someone_with_an_account_signs_in_and_joins(
    acme: Organization, owner: User, browser: Browser
) -> None:
    person = UserFactory.create(email="known@example.org")
    link = invite(acme, owner, "known@example.org")
    before = browser()
    assert "Sign in as known@example.org first" in before.get(link).content.decode()
    # An account that exists takes no new password from whoever holds the link.
    before.post(link, {"name": "X", "password": NEW_PASSWORD})
    assert not acme.memberships.filter(user=person).exists()

    assert browser(person).post(link).status_code == 302
    assert acme.memberships.filter(user=person).exists()


def test_an_invitation_is_for_its_own_address(
    acme: Organization, owner: User, browser: Browser
) -> None:
    UserFactory.create(email="known@example.org")
    somebody = UserFactory.create(email="somebody@example.org")
    client, link = browser(somebody), invite(acme, owner, "known@example.org")
    answer = client.post(link).content.decode()
    assert not acme.memberships.filter(user=somebody).exists()
    assert "This invitation is for known@example.org" in answer
    assert "signed in as <strong>somebody@example.org</strong>" in answer
    # The way on: out, and back to the invitation.
    assert client.post("/sign-out", {"next": link}).headers["Location"] == link
    assert "Sign in as known@example.org first" in client.get(link).content.decode()


def test_nobody_signed_in_makes_another_account_by_an_invitation(
    acme: Organization, owner: User, browser: Browser
) -> None:
    client = browser(UserFactory.create(email="somebody@example.org"))
    link = invite(acme, owner, "new@example.org")
    answer = client.post(link, {"name": "N", "password": NEW_PASSWORD})
    assert "This invitation is for new@example.org" in answer.content.decode()
    assert not User.objects.filter(email="new@example.org").exists()


def test_an_invitation_ends_after_a_week(acme: Organization, owner: User, browser: Browser) -> None:
    link = invite(acme, owner, "new@example.org")
    with clock.at(clock.now() + dt.timedelta(days=8)):
        answer = browser().get(link)
    assert answer.status_code == 404
    assert "This invitation has expired" in answer.content.decode()


def test_a_link_that_was_used_or_replaced_says_so(
    acme: Organization, owner: User, browser: Browser
) -> None:
    replaced, link = (invite(acme, owner, "new@example.org") for _ in range(2))
    answer = browser().get(replaced)
    assert answer.status_code == 404
    assert "replaced by a newer one" in answer.content.decode()
    browser().post(link, {"name": "Nina New", "password": NEW_PASSWORD})
    for again in (browser().get(link), browser().post(link, {"name": "X"})):
        assert again.status_code == 404
        assert "new@example.org has joined with it" in again.content.decode()
    assert acme.memberships.count() == 2


def test_reset_mails_to_one_account_are_limited_and_the_answer_stays_the_same(
    acme: Organization, owner: User, browser: Browser
) -> None:
    answers = [
        browser().post("/password/reset", {"email": owner.email}, follow=True) for _ in range(7)
    ]
    assert len(mail.outbox) == 5
    assert len({answer.content for answer in answers}) == 1
