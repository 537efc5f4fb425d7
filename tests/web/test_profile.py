"""The page of the signed-in person: name, time zone, and the organizations they belong to."""

from __future__ import annotations

from organizations.models import Organization, User
from tests.factories import MembershipFactory, OrganizationFactory
from tests.web.conftest import Browser, Entries


def test_the_header_links_to_the_profile(acme: Organization, owner: User, browser: Browser) -> None:
    client = browser(owner)
    assert 'href="/profile"' in client.get("/o/acme/activity").content.decode()
    page = client.get("/profile").content.decode()
    for shown in ("owner@example.org", "Olga Owner", "Acme", "Owner since", 'href="/password"'):
        assert shown in page
    assert browser().get("/profile").headers["Location"] == "/sign-in?next=/profile"


def test_the_header_links_to_the_admin_only_for_those_who_may_enter_it(
    acme: Organization, browser: Browser
) -> None:
    link = 'href="/admin/"'
    staff = MembershipFactory.create(organization=acme, auditor=True, user__is_staff=True).user
    officer = browser(staff)
    assert link in officer.get("/o/acme/activity").content.decode()
    assert officer.get("/admin/").status_code == 200
    auditor = browser(MembershipFactory.create(organization=acme, auditor=True).user)
    assert link not in auditor.get("/o/acme/activity").content.decode()


def test_another_name_is_recorded_in_each_organization(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    OrganizationFactory.create(name="Second", owner=owner)
    client = browser(owner)
    answer = client.post("/profile", {"name": "Olga Other", "time_zone": "UTC"}, follow=True)
    assert "Your profile was saved." in answer.content.decode()
    owner.refresh_from_db()
    assert owner.name == "Olga Other"
    for organization in Organization.objects.filter(memberships__user=owner):
        [entry] = entries(organization, action="update", resource_type="user")
        assert entry.changes == {"name": ["Olga Owner", "Olga Other"]}
        assert entry.actor_id == owner.pk


def test_nothing_but_name_and_zone_can_be_changed(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    values = {"name": "Olga Owner", "time_zone": "UTC", "email": "x@example.org", "is_staff": "on"}
    assert browser(owner).post("/profile", values).status_code == 302
    owner.refresh_from_db()
    assert (owner.email, owner.is_staff) == ("owner@example.org", False)
    assert entries(acme, action="update", resource_type="user") == []


def test_the_browser_remembers_the_time_zone(
    acme: Organization, owner: User, browser: Browser
) -> None:
    client = browser(owner)
    client.post("/profile", {"name": "Olga Owner", "time_zone": "Asia/Tokyo"})
    assert "Times are in Asia/Tokyo" in client.get("/o/acme/members").content.decode()
    refused = client.post("/profile", {"name": "Olga", "time_zone": "Mars/Olympus"})
    assert refused.status_code == 422
    assert "Mars/Olympus is not one of the available choices" in refused.content.decode()
    owner.refresh_from_db()
    assert owner.name == "Olga Owner"


def test_leaving_has_to_be_confirmed(
    acme: Organization, browser: Browser, entries: Entries
) -> None:
    membership = MembershipFactory.create(organization=acme, auditor=True)
    client, leave = browser(membership.user), f"/profile/leave/{membership.ulid}"
    assert client.get(leave).status_code == 405
    unsure = client.post(leave)
    assert unsure.status_code == 422
    assert "Tick the box to confirm that you leave Acme." in unsure.content.decode()
    answer = client.post(leave, {"sure": "yes"}, follow=True).content.decode()
    assert "You left Acme." in answer
    assert "You do not belong to an organization" in answer
    [entry] = entries(acme, action="leave")
    assert (entry.actor_id, entry.resource_id) == (membership.user_id, membership.pk)
    assert client.get("/o/acme/activity").status_code == 404


def test_the_last_owner_and_others_memberships_stay(
    acme: Organization, owner: User, other: Organization, browser: Browser
) -> None:
    [mine], [theirs] = acme.memberships.all(), other.memberships.all()
    client = browser(owner)
    refused = client.post(f"/profile/leave/{mine.ulid}", {"sure": "yes"})
    assert refused.status_code == 422
    assert "Acme: The last owner cannot leave" in refused.content.decode()
    assert client.post(f"/profile/leave/{theirs.ulid}", {"sure": "yes"}).status_code == 404
    assert acme.memberships.count() == other.memberships.count() == 1
