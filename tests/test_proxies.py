"""Forwarding headers count only when a configured proxy sent them."""

from __future__ import annotations

import ipaddress

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from prometheus_client import CollectorRegistry, generate_latest
from pytest_django.fixtures import Settings

from dotenv_cloud.observability import metrics
from dotenv_cloud.proxies import TrustedProxyMiddleware

PROXY = "10.0.0.7"


@pytest.fixture(autouse=True)
def _proxies(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/24")]


def seen(peer: str, **headers: str) -> HttpRequest:
    """The request as the rest of the site sees it."""
    requests: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse()

    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)
    TrustedProxyMiddleware(view)(request)
    return requests[0]


@pytest.mark.parametrize("peer", ["198.51.100.9", "2001:db8::1", "", "::ffff:198.51.100.9"])
def test_a_stranger_cannot_claim_an_address_or_tls(peer: str) -> None:
    request = seen(
        peer, x_forwarded_for="192.0.2.1", x_forwarded_proto="https", x_real_ip="192.0.2.1"
    )
    assert not request.is_secure()
    assert not [name for name in request.META if "FORWARDED" in name or "REAL_IP" in name]


@pytest.mark.parametrize("peer", [PROXY, f"::ffff:{PROXY}"])
def test_a_proxy_is_believed(peer: str) -> None:
    request = seen(peer, x_forwarded_for="192.0.2.1", x_forwarded_proto="https")
    assert request.is_secure()
    assert request.META["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize("peer", ["198.51.100.9", PROXY])
def test_only_addresses_are_taken_for_addresses(peer: str) -> None:
    assert seen(peer, x_forwarded_for="<script>").META["REMOTE_ADDR"] == peer
    assert seen("/run/socket", x_forwarded_for="192.0.2.1").META["REMOTE_ADDR"] == ""


def test_without_a_setting_nobody_is_believed(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = []
    assert not seen("127.0.0.1", x_forwarded_proto="https").is_secure()


CLIENT, CLIENT_6 = "192.0.2.1", "2001:db8::17"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("192.0.2.1:50123", CLIENT),
        (" 192.0.2.1 , ", CLIENT),
        ("192.0.2.1,,", CLIENT),
        (",192.0.2.1", CLIENT),
        ('"192.0.2.1"', CLIENT),
        ('"192.0.2.1:80"', CLIENT),
        ("::ffff:192.0.2.1", CLIENT),
        ("[::ffff:192.0.2.1]:443", CLIENT),
        ("[2001:db8::17]:4711", CLIENT_6),
        ("[2001:db8::17]", CLIENT_6),
        ('"[2001:DB8::17]:4711"', CLIENT_6),
        ("2001:db8::17", CLIENT_6),
        ("203.0.113.9, 192.0.2.1:1234, 10.0.0.9:80", CLIENT),
        ("unknown, 192.0.2.1", CLIENT),
        ('"192.0.2.7, 192.0.2.1', CLIENT),
        ("10.0.0.9", "10.0.0.9"),
        ("", PROXY),
    ],
)
def test_x_forwarded_for_is_read_as_proxies_write_it(forwarded: str, client: str) -> None:
    assert seen(PROXY, x_forwarded_for=forwarded).META["REMOTE_ADDR"] == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("for=192.0.2.1", CLIENT),
        ("For=192.0.2.1;Proto=HTTPS;by=203.0.113.43", CLIENT),
        ("by=203.0.113.43; for=192.0.2.1 ;proto=http", CLIENT),
        ('for="192.0.2.1:8080"', CLIENT),
        ('for="[2001:db8::17]:4711"', CLIENT_6),
        ('for="[2001:db8::17]:_secret"', CLIENT_6),
        ("for=203.0.113.9, for=192.0.2.1, for=10.0.0.9", CLIENT),
        ("for=_hidden, for=192.0.2.1,", CLIENT),
        ("nonsense, for=192.0.2.1", CLIENT),
        ("for=192.0.2.1;host=dotenv.example.org", CLIENT),
        # What cannot be read: the nearest hop that is known.
        ("for=unknown", PROXY),
        ("for=_hidden", PROXY),
        ("192.0.2.1", PROXY),
        ("proto=https", PROXY),
        ("for=unknown, for=10.0.0.9", "10.0.0.9"),
        # A client that has a say in the host's name, or sends half a string ahead.
        ('for=192.0.2.1;host="x, for=203.0.113.9"', PROXY),
        ('for=192.0.2.1;host="x, for=203.0.113.9;b="', PROXY),
        ('for=", for=192.0.2.1;host=", for=203.0.113.9;x=""', PROXY),
        ('for="203.0.113.9;x, for=192.0.2.1', PROXY),
    ],
)
def test_forwarded_is_read_by_its_rfc(forwarded: str, client: str) -> None:
    assert seen(PROXY, forwarded=forwarded).META["REMOTE_ADDR"] == client


