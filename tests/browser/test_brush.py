"""The chart: a span of it chosen by mouse and by keyboard, and each bar a link without script."""

from __future__ import annotations

import datetime as dt
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from audit.questions import counting
from tests.browser.conftest import Open, Scene

TWO_HOURS = "/o/acme/activity?when=2h"
"""Two hours in bars of five minutes, or of one."""


def edges(chart: Locator) -> list[str]:
    return str(chart.get_attribute("data-edges")).split()


def span(page: Page) -> tuple[str, str]:
    asked = parse_qs(urlsplit(page.url).query)
    assert "when" not in asked
    return asked["since"][0], asked["until"][0]


def test_a_span_is_chosen_by_dragging_over_the_chart(scene: Scene, window: Open) -> None:
    with window(scene.auditor) as shown:
        page = shown.page
        shown.open(TWO_HOURS)
        chart = page.locator("svg.chart")
        every = edges(chart)
        count, box = len(every) - 1, chart.bounding_box()
        assert box
        width = box["width"] / count
        page.mouse.move(box["x"] + width * (count - 0.5), box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + width * (count - 9.5), box["y"] + 5, steps=5)
        expect(page.locator("[data-brushed]")).to_contain_text("entries")
        page.mouse.up()
        page.wait_for_url(re.compile("since="))
        assert span(page) == (every[count - 10], every[count])
        expect(page.locator("#entries")).to_contain_text("shop/backend/production")
        assert not shown.complaints


def test_a_span_is_chosen_by_arrow_keys(scene: Scene, window: Open) -> None:
    with window(scene.auditor) as shown:
        page = shown.page
        shown.open(TWO_HOURS)
        chart = page.locator("svg.chart")
        every = edges(chart)
        bar = chart.locator("a[data-bar]").last
        number = int(str(bar.get_attribute("data-bar")))
        bar.focus()
        for _ in range(3):
            page.keyboard.press("Shift+ArrowLeft")
        expect(chart.locator(".brush")).to_have_count(1)
        page.keyboard.press("Escape")
        expect(chart.locator(".brush")).to_have_count(0)
        for _ in range(2):
            page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("since="))
        assert span(page) == (every[number - 2], every[number + 1])
        assert not shown.complaints


def test_the_chart_is_one_stop_of_the_tab_key(
    scene: Scene, window: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The scene takes a second or two: bars of less than that, so that there are several.
    monkeypatch.setattr(counting, "_STEPS", ((dt.timedelta(milliseconds=50), "time"),))
    with window(scene.auditor) as shown:
        page = shown.page
        shown.open("/o/acme/activity")
        bars = page.locator("svg.chart a[data-bar]")
        assert bars.count() > 1
        bars.last.focus()
        page.keyboard.press("ArrowLeft")
        expect(bars.nth(bars.count() - 2)).to_be_focused()
        page.keyboard.press("Home")
        expect(bars.first).to_be_focused()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('svg.chart')") is None
        page.keyboard.press("Shift+Tab")
        expect(bars.first).to_be_focused()


def test_a_bar_is_a_link_to_its_span_without_script(scene: Scene, window: Open) -> None:
    with window(scene.auditor, java_script_enabled=False) as shown:
        page = shown.page
        shown.open(f"{TWO_HOURS}&counts=1")
        bar = page.locator("svg.chart a[data-bar]").last
        number, every = int(str(bar.get_attribute("data-bar"))), edges(page.locator("svg.chart"))
        bar.focus()
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("since="))
        assert span(page) == (every[number], every[number + 1])
