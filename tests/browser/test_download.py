"""An export from the page: how far it is, cancelled, saved; a plain link without JavaScript."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from audit.export import formats
from tests.browser.conftest import Open, Scene
from tests.factories import EnvironmentFactory, TargetFactory

ACTIVITY = "/o/acme/activity?type=environment"
SLOW = 20_000  # bytes a second


@pytest.fixture
def many(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments for more than a glance."""
    target = TargetFactory.create(project__organization=scene.organization, project__name="Many")
    for number in range(150):
        EnvironmentFactory.create(target=target, name=f"Stage {number}")
    monkeypatch.setattr(formats, "PIECE", 10)


def test_a_download_shows_its_progress_and_is_cancelled(
    scene: Scene, window: Open, many: None
) -> None:
    with window(scene.owner) as shown:
        page = shown.page
        shown.open(ACTIVITY)
        slow = {"offline": False, "latency": 0, "downloadThroughput": SLOW, "uploadThroughput": -1}
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
        page.get_by_text("Export", exact=True).click()
        link = page.get_by_role("link", name="OCSF")
        link.press("Enter")
        status = page.locator("#download").get_by_role("status")
        expect(status).to_have_text(re.compile(r"OCSF: [1-9]\d* of 154 entries, \d"))
        assert page.get_by_role("progressbar", name="Export").get_attribute("max") == "154"
        found = Axe().run(page, context="#download")
        assert not found.response["violations"], found.generate_report()
        cancel = page.get_by_role("button", name="Cancel")
        cancel.focus()
        cancel.press("Enter")
        expect(status).to_have_text(
            re.compile(r"OCSF: cancelled after \d+ entries.* Nothing was saved")
        )
        expect(cancel).to_be_hidden()
        expect(page.get_by_text("Export", exact=True).locator("..")).to_be_focused()
        assert shown.complaints == []


@pytest.mark.parametrize("has_script", [True, False])
def test_a_download_is_saved_whole(
    scene: Scene, window: Open, many: None, tmp_path: Path, has_script: bool
) -> None:
    with window(scene.owner, java_script_enabled=has_script) as shown:
        page = shown.page
        shown.open(ACTIVITY)
        page.get_by_text("Export", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("link", name="NDJSON").click()
        file = tmp_path / "saved"
        download.value.save_as(file)
        assert download.value.suggested_filename == "acme-audit.ndjson"
        assert len([json.loads(line) for line in file.read_text().splitlines()]) == 154
        if has_script:
            status = page.locator("#download").get_by_role("status")
            expect(status).to_have_text(re.compile(r"NDJSON: saved 154 entries, \d"))
        assert shown.complaints == []


def test_an_export_that_breaks_off_saves_nothing(
    scene: Scene, window: Open, many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = formats.written

    def breaking(*arguments: object) -> object:
        parts = written(*arguments)  # type: ignore[arg-type]
        yield next(parts)
        raise formats.RemovedMeanwhileError

    monkeypatch.setattr(formats, "written", breaking)
    with window(scene.owner) as shown:
        shown.open(ACTIVITY)
        shown.page.get_by_text("Export", exact=True).click()
        shown.page.get_by_role("link", name="NDJSON").click()
        status = shown.page.locator("#download").get_by_role("status")
        expect(status).to_have_text(re.compile("interrupted .* Nothing was saved"))
