"""A member who leaves leaves no undecided key, and one who changes a password no access token."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.test import Client

from keys import access_tokens, api_keys, tokens
from keys.models import AccessToken, ApiKey
from organizations.grants import EVERYTHING
from organizations.models import Membership, Organization, User
from tests.factories import PASSWORD, ApiKeyFactory, MembershipFactory
from tests.web.conftest import Browser, Entries

NEW_PASSWORD = "a staple of correct horses"
CHANGE = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}


@pytest.fixture
def leaver(acme: Organization) -> Membership:
    return MembershipFactory.create(
        organization=acme, role="developer", user__email="leaver@example.org"
    )


@pytest.fixture
def keys(acme: Organization, leaver: Membership) -> list[ApiKey]:
    made = [
        ApiKeyFactory.create(organization=acme, name=name, created_by=leaver.user).api_key
        for name in ("deploy", "nightly")
    ]
    tokens.note_use(made[0], "198.51.100.7")
    return made


def page_of(membership: Membership) -> str:
    return f"/o/acme/members/{membership.ulid}"


def remove(client: Client, membership: Membership, **values: str) -> Any:
    return client.post(page_of(membership), {"action": "remove", "sure": "yes", **values})


def works(client: Client, token: str) -> bool:
    answer = client.get("/api/v1/user", headers={"authorization": f"Bearer {token}"})
    return answer.status_code == 200


def test_the_page_lists_the_keys_and_when_they_were_last_used(
    owner: User, leaver: Membership, keys: list[ApiKey], browser: Browser
) -> None:
    page = browser(owner).get(page_of(leaver)).content.decode()
    assert re.search(r"deploy</a> <span[^>]*>last used .*198\.51\.100\.7", page)
    assert re.search(r"nightly</a> <span[^>]*>never used", page)
    assert 'value="revoke"' in page
    assert 'value="hand_over"' in page


def test_nobody_is_removed_before_a_choice_about_their_keys(
    owner: User, leaver: Membership, keys: list[ApiKey], browser: Browser
) -> None:
    for values in ({}, {"api_keys": "forget"}):
        answer = remove(browser(owner), leaver, **values)
        assert answer.status_code == 422
        assert "Choose what becomes of the API keys." in answer.content.decode()
    assert Membership.objects.filter(pk=leaver.pk).exists()


def test_revoked_they_stop_working_and_the_entry_says_so(
    acme: Organization,
    owner: User,
    leaver: Membership,
    keys: list[ApiKey],
    browser: Browser,
    entries: Entries,
) -> None:
    others = ApiKeyFactory.create(organization=acme, name="mine", created_by=owner)
    assert remove(browser(owner), leaver, api_keys="revoke").status_code == 302
    assert [key.name for key in ApiKey.objects.filter(organization=acme)] == ["mine"]
    assert works(browser(), others.token)
    [entry] = entries(acme, action="delete", resource_type="membership")
    assert entry.context == {"api_keys": "revoke", "count": 2}
    revoked = entries(acme, action="delete", resource_type="api_key")
    assert {each.resource_label for each in revoked} == {"deploy", "nightly"}
    assert {each.actor_label for each in revoked} == {owner.email}


def test_handed_over_they_work_on_and_someone_answers_for_them(
    acme: Organization,
    owner: User,
    leaver: Membership,
    keys: list[ApiKey],
    browser: Browser,
    entries: Entries,
) -> None:
    assert remove(browser(owner), leaver, api_keys="hand_over").status_code == 302
    assert {key.created_by for key in ApiKey.objects.filter(organization=acme)} == {owner}
    [entry] = entries(acme, action="delete", resource_type="membership")
    assert entry.context == {"api_keys": "hand_over", "count": 2, "heir": owner.email}


@pytest.mark.parametrize("by_api", [False, True])
def test_a_key_that_they_rotated_is_theirs_too(
    acme: Organization, owner: User, keys: list[ApiKey], browser: Browser, by_api: bool
) -> None:
    """They know its token, whoever made it."""
    admin = MembershipFactory.create(organization=acme, role="admin")
    key = ApiKeyFactory.create(
        organization=acme, name="site", created_by=owner, abilities=["secret:read"]
    ).api_key
    if by_api:
        token = access_tokens.create(admin.user, "mine").token
        answer = browser().post(
            f"/api/v1/organizations/acme/api-keys/{key.ulid}/rotate",
            headers={"authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 200
    else:
        values = {"action": "rotate", "sure": "yes"}
        answer = browser(admin.user).post(f"/o/acme/api-keys/{key.ulid}", values)
        assert answer.status_code == 200
    assert "site</a>" in browser(owner).get(page_of(admin)).content.decode()
    assert remove(browser(owner), admin).status_code == 422
    assert remove(browser(owner), admin, api_keys="revoke").status_code == 302
    assert {each.name for each in ApiKey.objects.all()} == {"deploy", "nightly"}


def test_a_rotated_key_that_is_handed_over_stays_its_makers(
    acme: Organization, owner: User, leaver: Membership, browser: Browser
) -> None:
    maker = MembershipFactory.create(organization=acme, role="admin").user
    key = ApiKeyFactory.create(organization=acme, name="site", created_by=maker).api_key
    api_keys.rotate(key, granter=EVERYTHING, rotated_by=leaver.user)
    assert remove(browser(owner), leaver, api_keys="hand_over").status_code == 302
    key.refresh_from_db()
    assert key.created_by == maker


@pytest.mark.parametrize("choice", ["revoke", "hand_over"])
def test_who_leaves_chooses_too(
    acme: Organization,
    owner: User,
    leaver: Membership,
    keys: list[ApiKey],
    browser: Browser,
    entries: Entries,
    choice: str,
) -> None:
    values = {"action": "leave", "sure": "yes", "api_keys": choice}
    assert browser(leaver.user).post(page_of(leaver), values).status_code == 302
    left = ApiKey.objects.filter(organization=acme)
    assert {key.created_by for key in left} == (set() if choice == "revoke" else {owner})
    [entry] = entries(acme, action="leave")
    assert entry.context["api_keys"] == choice


def test_leaving_from_the_profile_hands_them_to_an_owner(
    acme: Organization, owner: User, leaver: Membership, keys: list[ApiKey], browser: Browser
) -> None:
    client = browser(leaver.user)
    answer = client.post(f"/profile/leave/{leaver.ulid}", {"sure": "yes"}, follow=True)
    assert "The 2 API keys you made" in answer.content.decode()
    assert {key.created_by for key in ApiKey.objects.filter(organization=acme)} == {owner}


@pytest.mark.parametrize(("body", "left"), [({}, 3), ({"api_keys": "revoke"}, 1)])
def test_the_api_hands_over_keys_unless_asked_to_revoke_them(
    acme: Organization,
    owner: User,
    leaver: Membership,
    keys: list[ApiKey],
    client: Client,
    body: dict[str, str],
    left: int,
) -> None:
    token = ApiKeyFactory.create(organization=acme, name="mine", created_by=owner).token
    answer = client.delete(
        f"/api/v1/organizations/acme/members/{leaver.ulid}",
        body,
        content_type="application/json",
        headers={"authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 204
    remaining = ApiKey.objects.filter(organization=acme)
    assert remaining.count() == left
    assert {key.created_by for key in remaining} == {owner}


def test_a_refused_removal_revokes_nothing(
    acme: Organization, owner: User, browser: Browser
) -> None:
    ApiKeyFactory.create(organization=acme, name="mine", created_by=owner)
    membership = acme.memberships.get(user=owner)
    answer = remove(browser(owner), membership, api_keys="revoke")
    assert answer.status_code == 422
    assert acme.api_keys.count() == 1  # type: ignore[attr-defined]


# -- Passwords


def _change(user: User, client: Client) -> None:
    client.post("/password", {"old_password": PASSWORD, **CHANGE})


def _reset(user: User, client: Client) -> None:
    client.post("/password/reset", {"email": user.email})
    [link] = re.findall(r"http://testserver(/password/reset/\S+)", str(mail.outbox[0].body))
    form = client.get(link, follow=True).redirect_chain[-1][0]
    client.post(form, CHANGE)


def _command(user: User, client: Client) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr("getpass.getpass", lambda prompt: NEW_PASSWORD)
    try:
        call_command("changepassword", user.email, stdout=io.StringIO())
    finally:
        patch.undo()


@pytest.mark.parametrize("change", [_change, _reset, _command])
def test_access_tokens_end_with_the_password(
    acme: Organization, owner: User, browser: Browser, entries: Entries, change: Any
) -> None:
    token = access_tokens.create(owner, "laptop").token
    other = access_tokens.create(MembershipFactory.create(organization=acme).user, "other").token
    assert works(browser(), token)
    change(owner, browser(owner))
    owner.refresh_from_db()
    assert owner.check_password(NEW_PASSWORD)
    assert not works(browser(), token)
    assert works(browser(), other)
    assert not AccessToken.objects.filter(user=owner).exists()
    assert entries(acme, action="change_password")
    [ended] = entries(acme, action="delete", resource_type="access_token")
    assert ended.resource_label == "laptop"


def test_a_wrong_password_ends_none(acme: Organization, owner: User, browser: Browser) -> None:
    access_tokens.create(owner, "laptop")
    browser(owner).post("/password", {"old_password": "wrong", **CHANGE})
    assert AccessToken.objects.filter(user=owner).exists()
