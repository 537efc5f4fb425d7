"""Slow clients hold nothing that others need: real sockets against the real server."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from audit.export import download
from audit.questions import waiting
from dotenv_cloud import serving
from tests.operations.conftest import Site, wait_until

pytestmark = pytest.mark.timeout(300)

QUICKLY = 12.0
"""Seconds in which everybody else is answered, on a machine that is busy with other tests."""

WRITE_ENTRIES = """
import django
django.setup()
from django.db import transaction
from audit.capture.events import Affected, record_each
from organizations import ulid
from organizations.models import Organization
organization = Organization.objects.get()
for _ in range(6):
    with transaction.atomic():
        affected = [Affected(ulid.new(), "x" * 500, organization.pk, {}) for _ in range(10_000)]
        record_each("read", resource_type="secret", affected=affected)
"""


class Slow:
    """A client that sends what it is given and then takes its time."""

    def __init__(self, site: Site, text: str, receive_buffer: int = 4096) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", site.port))
        self.socket.sendall(text.encode())

    def begins(self, size: int = 200) -> bytes:
        """How the answer begins, and no more of it."""
        self.socket.settimeout(20)
        return self.socket.recv(size)

    def status(self) -> int:
        return int(self.begins().split()[1])

    def close(self) -> None:
        self.socket.close()


def request_for(site: Site, path: str, ends: bool = True) -> str:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {site.token}"]
    return "\r\n".join(lines) + ("\r\n\r\n" if ends else "\r\n")


@contextlib.contextmanager
def slow(site: Site, count: int, text: str) -> Iterator[list[Slow]]:
    clients = [Slow(site, text) for _ in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def assert_everybody_else_is_answered(site: Site) -> None:
    started = time.monotonic()
    address = f"http://127.0.0.1:{site.port}"
    assert httpx.get(f"{address}/health/live", timeout=QUICKLY).status_code == 200
    page = httpx.get(f"{address}/sign-in", timeout=QUICKLY)
    assert page.status_code == 200
    assert site.request("GET", "/api/v1/user", timeout=QUICKLY).status_code == 200
    assert site.rename(f"Shop {started}").status_code == 200
    assert time.monotonic() - started < 2 * QUICKLY


@pytest.fixture(scope="module")
def long_log(site: Site) -> str:
    """The path of an export of tens of megabytes, far more than waits for a reader."""
    site.run("-c", WRITE_ENTRIES)
    return f"/api/v1/organizations/{site.slug}/audit/entries/export"


def test_40_half_sent_headers_hold_nobody_up(site: Site) -> None:
    with slow(site, 40, request_for(site, "/api/v1/user", ends=False)):
        time.sleep(1)
        assert_everybody_else_is_answered(site)


def test_40_half_sent_bodies_hold_nobody_up(site: Site) -> None:
    text = (
        f"POST /api/v1/{site.slug}/projects HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {site.token}\r\nContent-Type: application/json\r\n"
        'Content-Length: 100\r\n\r\n{"name": '
    )
    with slow(site, 40, text):
        time.sleep(1)
        assert_everybody_else_is_answered(site)


def test_40_readers_of_pages_who_do_not_read_hold_nobody_up(site: Site, long_log: str) -> None:
    page = f"/api/v1/organizations/{site.slug}/audit/entries?per_page=200"
    with slow(site, 40, request_for(site, page)) as readers:
        assert all(reader.status() == 200 for reader in readers)
        assert_everybody_else_is_answered(site)


def test_slow_readers_of_exports_are_bounded_and_hold_nobody_up(site: Site, long_log: str) -> None:
    def ended() -> int:
        found = site.api("GET", "/audit/entries?action=end_export&result=failed&per_page=100")
        assert found.status_code == 200, found.text
        return len(found.json()["data"])

    before = ended()
    with slow(site, 16, request_for(site, long_log)) as readers:
        answers = [reader.status() for reader in readers]
        served = answers.count(200)
        assert served + answers.count(429) == 16
        assert 1 <= served <= 2 * download.MOST_OF_ONE, answers  # two processes
        time.sleep(1)
        assert_everybody_else_is_answered(site)
    # Who went away has left their place, and it is entered that they did not get all.
    wait_until(lambda: ended() == before + served)
    whole = site.request("GET", long_log, timeout=120)
    assert whole.status_code == 200
    assert all(json.loads(line) for line in whole.text.splitlines()[-10:])


def test_a_refused_export_says_when_to_come_back_and_is_entered(site: Site, long_log: str) -> None:
    with slow(site, 16, request_for(site, long_log)) as readers:
        begun = [(reader, reader.begins(2_000).decode()) for reader in readers]
        reader, refused = next(each for each in begun if each[1].startswith("HTTP/1.1 429"))
        if refused.endswith("\r\n\r\n"):
            refused += reader.begins(2_000).decode()
    assert f"Retry-After: {download.RETRY_SECONDS}\r\n" in refused
    assert '"error":"rate_limited"' in refused
    entries = site.api("GET", "/audit/entries?action=access&result=denied&per_page=1").json()
    assert entries["data"][0]["attributes"]["reason"] == "too_many_exports"


def test_requests_that_wait_are_bounded_and_hold_nobody_up(site: Site) -> None:
    path = f"/api/v1/organizations/{site.slug}/audit/entries?after_seq=999999999&wait=15"
    with slow(site, 24, request_for(site, path)) as clients:
        time.sleep(1)
        assert_everybody_else_is_answered(site)
        answers = [client.status() for client in clients]
    served = answers.count(200)
    assert served + answers.count(429) == 24
    assert 1 <= served <= 2 * waiting.MOST_OF_ONE, answers  # two processes


def test_who_does_not_read_at_all_is_cut_off(site: Site, long_log: str) -> None:
    with slow(site, 1, request_for(site, long_log)) as [reader]:
        assert reader.status() == 200

        def is_cut_off() -> bool:
            try:
                reader.socket.sendall(b"\r\n")
            except OSError:
                return True
            return False

        # Seen in the second look: in the first it took what the system buffers for it.
        wait_until(is_cut_off, within=3 * serving.PATIENCE)


def test_head_has_no_body_and_the_connection_goes_on(site: Site) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{site.port}") as client:
        for _ in range(2):
            head = client.head("/sign-in")
            assert (head.status_code, head.content) == (200, b"")
            assert client.get("/sign-in").status_code == 200