def test_forwarded_says_whether_the_client_came_by_tls() -> None:
    assert seen(PROXY, forwarded="for=192.0.2.1;proto=https").is_secure()
    assert not seen(PROXY, forwarded="for=192.0.2.1;proto=http").is_secure()
    assert not seen(PROXY, forwarded="for=192.0.2.1;proto=https, for=192.0.2.9").is_secure()
    assert not seen("198.51.100.9", forwarded="for=192.0.2.1;proto=https").is_secure()


@pytest.mark.parametrize("peer", ["", "localhost", "/run/dotenv.sock"])
@pytest.mark.parametrize("loopback", ["127.0.0.1/32", "::1/128"])
def test_a_proxy_behind_a_unix_socket_is_one_of_this_machine(
    settings: Settings, peer: str, loopback: str
) -> None:
    assert seen(peer, x_forwarded_for=CLIENT).META["REMOTE_ADDR"] == ""
    settings.TRUSTED_PROXIES = [ipaddress.ip_network(loopback)]
    assert seen(peer, x_forwarded_for="192.0.2.1:99").META["REMOTE_ADDR"] == CLIENT
    assert seen(peer, forwarded="for=192.0.2.1").META["REMOTE_ADDR"] == CLIENT
    assert seen(peer).META["REMOTE_ADDR"] == ""
    assert seen(peer, x_forwarded_for="nonsense").META["REMOTE_ADDR"] == ""


def test_of_two_headers_that_disagree_neither_is_believed(settings: Settings) -> None:
    """A proxy writes one of them; the other one came from the client."""
    both = {"x_forwarded_for": CLIENT, "forwarded": "for=203.0.113.9"}
    assert seen(PROXY, **both).META["REMOTE_ADDR"] == PROXY
    assert seen(PROXY, x_forwarded_for=CLIENT, forwarded="x").META["REMOTE_ADDR"] == CLIENT
    assert seen(PROXY, x_forwarded_for="x", forwarded="for=192.0.2.1").META["REMOTE_ADDR"] == CLIENT
    agreed = {"x_forwarded_for": CLIENT, "forwarded": "for=192.0.2.1"}
    assert seen(PROXY, **agreed).META["REMOTE_ADDR"] == CLIENT
    settings.PROXY_HEADER = "X-Forwarded-For"
    assert seen(PROXY, **both).META["REMOTE_ADDR"] == CLIENT
    assert "HTTP_FORWARDED" not in seen(PROXY, **both).META
    settings.PROXY_HEADER = "Forwarded"
    assert seen(PROXY, **both).META["REMOTE_ADDR"] == "203.0.113.9"


@pytest.mark.parametrize(
    ("label", "headers"),
    [
        ("X-Forwarded-For", {"x_forwarded_for": "<script>"}),
        ("Forwarded", {"forwarded": "for=unknown"}),
        ("both", {"x_forwarded_for": CLIENT, "forwarded": "for=203.0.113.9"}),
    ],
)
def test_a_header_that_cannot_be_read_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture, label: str, headers: dict[str, str]
) -> None:
    def counted() -> str:
        lines = generate_latest(registry).decode().splitlines()
        return next((line for line in lines if f'_total{{header="{label}"}}' in line), "0.0")

    registry = CollectorRegistry()
    registry.register(metrics.UNREADABLE_HEADERS)
    before = float(counted().split()[-1])
    seen(PROXY, **headers)
    assert float(counted().split()[-1]) == before + 1
    assert "cannot read a forwarding header" in caplog.text
    caplog.clear()
    seen("198.51.100.9", **headers)
    assert float(counted().split()[-1]) == before + 1
    assert not caplog.text
