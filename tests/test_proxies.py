"""Forwarding headers count only when a configured proxy sent them."""

from __future__ import annotations

import ipaddress

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django.fixtures import Settings

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
def test_nothing_that_is_no_address_is_taken_for_one(peer: str) -> None:
    assert seen(peer, x_forwarded_for="<script>").META["REMOTE_ADDR"] == peer
    assert seen("/run/socket", x_forwarded_for="192.0.2.1").META["REMOTE_ADDR"] == ""


def test_without_a_setting_nobody_is_believed(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = []
    assert not seen("127.0.0.1", x_forwarded_proto="https").is_secure()
