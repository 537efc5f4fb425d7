"""WCAG 2.2 AA, as far as a machine can see it, on every page, in every style.

Nothing may be complained of in the console either: a breach of the content security policy is.
"""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

from audit.models import Entry
from tests.browser.conftest import Open, Scene
from tests.factories import MembershipFactory

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
    # It would fetch style sheets for the one rule about turned screens, and trip over the admin's.
    "preload": False,
}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
ROOM = {"runOnly": {"type": "rule", "values": ["target-size", "scrollable-region-focusable"]}}

PAGES = (
    "/",
    "/organizations",
    "/organizations/new",
    "/profile",
    "/profile/tokens/new",
    "/password",
    "/o/acme/overview",
    "/o/acme/search?q=a",
    "/o/acme/overview?days=90",
    "/o/acme/activity",
    "/o/acme/activity?ask=who+deleted+the+production+environment",
    "/o/acme/activity?ask=nonsense:x",
    "/o/acme/activity?actor=nobody",
    "/o/acme/activity?counts=1",
    "/o/acme/activity?action=create,rotate&exclude_type=secret_version",
    "/o/acme/activity/views?action=delete",
    "/o/acme/activity/views/{view}",
    "/o/acme/access",
    "/o/acme/access?place=shop&at=yesterday",
    "/o/acme/evidence",
    "/o/acme/activity/{entry}",
    "/o/acme/history/resource/{project}",
    "/o/acme/history/actor/{owner}",
    "/o/acme/history/actor/{api_key}",
    "/o/acme/projects",
    "/o/acme/new-project",
    "/o/acme/projects/shop",
    "/o/acme/projects/shop/change",
    "/o/acme/projects/shop/delete",
    "/o/acme/projects/shop/new-target",
    "/o/acme/projects/shop/targets/backend",
    "/o/acme/projects/shop/keys",
    "/o/acme/projects/shop/keys/rotate",
    "/o/acme/projects/shop/custody",
    "/o/acme/projects/shop/versions",
    "/o/acme/members",
    "/o/acme/members/{member}",
    "/o/acme/api-keys",
    "/o/acme/api-keys/new",
    "/o/acme/api-keys/{api_key}",
    "/o/acme/settings",
    "/o/acme/settings/delete",
    "/o/acme/nothing-here",
)


def found_by_axe(page: Page, rules: dict[str, Any] = RULES) -> list[str]:
    """What axe-core finds, each with where and why."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    # The violations alone: carried along, all that passes takes longer than finding it.
    violations: list[dict[str, Any]] = page.evaluate(
        "async rules => (await axe.run(rules)).violations", rules
    )
    return [
        f"{each['id']} at {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for each in violations
        for node in each["nodes"]
    ]


def test_no_page_breaks_a_rule(scene: Scene, window: Open) -> None:
    """Every rule in light; in the dark those about colours, on a phone those about room."""
    entry = newest_entry(scene)
    broken = []
    with window(scene.owner) as shown:
        page = shown.page
        for path in PAGES:
            page.emulate_media(color_scheme="light")
            page.set_viewport_size({"width": 1280, "height": 900})
            shown.open(path.format(entry=entry, **scene.paths))
            found = [*found_by_axe(page), *sideways(page)]
            page.emulate_media(color_scheme="dark")
            found += [f"in the dark: {what}" for what in found_by_axe(page, COLOURS)]
            page.set_viewport_size({"width": 390, "height": 844})
            found += [f"on a phone: {what}" for what in found_by_axe(page, ROOM)]
            found += [f"on a phone: {what}" for what in sideways(page)]
            found += [text for text in shown.complaints if "404" not in text]
            shown.complaints.clear()
            broken += [f"{path}: {what}" for what in found]
    assert not broken, "\n".join(broken)


def test_signing_in_breaks_no_rule(window: Open) -> None:
    with window() as shown:
        for path in ("/sign-in", "/password/reset"):
            shown.open(path)
            assert found_by_axe(shown.page) == []
            assert shown.complaints == []


def test_the_style_guide_breaks_no_rule(scene: Scene, window: Open, settings: Any) -> None:
    with window(scene.owner) as shown:
        page = shown.page
        shown.open("/styleguide")
        assert page.get_by_role("heading", name="Style guide").count() == 0  # of the demo alone
        settings.DEMO = True
        shown.complaints.clear()
        shown.open("/styleguide")
        page.get_by_role("heading", name="Style guide").wait_for()
        assert "\n".join(found_by_axe(page)) == ""
        page.emulate_media(color_scheme="dark")
        assert "\n".join(found_by_axe(page, COLOURS)) == ""
        page.set_viewport_size({"width": 390, "height": 844})
        assert [*found_by_axe(page, ROOM), *sideways(page), *shown.complaints] == []


def test_an_entry_beside_the_list_breaks_no_rule(scene: Scene, window: Open) -> None:
    with window(scene.auditor) as shown:
        page = shown.page
        shown.open("/o/acme/activity?action=update")
        page.locator("#entries td.when a").first.click()
        page.get_by_role("complementary", name="Entry").wait_for()
        assert found_by_axe(page) == []
        page.emulate_media(color_scheme="dark")
        assert found_by_axe(page, COLOURS) == []
        assert sideways(page) == []


ADMIN = (
    "/admin/",
    "/admin/audit/entry/",
    "/admin/audit/entry/?ask=who+deleted+the+production+environment",
    "/admin/audit/entry/{entry}/change/",
    "/admin/organizations/organization/",
)


def test_the_admin_breaks_no_rule(scene: Scene, window: Open) -> None:
    officer = MembershipFactory.create(
        organization=scene.organization, auditor=True, user__is_staff=True
    ).user
    entry = newest_entry(scene)
    broken = []
    with window(officer) as shown:
        page = shown.page
        for path in ADMIN:
            page.emulate_media(color_scheme="light")
            shown.open(path.format(entry=entry))
            found = [*found_by_axe(page), *sideways(page)]
            # Opened anew: the admin's links take a moment to change their colour.
            page.emulate_media(color_scheme="dark")
            page.reload()
            found += [f"in the dark: {what}" for what in found_by_axe(page, COLOURS)]
            broken += [f"{path}: {what}" for what in [*found, *shown.complaints]]
            shown.complaints.clear()
    assert not broken, "\n".join(broken)


def sideways(page: Page) -> list[str]:
    """Whether one has to scroll sideways to read (WCAG 1.4.10)."""
    width, seen = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    return [f"the page is {width} wide in a window of {seen}"] if width > seen else []


def newest_entry(scene: Scene) -> str:
    from django.db import transaction

    with transaction.atomic():
        entry = Entry.objects.visible([scene.organization.pk]).order_by("-id").first()
        assert entry is not None
        return str(entry.ulid)
