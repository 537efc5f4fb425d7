"""The page of an entry lets the browser check its proof, and says which steps it did."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.management import call_command
from django.db import transaction
from playwright.sync_api import Page, Route, expect

from audit.evidence import notes, signing
from audit.models import Entry
from audit.questions import tenant_scope
from dotenv_cloud import verifier
from organizations import ulid
from tests import evidence
from tests.browser.conftest import Open, Scene

HOLDS = "Your browser has just checked that this entry is in the signed log as this page shows it."
ERASED = (
    "Your browser has just checked that the entry of this number, which was erased, is in the"
    " signed log by its hash."
)
FAILED = "Your browser could not confirm this entry."


@pytest.fixture
def pages(scene: Scene) -> tuple[str, str]:
    """Of two entries that are proved."""
    signing.keys.cache_clear()
    evidence.seal_all()
    evidence.prove_all()
    with transaction.atomic():
        tenant_scope.enter([scene.organization.pk])
        mine = Entry.objects.visible([scene.organization.pk])  # type: ignore[attr-defined]
        made = mine.filter(action="create", resource_type="environment")
        first, second = made.order_by("seq")[:2]
    return f"/o/acme/activity/{first.ulid}", f"/o/acme/activity/{second.ulid}"


def status(page: Page) -> str:
    found = page.locator("#check [role=status]")
    expect(found).not_to_have_text(re.compile("is checking"))
    return found.inner_text()


def test_the_browser_checks_hash_path_and_signature(
    scene: Scene, window: Open, pages: tuple[str, str]
) -> None:
    key = signing.keys()[0].public
    identity = verifier.Key.parse(notes.vkey(signing.origin(scene.organization.pk), key)).id.hex()
    with window(scene.auditor) as shown:
        shown.page.goto(shown.url + pages[0])
        assert status(shown.page) == HOLDS
        steps = shown.page.locator("#check li")
        expect(steps).to_have_count(3)
        expect(steps.nth(0)).to_contain_text("computed from what this page shows")
        expect(steps.nth(1)).to_contain_text(re.compile(r"\d+ hashes lead from it to the root"))
        expect(steps.nth(2)).to_contain_text(
            re.compile(rf"checkpoint of [\d,]+ entries.*{identity}")
        )
        found = Axe().run(shown.page, context="#check")
        assert not found.response["violations"], found.generate_report()
        assert not shown.complaints


Change = Callable[[list[str]], None]


def another_actor(lines: list[str]) -> None:
    line = base64.b64decode(lines[1].removeprefix("extra "))
    forged = line.replace(b"system", b"sYstem") if b"system" in line else line.replace(b"@", b"#")
    assert forged != line
    lines[1] = f"extra {base64.b64encode(forged).decode()}"


def another_salt(lines: list[str]) -> None:
    line = base64.b64decode(lines[1].removeprefix("extra "))
    digit = b"1" if line[-3:-2] == b"0" else b"0"
    lines[1] = f"extra {base64.b64encode(line[:-3] + digit + line[-2:]).decode()}"


def another_form(lines: list[str]) -> None:
    withheld = f'{{"leaf":"sha256:{"0" * 64}"}}'.encode()
    lines[1] = f"extra {base64.b64encode(withheld).decode()}"


def another_hash(lines: list[str]) -> None:
    lines[3] = base64.b64encode(bytes(32)).decode()


def another_root(lines: list[str]) -> None:
    lines[lines.index("") + 3] = base64.b64encode(bytes(32)).decode()


def another_origin(lines: list[str]) -> None:
    lines[lines.index("") + 1] += "/1"


def another_signature(lines: list[str]) -> None:
    head, signature = lines[-2].rsplit(" ", 1)
    data = bytearray(base64.b64decode(signature))
    data[20] ^= 1
    lines[-2] = f"{head} {base64.b64encode(data).decode()}"


TAMPERED: dict[str, tuple[Change, str]] = {
    "a value of the entry": (another_actor, "This page shows another"),
    "the salt": (another_salt, "Its values are not those that were sealed."),
    "what it shows": (another_form, "The proof does not show what this page shows."),
    "a hash of the path": (another_hash, "The path leads to another root than the signed one."),
    "the root": (another_root, "The path leads to another root than the signed one."),
    "the name of the log": (another_origin, "No key of this log signed the checkpoint."),
    "the signature": (another_signature, "is wrong."),
}


def tampered(change: Change) -> Callable[[Route], None]:
    def answer(route: Route) -> None:
        true = route.fetch()
        lines = true.text().split("\n")
        change(lines)
        route.fulfill(response=true, body="\n".join(lines))

    return answer


def test_a_tampered_answer_fails_and_the_page_says_where(
    scene: Scene, window: Open, pages: tuple[str, str]
) -> None:
    with window(scene.auditor) as shown:
        for name, (change, message) in TAMPERED.items():
            shown.page.route("**/proof?part=1", tampered(change))
            shown.page.goto(shown.url + pages[0])
            assert status(shown.page).startswith(FAILED), name
            failed = shown.page.locator("#check .failed")
            expect(failed).to_contain_text(message)
            assert HOLDS not in shown.page.content(), name
            shown.page.unroute("**/proof?part=1")


@pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])
def test_an_entry_that_was_erased_as_a_whole_is_checked_by_its_hash(
    scene: Scene, window: Open, pages: tuple[str, str]
) -> None:
    with transaction.atomic():
        tenant_scope.enter([scene.organization.pk])
        seq = Entry.objects.get(pk=ulid.parse(pages[0].rpartition("/")[2])).seq
    asked = ("--reason", "request 7", "--by", "the data officer")
    call_command("audit_erase", "acme", "--seq", str(seq), "--leaf", *asked)
    evidence.seal_all()
    evidence.prove_all()
    with window(scene.auditor) as shown:
        shown.page.goto(shown.url + pages[0])
        assert status(shown.page) == ERASED
        expect(shown.page.locator("#check li")).to_have_count(3)
        assert not shown.complaints


def test_the_proof_of_another_entry_fails(
    scene: Scene, window: Open, pages: tuple[str, str]
) -> None:
    with window(scene.auditor) as shown:
        other = f"{shown.url}{pages[1]}/proof?part=1"
        shown.page.route(
            "**/proof?part=1", lambda route: route.fulfill(response=route.fetch(url=other))
        )
        shown.page.goto(shown.url + pages[0])
        assert status(shown.page).startswith(FAILED)
        expect(shown.page.locator("#check .failed")).to_contain_text("This page shows another id")


def test_a_browser_without_ed25519_says_so(
    scene: Scene, window: Open, pages: tuple[str, str]
) -> None:
    with window(scene.auditor) as shown:
        shown.page.add_init_script("crypto.subtle.importKey = () => Promise.reject(new Error())")
        shown.page.goto(shown.url + pages[0])
        assert "up to the root, but not who signed the root" in status(shown.page)
        expect(shown.page.locator("#check li").last).to_contain_text("cannot check the signature")


def test_the_page_is_complete_without_script(
    scene: Scene, window: Open, pages: tuple[str, str]
) -> None:
    with window(scene.auditor, java_script_enabled=False) as shown:
        shown.page.goto(shown.url + pages[0])
        expect(shown.page.get_by_role("link", name="Download proof")).to_be_visible()
        expect(shown.page.locator("#check")).to_be_hidden()
