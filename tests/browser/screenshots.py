"""Takes the screenshots of docs/screenshots from a demo of its own: `make screenshots`."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import FLAGS, find

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "screenshots"
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
QUESTION = "/o/acme/activity?ask=who+deleted+the+production+environment&tz=Europe/Berlin"
CHANGES = "/o/acme/activity?action=update,rotate&when=30d&tz=Europe/Berlin"


def main() -> int:
    path = find()
    if path is None:
        print("No Chromium is installed, and CHROMIUM names none.", file=sys.stderr)
        return 1
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data_dir, sync_playwright() as playwright:
        server, url, email, password = _serve(Path(data_dir))
        try:
            browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
            for dress in ("light", "dark", "phone", "print"):
                _take(browser, dress, url, email, password)
        finally:
            server.terminate()
            server.wait(60)
    return 0


def _serve(data_dir: Path) -> tuple[subprocess.Popen[str], str, str, str]:
    """A demo: its process, its address, and how its auditor signs in."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    server = subprocess.Popen(
        ["make", "run", f"PORT={port}", f"DATA_DIR={data_dir}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    said = ""
    for line in server.stdout:
        said += line
        if line.startswith("Stop with"):
            break
    found = re.search(r"^  Auditor +(\S+) +(\S+)$", said, re.MULTILINE)
    if found is None:
        raise SystemExit(f"The demo did not start:\n{said}")
    return server, f"http://127.0.0.1:{port}", found[1], found[2]


def _take(browser: Browser, dress: str, url: str, email: str, password: str) -> None:
    context = browser.new_context(
        viewport=PHONE if dress == "phone" else WIDE,  # type: ignore[arg-type]
        color_scheme="dark" if dress == "dark" else "light",
        timezone_id="Europe/Berlin",
    )
    page = context.new_page()
    page.goto(f"{url}/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/activity**")
    for name, path in (("activity", CHANGES), ("question", QUESTION)):
        _shoot(page, url + path, dress, name)
    page.goto(url + QUESTION)
    entry = page.locator("#entries td.when a").first.get_attribute("href")
    _shoot(page, f"{url}{entry}", dress, "entry")
    page.goto(url + QUESTION)
    thing = page.locator("#entries a.thing[href*='/resource/']").first.get_attribute("href")
    _shoot(page, f"{url}{thing}", dress, "history")
    page.goto(f"{url}/o/acme/activity?actor=ci&type=key_version")
    actor = page.locator("#entries td.who a").first.get_attribute("href")
    _shoot(page, f"{url}{actor}", dress, "key-history")
    context.close()


def _shoot(page: Page, address: str, dress: str, name: str) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.emulate_media(media="print" if dress == "print" else "screen")
    page.screenshot(path=TARGET / f"{name}-{dress}.png")


if __name__ == "__main__":
    sys.exit(main())
