"""The question bar as a combobox: by keyboard, and with a screen reader."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import Open, Scene


def test_what_is_typed_is_completed_by_keyboard(scene: Scene, window: Open) -> None:
    with window(scene.auditor) as shown:
        page = shown.page
        shown.open("/o/acme/activity")
        bar = page.get_by_role("combobox", name="Ask the log")
        expect(bar).to_have_attribute("aria-expanded", "false")
        bar.press_sequentially("action:del")
        offered = page.locator("#may-follow [role=option]")
        expect(offered).to_have_count(1)
        expect(bar).to_have_attribute("aria-expanded", "true")
        bar.press("ArrowDown")
        expect(bar).to_have_attribute("aria-activedescendant", "may-follow-0")
        expect(offered).to_have_attribute("aria-selected", "true")
        bar.press("Enter")
        expect(bar).to_have_value("action:delete ")
        expect(page.get_by_role("listbox", name="What may follow")).to_have_count(0)

        bar.press_sequentially("resource:shop/back")
        expect(offered.first).to_contain_text("resource:shop/backend")
        bar.press("ArrowUp")
        bar.press("ArrowDown")
        bar.press("ArrowDown")
        bar.press("Tab")
        expect(bar).to_be_focused()
        expect(bar).to_have_value("action:delete resource:shop/backend ")
        bar.press("Enter")
        page.wait_for_url("**/activity?ask=action%3Adelete+resource%3Ashop%2Fbackend*")
        assert shown.complaints == []


def test_escape_closes_and_enter_asks_what_was_typed(scene: Scene, window: Open) -> None:
    with window(scene.auditor) as shown:
        page = shown.page
        shown.open("/o/acme/activity")
        bar = page.get_by_role("combobox", name="Ask the log")
        bar.press_sequentially("who del")
        expect(page.locator("#may-follow [role=option]").first).to_have_text(
            "who deleted the production environment?"
        )
        bar.press("Escape")
        expect(page.get_by_role("listbox", name="What may follow")).to_have_count(0)
        expect(bar).to_have_value("who del")
        bar.fill("who deleted production")
        bar.press("Enter")
        page.wait_for_url("**/activity?ask=who+deleted+production*")


def test_the_open_list_is_accessible(scene: Scene, window: Open) -> None:
    for scheme in ("light", "dark"):
        with window(scene.auditor, color_scheme=scheme) as shown:
            shown.open("/o/acme/activity")
            bar = shown.page.get_by_role("combobox", name="Ask the log")
            bar.press_sequentially("type:")
            expect(shown.page.locator("#may-follow [role=option]").first).to_be_visible()
            bar.press("ArrowDown")
            shown.page.locator(".ways-to-ask").evaluate("each => each.open = true")
            found = Axe().run(shown.page).response["violations"]
            assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
