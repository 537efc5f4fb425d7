"""The list while one watches it: new entries are announced, shown on request, and move nothing."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Open, Scene
from tests.factories import TargetFactory


def test_new_entries_are_announced_and_shown_on_request_unless_paused(
    scene: Scene, window: Open
) -> None:
    with window(scene.auditor) as shown:
        page = shown.page
        page.clock.install()
        shown.open("/o/acme/activity?type=target")
        rows = page.locator("#entries td.when")
        expect(rows).to_have_count(1)
        bar = page.locator("#live")
        expect(bar).to_contain_text("Watching for new entries")

        TargetFactory.create(project=scene.organization.projects.get(), name="Worker")
        page.clock.run_for(6_000)
        expect(bar).to_contain_text("1 new entry.")
        expect(page).to_have_title(re.compile(r"^\(1\) Activity"))
        expect(rows).to_have_count(1)  # nothing moves by itself

        bar.get_by_role("link", name="Show").focus()
        page.keyboard.press("Enter")
        expect(rows).to_have_count(2)
        expect(page.locator("tr.fresh")).to_contain_text("shop/worker")
        expect(page.locator("#count")).to_contain_text("2 entries")

        bar.get_by_role("button", name="Pause").click()
        expect(bar).to_contain_text("Paused.")
        TargetFactory.create(project=scene.organization.projects.get(), name="Cron")
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.clock.run_for(20_000)
        assert requests == []
        bar.get_by_role("button", name="Pause").click()
        page.clock.run_for(6_000)
        expect(bar).to_contain_text("1 new entry.")
        assert not shown.complaints


def test_a_reader_signed_out_meanwhile_gets_a_link_to_sign_in(scene: Scene, window: Open) -> None:
    with window(scene.auditor) as shown:
        page = shown.page
        page.clock.install()
        shown.open("/o/acme/activity")
        page.context.clear_cookies(name="sessionid")
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.clock.run_for(6_000)
        bar = page.locator("#live")
        expect(bar).to_contain_text("You are signed out. Updates have stopped.")
        asked = len(requests)
        page.clock.run_for(20_000)
        assert len(requests) == asked > 0
        expect(page.get_by_label("Password")).to_have_count(0)

        page.locator("#entries td.when a").first.click()
        page.wait_for_url(re.compile(r"/sign-in\?next="))
        expect(page.get_by_label("Password")).to_be_visible()


def test_a_server_that_is_away_is_asked_again_and_less_often(scene: Scene, window: Open) -> None:
    with window(scene.auditor) as shown:
        page = shown.page
        page.clock.install()
        shown.open("/o/acme/activity?type=target")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.route("**/activity/new*", lambda route: route.abort())
        bar = page.locator("#live")
        page.clock.run_for(6_000)
        expect(bar).to_contain_text("not responding")
        page.clock.run_for(60_000)
        assert len(asked) < 8  # of the twelve that five seconds would make
        page.unroute("**/activity/new*")
        TargetFactory.create(project=scene.organization.projects.get(), name="Worker")
        page.clock.run_for(61_000)
        expect(bar).to_contain_text("1 new entry.")
