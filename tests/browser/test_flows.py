"""From signing in to a saved export: by mouse, by keyboard alone, without JavaScript."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from organizations import hierarchy
from tests.browser.conftest import Open, Scene, Window
from tests.factories import PASSWORD, TargetFactory

QUESTION = "who deleted the production environment"


def sign_in(window: Window, email: str) -> None:
    window.open("/o/acme/activity")
    window.page.get_by_label("E-mail").fill(email)
    window.page.get_by_label("Password").fill(PASSWORD)
    window.page.get_by_role("button", name="Sign in").click()
    expect(window.page).to_have_title(re.compile("Activity of Acme"))


def the_only_row(page: Page) -> str:
    rows = page.locator("#entries tbody:not(.day) tr")
    expect(rows).to_have_count(1)
    return " ".join(rows.inner_text().split())


def test_a_question_is_narrowed_opened_and_taken_away_by_mouse(
    scene: Scene, window: Open, tmp_path: Path
) -> None:
    with window() as shown:
        page = shown.page
        sign_in(shown, scene.auditor.email)
        page.get_by_label("Ask the log").fill(QUESTION)
        page.get_by_role("button", name="Ask").click()
        assert "deleted environment shop/backend/production" in the_only_row(page)

        page.locator("#entries td.when a").click()
        beside = page.get_by_role("complementary", name="Entry")
        expect(beside).to_contain_text("shop/backend/production")
        page.wait_for_url(re.compile("/o/acme/activity/[0-9A-Z]{26}"))  # of the entry itself
        expect(page.locator("#entries td.when a")).to_be_visible()  # the list is still there
        page.keyboard.press("Escape")
        expect(beside).to_have_count(0)
        page.wait_for_url(re.compile(r"/o/acme/activity\?"))

        page.get_by_text("Export", exact=True).click()
        with page.expect_download() as downloading:
            page.get_by_role("link", name="NDJSON").click()
        target = tmp_path / "evidence.ndjson"
        downloading.value.save_as(target)
        [line] = target.read_text().splitlines()
        assert json.loads(line)["action"] == "delete"

        page.keyboard.press("Escape")
        page.locator(".chips a").first.click()
        expect(page.locator("#entries tbody:not(.day) tr").nth(1)).to_be_visible()
        page.locator("th summary", has_text="What").first.click()
        page.locator("th [data-facet=action]", has_text="update").click()
        page.wait_for_url(re.compile("action=.*update"))
        bars = page.locator("svg.chart a")
        expect(bars.first).to_be_attached()
        bars.last.click()
        page.wait_for_url(re.compile("since=.*until="))
        expect(page.locator("#entries ins")).to_have_text("production")

        page.goto(f"{shown.url}/o/acme/activity?action=delete")
        page.locator("#entries a.thing", has_text="production").click()
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_contain_text("History of shop/backend/production")
        expect(page.locator(".facts")).to_contain_text("Ended")
        page.get_by_role("main").get_by_role("link", name="Activity").click()
        page.locator("#entries td.who a").first.click()  # one's own reading is entered too
        expect(heading).to_contain_text("What ")
        page.get_by_role("link", name="Search these entries").click()
        expect(page.locator(".chips")).to_contain_text("by ")
        assert shown.complaints == []


def tab_to(page: Page, selector: str, most: int = 80) -> None:
    """Press Tab until what `selector` finds has the focus, which must be visible."""
    page.locator(selector).first.wait_for(state="attached")  # some of it comes after the page
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            width = "e => getComputedStyle(e).outlineWidth + getComputedStyle(e).outlineStyle"
            assert page.evaluate(f"({width})(document.activeElement)") != "0pxnone"
            return
    raise AssertionError(f"{selector} is not reached by {most} times Tab")


def test_the_same_by_keyboard_alone(scene: Scene, window: Open, tmp_path: Path) -> None:
    with window() as shown:
        page = shown.page
        shown.open("/o/acme/activity")
        tab_to(page, "[name=username]")
        page.keyboard.type(scene.auditor.email)
        tab_to(page, "[name=password]")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page).to_have_title(re.compile("Activity of Acme"))

        tab_to(page, "a.skip", 1)
        page.keyboard.press("Enter")
        tab_to(page, "#entries td.when a", 8)
        page.keyboard.press("/")
        expect(page.locator("[name=ask]")).to_be_focused()
        page.keyboard.type(QUESTION)
        page.keyboard.press("Enter")
        expect(page.locator(".chips")).to_be_visible()
        tab_to(page, "#entries td.when a")
        page.keyboard.press("Enter")
        beside = page.get_by_role("complementary", name="Entry")
        expect(beside).to_contain_text("shop/backend/production")
        page.keyboard.press("Escape")
        assert page.evaluate("() => document.activeElement.matches('#entries td.when a')")

        tab_to(page, "#entries a.thing[href*='/history/resource/']")
        page.keyboard.press("Enter")
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_contain_text("History of shop/backend/production")
        tab_to(page, "main .actions a.button")
        page.keyboard.press("Enter")
        expect(page.locator(".chips")).to_contain_text("resource")
        tab_to(page, "th summary")
        page.keyboard.press("Enter")
        tab_to(page, "th [data-facet=action]", 3)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("action="))
        page.locator("th [data-facet=action]").first.wait_for(state="attached")
        tab_to(page, ".tools details:has([data-download]) summary")
        page.keyboard.press("Enter")
        tab_to(page, "[data-download][href*=ndjson]", 3)
        with page.expect_download() as downloading:
            page.keyboard.press("Enter")
        target = tmp_path / "evidence.ndjson"
        downloading.value.save_as(target)
        assert {json.loads(line)["action"] for line in target.read_text().splitlines()}
        assert shown.complaints == []


def test_the_same_without_javascript(scene: Scene, window: Open, tmp_path: Path) -> None:
    with window(java_script_enabled=False) as shown:
        page = shown.page
        sign_in(shown, scene.auditor.email)
        page.get_by_label("Ask the log").fill(QUESTION)
        page.get_by_role("button", name="Ask").click()
        assert "deleted environment shop/backend/production" in the_only_row(page)
        page.locator("#entries td.when a").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("shop/backend/production")
        page.locator("main a[href*='/history/resource/']").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("History of")
        page.get_by_role("main").get_by_role("link", name="Activity").click()
        page.get_by_role("link", name="Show the chart and the counts").click()
        expect(page.locator("svg.chart a").first).to_be_attached()
        page.locator("th summary", has_text="What").first.click()
        page.locator("th .facet a").first.click()
        expect(page.locator(".chips a").first).to_be_visible()
        page.get_by_role("link", name="Filters").click()
        expect(page.get_by_role("complementary", name="Filters")).to_be_visible()
        page.get_by_role("link", name="Close filters").click()
        expect(page.get_by_role("complementary", name="Filters")).to_be_hidden()
        page.get_by_text("Export", exact=True).click()
        with page.expect_download() as downloading:
            page.get_by_role("link", name="CSV").click()
        target = tmp_path / "evidence.csv"
        downloading.value.save_as(target)
        assert len(target.read_text().splitlines()) > 1


def test_what_repeats_opens_and_closes(scene: Scene, window: Open) -> None:
    """The blobs of one rotation are one line; with and without JavaScript."""
    for has_script in (True, False):
        with window(scene.auditor, java_script_enabled=has_script) as shown:
            shown.open("/o/acme/activity?type=secret,secret_version")
            first = shown.page.locator("tbody.group").first
            hidden = first.locator("tr.repeat").first
            expect(hidden).to_be_hidden()
            first.locator("summary").click()
            expect(hidden).to_be_visible()
            first.locator("summary").click()
            expect(hidden).to_be_hidden()


def test_the_entry_that_was_chosen_last_is_the_one_beside_the_list(
    scene: Scene, window: Open
) -> None:
    with window(scene.auditor) as shown:
        page = shown.page
        shown.open("/o/acme/activity?type=project,target,environment")
        links = [each for each in page.locator("#entries td.when a").all() if each.is_visible()]
        links[0].click()
        expect(page.get_by_role("complementary", name="Entry")).to_be_visible()
        for _ in links[1:]:
            page.keyboard.press("j")  # quicker than the server answers
        last = links[-1].get_attribute("href")
        assert last
        expect(page.locator("tr.opened td.when a")).to_have_attribute("href", last)
        whole = page.get_by_role("link", name="Open as a page")
        expect(whole).to_have_attribute("href", re.compile(re.escape(last) + "$"))
        ulid = last.partition("?")[0].rpartition("/")[2]
        expect(page.locator(".pane #id-entry")).to_contain_text(ulid)
        assert shown.complaints == []
        page.keyboard.press("Escape")
        expect(links[-1]).to_be_focused()


def test_a_list_on_paper_says_who_asked_what_and_that_there_is_more(
    scene: Scene, window: Open
) -> None:
    project = scene.organization.projects.get()  # type: ignore[attr-defined]
    for number in range(51):
        hierarchy.update_node(project, {"description": f"Text {number}"})
    with window(scene.auditor, viewport={"width": 718, "height": 1000}) as shown:
        page = shown.page
        shown.open("/o/acme/activity?ask=-action:delete&tz=Etc/UTC")
        page.emulate_media(media="print")
        expect(page.get_by_label("Ask the log")).to_have_value("-action:delete")
        more = page.get_by_text("More matching entries are on other pages.")
        expect(more).to_be_visible()
        footer = page.locator("footer")
        expect(footer).to_contain_text(f"Acme: printed for {scene.auditor.email} on ")
        expect(footer).to_contain_text(f" +00:00 from {shown.url}/o/acme/activity?")
        row = page.locator("#entries tbody:not(.day) tr").first
        assert row.evaluate("row => getComputedStyle(row).display") == "table-row"
        for pressed in ("CSV", "Clear all", "Older →", "Ask", "Pause"):
            expect(page.get_by_text(pressed, exact=True)).to_be_hidden()


def test_the_list_begins_near_the_top_and_shows_a_dozen_entries(scene: Scene, window: Open) -> None:
    """Also below chips and the chart; on a phone nothing is wider than the screen."""
    project = scene.organization.projects.get()  # type: ignore[attr-defined]
    for number in range(12):
        target = TargetFactory.create(project=project, name=f"Target {number}")
        hierarchy.update_node(target, {"description": f"Text {number}"})
    with window(scene.auditor, viewport={"width": 1440, "height": 900}) as shown:
        page = shown.page
        for question in ("", "?action=update,create&exclude_type=user&when=30d"):
            shown.open(f"/o/acme/activity{question}")
            first, in_view = page.evaluate(
                """() => {
                  const rows = [...document.querySelectorAll("#entries tbody:not(.day) tr")];
                  const seen = rows.filter((row) => row.offsetParent);
                  const boxes = seen.map((row) => row.getBoundingClientRect());
                  return [boxes[0].top, boxes.filter(({ bottom }) => bottom <= innerHeight).length];
                }"""
            )
            assert first <= 300, question
            assert in_view >= 12, question


def test_a_row_opens_on_click_and_back_returns_to_the_list(scene: Scene, window: Open) -> None:
    with window(scene.auditor, viewport={"width": 1440, "height": 900}) as shown:
        page = shown.page
        shown.open("/o/acme/activity?type=environment")
        row = page.locator("#entries tbody:not(.day) tr").first
        row.click(position={"x": 600, "y": 4})
        beside = page.get_by_role("complementary", name="Entry")
        expect(beside).to_be_visible()
        page.wait_for_url(re.compile("/o/acme/activity/[0-9A-Z]{26}"))
        page.go_back()
        expect(beside).to_have_count(0)
        assert shown.path.startswith("/o/acme/activity?type=environment")
        page.go_forward()
        expect(beside).to_be_visible()
        page.reload()  # by its address the entry is a page
        expect(page.get_by_role("heading", level=1)).to_contain_text("shop/backend/production")
        assert shown.complaints == []


def test_on_a_phone_the_pages_and_the_filters_are_sheets(scene: Scene, window: Open) -> None:
    for has_script in (True, False):
        phone = {"width": 390, "height": 844}
        with window(scene.owner, viewport=phone, java_script_enabled=has_script) as shown:
            page = shown.page
            shown.open("/o/acme/activity?counts=1")
            page.get_by_role("link", name="More").click()
            page.get_by_role("link", name="Settings").click()
            expect(page.get_by_role("heading", level=1)).to_contain_text("Settings of Acme")
            shown.open("/o/acme/activity?counts=1")
            page.get_by_role("link", name="Filters").click()
            page.locator("#facets [data-facet=action]").first.click()
            expect(page.locator(".chips")).to_be_visible()
            page.locator("#entries td.when a").first.click()
            page.get_by_role("link", name="← Activity").click()
            expect(page.locator(".chips")).to_be_visible()
