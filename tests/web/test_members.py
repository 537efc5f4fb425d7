"""Members come, change role and go through pages; nobody gives or takes more than they hold."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core import mail
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from organizations import members
from organizations.grants import EVERYTHING
from organizations.models import Invitation, Membership, Organization, User
from tests.factories import MembershipFactory
from tests.web.conftest import ADDRESS, AGENT, Browser, Entries

BrowserAs = Callable[[str], Client]


def invite(client: Client, email: str, role: str) -> str:
    answer = client.post("/o/acme/members", {"email": email, "role": role}, follow=True)
    return answer.content.decode()


def page_of(membership: Membership) -> str:
    return f"/o/acme/members/{membership.ulid}"


def test_the_page_lists_members_invitations_and_what_each_role_may_do(
    acme: Organization, owner: User, browser: Browser
) -> None:
    MembershipFactory.create(organization=acme, role="developer", user__email="dev@example.org")
    client = browser(owner)
    invite(client, "soon@example.org", "auditor")
    page = client.get("/o/acme/members").content.decode()
    assert "2 members" in page
    for text in ("owner@example.org", "dev@example.org", "soon@example.org", "secret:history"):
        assert text in page


def test_an_invitation_goes_out_by_mail_and_leaves_an_entry_without_its_link(
    acme: Organization,
    owner: User,
    browser: Browser,
    entries: Entries,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        page = invite(browser(owner), "new@example.org", "developer")
    assert "An invitation is on its way to new@example.org." in page
    [message] = mail.outbox
    assert message.to == ["new@example.org"]
    assert "Olga Owner invites you to join Acme on dotEnv Cloud as developer" in message.body
    [token] = re.findall(r"http://testserver/invitations/(\S+)", str(message.body))
    assert browser().get(f"/invitations/{token}").status_code == 200
    [entry] = entries(acme, action="invite")
    assert (entry.actor_id, entry.ip, entry.user_agent) == (owner.pk, ADDRESS, AGENT)
    assert token not in page + str(vars(entry))


def test_inviting_someone_who_is_there_is_refused_with_the_reason(
    acme: Organization, owner: User, browser: Browser
) -> None:
    assert "owner@example.org is already a member." in invite(
        browser(owner), "owner@example.org", "member"
    )


def test_an_administrator_cannot_invite_an_owner(
    acme: Organization, browser_as: BrowserAs, entries: Entries
) -> None:
    page = invite(browser_as("admin"), "new@example.org", "owner")
    assert "You cannot give or take the role" in page
    assert 'id="id_role_error"' in page
    assert not Invitation.objects.exists()
    [refused] = entries(acme, action="access", result="denied")
    assert refused.reason == "not_held"


@pytest.mark.parametrize("role", ["member", "developer", "auditor"])
def test_who_may_only_look_at_members_gets_no_forms_and_cannot_post(
    role: str, acme: Organization, owner: User, browser_as: BrowserAs, entries: Entries
) -> None:
    client = browser_as(role)
    page = client.get("/o/acme/members").content.decode()
    assert "Invite someone" not in page
    theirs = page_of(acme.memberships.get(user=owner))
    shown = client.get(theirs).content.decode()
    assert "Change role" not in shown
    assert "Remove" not in shown
    assert client.post("/o/acme/members", {"email": "a@b.example", "role": role}).status_code == 403
    assert client.post(theirs, {"action": "role", "role": "member"}).status_code == 403
    assert client.post(theirs, {"action": "remove", "sure": "yes"}).status_code == 403
    assert acme.memberships.get(user=owner).role == "owner"
    assert entries(acme, action="access")


def test_a_role_is_changed_with_its_permissions_and_leaves_entries(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    membership = MembershipFactory.create(organization=acme, role="developer")
    answer = browser(owner).post(page_of(membership), {"action": "role", "role": "auditor"})
    assert answer.status_code == 302
    membership.refresh_from_db()
    assert membership.role == "auditor"
    [entry] = entries(acme, action="update", resource_type="membership")
    assert entry.recorded_changes["role"] == ("developer", "auditor")
    assert entry.actor_id == owner.pk


def test_an_administrator_cannot_take_the_owner_s_role_or_membership(
    acme: Organization, owner: User, browser_as: BrowserAs
) -> None:
    MembershipFactory.create(organization=acme, role="owner")
    client, theirs = browser_as("admin"), page_of(acme.memberships.get(user=owner))
    for values in ({"action": "role", "role": "member"}, {"action": "remove", "sure": "yes"}):
        answer = client.post(theirs, values)
        assert answer.status_code == 422
        assert "You cannot give or take the role" in answer.content.decode()
    assert acme.memberships.get(user=owner).role == "owner"


@pytest.mark.parametrize(
    "values", [{"action": "leave", "sure": "yes"}, {"action": "role", "role": "admin"}]
)
def test_the_last_owner_stays_owner(
    values: dict[str, str], acme: Organization, owner: User, browser: Browser
) -> None:
    answer = browser(owner).post(page_of(acme.memberships.get()), values)
    assert answer.status_code == 422
    assert "The last owner cannot leave or lose the role" in answer.content.decode()
    assert acme.memberships.get().role == "owner"


def test_a_member_who_leaves_sees_nothing_any_more(
    acme: Organization, browser: Browser, entries: Entries
) -> None:
    membership = MembershipFactory.create(organization=acme, auditor=True)
    client = browser(membership.user)
    assert client.get("/o/acme/activity").status_code == 200
    assert client.post(page_of(membership), {"action": "leave", "sure": "yes"}).status_code == 302
    assert client.get("/o/acme/activity").status_code == 404
    [entry] = entries(acme, action="leave")
    assert entry.actor_id == membership.user_id


def test_nobody_leaves_for_someone_else(acme: Organization, browser_as: BrowserAs) -> None:
    membership = MembershipFactory.create(organization=acme, role="developer")
    answer = browser_as("member").post(page_of(membership), {"action": "leave", "sure": "yes"})
    assert answer.status_code == 422
    assert Membership.objects.filter(pk=membership.pk).exists()


def test_a_removed_member_sees_nothing_any_more(
    acme: Organization, owner: User, browser: Browser
) -> None:
    membership = MembershipFactory.create(organization=acme, role="admin")
    theirs = browser(membership.user)
    assert theirs.get("/o/acme/activity").status_code == 200
    browser(owner).post(page_of(membership), {"action": "remove", "sure": "yes"})
    assert theirs.get("/o/acme/activity").status_code == 404


def test_a_withdrawn_invitation_does_not_work(
    acme: Organization, owner: User, browser: Browser
) -> None:
    invited = members.invite(
        acme, "new@example.org", "member", invited_by=owner, granter=EVERYTHING
    )
    withdraw = f"/o/acme/invitations/{invited.invitation.ulid}/withdraw"
    client = browser(owner)
    assert client.get(withdraw).status_code == 405
    assert client.post(withdraw).status_code == 302
    assert browser().get(f"/invitations/{invited.token}").status_code == 404
    assert client.post(withdraw).status_code == 404
