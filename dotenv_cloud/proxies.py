"""The one place that decides whose forwarding headers are believed.

Behind it, REMOTE_ADDR is the client's address, and forwarding headers are a proxy's or not there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDING_HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)


class TrustedProxyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        peer = parse(request.META.get("REMOTE_ADDR", ""))
        if peer is None or not is_trusted(peer):
            for header in FORWARDING_HEADERS:
                request.META.pop(header, None)
        client = client_of(peer, request.META.get("HTTP_X_FORWARDED_FOR", "")) if peer else None
        request.META["REMOTE_ADDR"] = str(client) if client else ""
        return self.get_response(request)


def client_of(peer: Address, forwarded: str) -> Address:
    """The client's address, of a connection from `peer` with this X-Forwarded-For.

    It is the peer's, unless the peer is one of TRUSTED_PROXIES: then the right-most address that is
    no trusted proxy. What lies further left was written by the client.
    """
    client = peer
    for text in reversed(forwarded.split(",")):
        if not is_trusted(client):
            break
        address = parse(text)
        if address is None:
            break
        client = address
    return client


def is_trusted(address: Address) -> bool:
    """Whether it is one of TRUSTED_PROXIES."""
    return any(address in network for network in settings.TRUSTED_PROXIES)


def parse(text: str) -> Address | None:
    """An address, IPv4 even where it was mapped into IPv6; None if it is none."""
    # A link-local address may come with its interface (fe80::1%eth0), which no column takes.
    plain, _, _ = text.strip().partition("%")
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
