"""The palette: by keyboard, over any page."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Open, Scene
from tests.browser.test_accessibility import found_by_axe, sideways


def test_a_project_is_found_and_opened_by_keyboard(scene: Scene, window: Open) -> None:
    with window(scene.owner) as shown:
        page = shown.page
        shown.open("/o/acme/members")
        page.keyboard.press("Control+k")
        palette = page.get_by_role("dialog", name="Search")
        expect(palette.get_by_role("link", name="Activity")).to_be_visible()
        page.keyboard.type("sho")
        link = palette.get_by_role("link", name="Shop shop")
        expect(link).to_be_visible()
        assert "\n".join(found_by_axe(page)) == ""
        page.keyboard.press("ArrowDown")
        expect(link).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url("**/o/acme/projects/shop")
        assert shown.complaints == []


def test_escape_closes_and_enter_takes_the_first(scene: Scene, window: Open) -> None:
    with window(scene.owner, viewport={"width": 390, "height": 844}) as shown:
        page = shown.page
        shown.open("/o/acme/members")
        page.get_by_role("link", name="Search").click()
        palette = page.get_by_role("dialog", name="Search")
        expect(palette.get_by_role("link", name="Activity")).to_be_visible()
        assert sideways(page) == []
        page.keyboard.press("Escape")
        expect(palette).to_have_count(0)
        page.keyboard.press("Control+k")
        page.keyboard.type("who deleted production")
        page.keyboard.press("Enter")
        page.wait_for_url("**/activity?ask=who+deleted+production*")
        assert shown.complaints == []
