"""The page of activity as its reader has it: how much is seen at once, and what the keys do."""

from __future__ import annotations

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from audit.context import Origin, acting_from
from audit.policy import Interface
from organizations import hierarchy
from tests.browser.conftest import Open, Scene
from tests.browser.test_accessibility import found_by_axe, sideways
from tests.factories import ProjectFactory

ACTIVITY = "/o/acme/activity"
ASKED = (
    f"{ACTIVITY}?ask=who+created+the+production+environment+not+from+203.0.113.0/24+before+lunch"
)
SEEN = """() => {
  const rows = [...document.querySelectorAll("#entries tr.opens")]
    .map((row) => row.getBoundingClientRect());
  return [rows[0].top, rows.filter(({ height, bottom }) => height && bottom <= innerHeight).length];
}"""


@pytest.fixture
def busy(scene: Scene) -> Scene:
    """Acme after a day on which much was done, from many addresses."""
    for number in range(20):
        with acting_from(Origin(Interface.API, ip=f"192.0.2.{number + 1}")):
            project = ProjectFactory.create(organization=scene.organization, name=f"P{number}")
            hierarchy.update_node(project, {"description": "Changed"})
    return scene


def settled(page: Page) -> None:
    page.locator("#chart svg").wait_for()


@pytest.mark.parametrize("address", [ACTIVITY, ASKED, f"{ACTIVITY}?action=create,update"])
def test_the_first_entry_is_high_up(busy: Scene, window: Open, address: str) -> None:
    with window(busy.auditor, viewport={"width": 1440, "height": 900}) as shown:
        shown.open(address)
        settled(shown.page)
        top, visible = shown.page.evaluate(SEEN)
        assert top <= 300
        if "ask" not in address:
            assert visible >= 12


@pytest.mark.parametrize("width", [320, 390, 720, 1024, 1440, 2560])
def test_nothing_has_to_be_scrolled_sideways(busy: Scene, window: Open, width: int) -> None:
    with window(busy.auditor, viewport={"width": width, "height": 900}) as shown:
        for address in (ACTIVITY, ASKED, f"{ACTIVITY}?ask=changes+per+person"):
            shown.open(address)
            assert sideways(shown.page) == []


def test_a_question_that_counts_is_answered_in_words_and_by_a_table(
    busy: Scene, window: Open
) -> None:
    with window(busy.auditor, viewport={"width": 1440, "height": 900}) as shown:
        page = shown.page
        shown.open(f"{ACTIVITY}?ask=how+many+projects+were+created+per+address")
        expect(page.locator("#answer")).to_have_text(
            "21 creations of projects, 20 by anonymous and 1 by system."
        )
        rows = page.locator("#counted tbody tr")
        expect(rows).to_have_count(10)
        expect(page.locator("#counted caption")).to_have_text("10 of 21 addresses")
        first, last = rows.first.bounding_box(), rows.last.bounding_box()
        assert first and last
        assert last["x"] > first["x"]  # in two columns, so that the entries begin higher
        assert "\n".join(found_by_axe(page)) == ""
        rows.nth(1).get_by_role("link").click()
        page.wait_for_url("**ip=192.0.2.*")
        expect(page.locator("#entries tr.opens")).to_have_count(1)
        assert shown.complaints == []


def test_a_column_is_one_stop_of_the_tab_key_and_arrows_lead_through_it(
    busy: Scene, window: Open
) -> None:
    with window(busy.auditor) as shown:
        page = shown.page
        shown.open(ACTIVITY)
        settled(page)
        page.locator("#entries summary", has_text="Severity").focus()
        page.keyboard.press("Enter")
        values = page.locator("#facet-severity a[data-facet]")
        page.keyboard.press("Tab")
        expect(values.first).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(values.nth(1)).to_be_focused()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#facet-severity a.less").nth(1)).to_be_focused()
        page.keyboard.press("Home")
        expect(values.first).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#entries summary", has_text="Result")).to_be_focused()
        assert shown.complaints == []


def test_a_value_that_the_menu_does_not_show_is_found_by_typing(busy: Scene, window: Open) -> None:
    with window(busy.auditor, viewport={"width": 1440, "height": 900}) as shown:
        page = shown.page
        shown.open(ACTIVITY)
        settled(page)
        page.locator("#entries th.from summary").click()
        menu = page.locator("#facet-ip")
        expect(menu.locator("a[data-facet]")).to_have_count(8)
        menu.get_by_role("link", name="More of").click()
        expect(menu.locator("a[data-facet]")).to_have_count(20)
        assert "\n".join(found_by_axe(page)) == ""
        menu.get_by_role("searchbox", name="Find: address").press_sequentially("192.0.2.17")
        expect(menu.locator("a[data-facet]")).to_have_count(1)
        menu.locator("a[data-facet]").click()
        page.wait_for_url("**ip=192.0.2.17*")
        assert shown.complaints == []


def test_without_script_a_value_is_found_on_a_page_of_its_own(busy: Scene, window: Open) -> None:
    with window(busy.auditor, java_script_enabled=False) as shown:
        page = shown.page
        shown.open(f"{ACTIVITY}?counts=1")
        page.locator("#entries th.from summary").click()
        page.locator("#facet-ip").get_by_role("link", name="More of").click()
        field = page.get_by_role("searchbox", name="Find: address")
        field.fill("192.0.2.17")
        field.press("Enter")
        page.locator("a[data-facet]").click()
        expect(page.locator(".chips")).to_contain_text("192.0.2.17")


def test_on_a_phone_filters_and_counts_come_from_below(busy: Scene, window: Open) -> None:
    with window(busy.auditor, viewport={"width": 390, "height": 844}) as shown:
        page = shown.page
        shown.open(ACTIVITY)
        page.get_by_role("link", name="Filters", exact=True).click()
        sheet = page.get_by_role("complementary", name="Filters")
        expect(sheet.get_by_role("heading", name="Severity")).to_be_visible()
        box = sheet.bounding_box()
        assert box
        assert (box["x"], box["width"]) == (0, 390)
        assert round(box["y"] + box["height"]) == 844
        assert "\n".join(found_by_axe(page)) == ""
        sheet.get_by_text("Count by").click()
        sheet.get_by_role("link", name="By who", exact=True).click()
        page.wait_for_url("**by=actor*")
        expect(page.locator("#counted")).to_be_visible()
        page.get_by_role("link", name="Filters", exact=True).click()
        sheet.locator("#show").click()
        expect(sheet).to_be_hidden()
        assert sideways(page) == []


def test_bars_show_warnings_and_refusals_at_their_foot(scene: Scene, window: Open) -> None:
    Client().post("/sign-in", {"username": scene.auditor.email, "password": "wrong"})
    with window(scene.auditor) as shown:
        page = shown.page
        shown.open(ACTIVITY)
        settled(page)
        bar = page.locator("svg.chart a[data-bar]").last
        whole = page.locator("svg.chart").bounding_box()
        foot = bar.locator("rect.s").bounding_box()
        warned = bar.locator("rect.w").bounding_box()
        assert whole and foot and warned
        assert round(foot["y"] + foot["height"]) == round(whole["y"] + whole["height"])
        assert round(warned["y"] + warned["height"]) == round(foot["y"])
        assert "denied or failed" in str(bar.get_attribute("aria-label"))
