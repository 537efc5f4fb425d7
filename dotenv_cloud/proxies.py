"""The one place that decides whose forwarding headers are believed.

Behind it, REMOTE_ADDR is the client's address, and forwarding headers are a proxy's or not there.
Read are X-Forwarded-For and Forwarded (RFC 7239), element by element from the right: each proxy
appends what it saw, so that what lies left of the first element of a stranger is the stranger's.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from dotenv_cloud.observability import metrics

logger = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

X_FORWARDED_FOR, FORWARDED = "X-Forwarded-For", "Forwarded"
FORWARDING_HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)

_READ = {X_FORWARDED_FOR: "HTTP_X_FORWARDED_FOR", FORWARDED: "HTTP_FORWARDED"}

_LOOPBACK = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))

# RFC 7239, 6: a port may be obfuscated, and an address of version 6 stands in brackets.
_WITH_PORT = re.compile(r"\[(?P<v6>[^\[\]]*)\](?::[\w.-]+)?|(?P<v4>[0-9.]+):[\w.-]+")
# RFC 7239, 4, but for quoted commas, semicolons and escapes. No address has them, and whoever
# could place one in another field (a Host header, say) would write an element of their own.
_PAIR = r"[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|\"[^\",;\\]*\")"
_ELEMENT = re.compile(rf"{_PAIR}(?:\s*;\s*{_PAIR})*\s*;?", re.ASCII)


class UnreadableError(ValueError):
    """A forwarding header, or the element of it that would name the client, cannot be read."""


class Hop(NamedTuple):
    """What a proxy says of whoever connected to it: as it wrote it, the address, the scheme."""

    text: str
    address: Address | None
    scheme: str = ""


class Found(NamedTuple):
    address: Address | None
    scheme: str = ""


class TrustedProxyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        peer = parse(request.META.get("REMOTE_ADDR", ""))
        client = Found(peer)
        if _is_trusted_peer(peer):
            client = _forwarded_client(peer, request.META)
        else:
            for header in FORWARDING_HEADERS:
                request.META.pop(header, None)
        request.META["REMOTE_ADDR"] = str(client.address) if client.address else ""
        if client.scheme:
            request.META.setdefault("HTTP_X_FORWARDED_PROTO", client.scheme)
        return self.get_response(request)


def _is_trusted_peer(peer: Address | None) -> bool:
    """A peer without an address came through a Unix socket, so it is a process of this machine, as
    one from a loopback address is."""
    return is_trusted(peer) if peer else any(is_trusted(address) for address in _LOOPBACK)


def is_trusted(address: Address) -> bool:
    """Whether it is one of TRUSTED_PROXIES."""
    return any(address in network for network in settings.TRUSTED_PROXIES)


def _forwarded_client(peer: Address | None, meta: dict[str, str]) -> Found:
    """Whom the headers of a trusted proxy name. Most proxies write one header and pass the other on
    as the client sent it, so two that disagree are as good as none; PROXY_HEADER says which is
    theirs."""
    if settings.PROXY_HEADER:
        for header, name in _READ.items():
            if header != settings.PROXY_HEADER:
                meta.pop(name, None)
    found = [
        _client_of(peer, header, meta[name]) for header, name in _READ.items() if meta.get(name)
    ]
    clients = [one for one in found if one.address and not is_trusted(one.address)]
    if len({client.address for client in clients}) > 1:
        _report("both", "X-Forwarded-For and Forwarded name different clients; set PROXY_HEADER")
        return Found(peer)
    return [Found(peer), *found, *clients][-1]


def _client_of(peer: Address | None, header: str, text: str) -> Found:
    """The client that a header names: the right-most address that is no trusted proxy. Where it
    cannot be read, whatever is known of the nearest hop."""
    client = Found(peer)
    try:
        hops = _hops_forwarded(text) if header == FORWARDED else _hops(text)
        for hop in reversed(hops):
            if client.address and not is_trusted(client.address):
                break
            if hop.address is None:
                raise UnreadableError(f"{hop.text!r} names no address")
            client = Found(hop.address, hop.scheme)
    except UnreadableError as error:
        _report(header, str(error))
    return client


def _hops(text: str) -> list[Hop]:
    """X-Forwarded-For: addresses, and empty elements, which RFC 9110 (5.6.1.2) has one ignore."""
    parts = [each.strip().strip('"') for each in text.split(",")]
    return [Hop(part, parse(part)) for part in parts if part]


def _hops_forwarded(text: str) -> list[Hop]:
    """Forwarded: `for=192.0.2.60;proto=http, for="[2001:db8::17]:4711"`."""
    elements = [part for each in text.split(",") if (part := each.strip())]
    if any(element.count('"') % 2 for element in elements):
        raise UnreadableError("a quoted string holds a comma, or does not end")
    return [_hop(element) for element in elements]


def _hop(element: str) -> Hop:
    """An element that does not fit is one without an address: what is left of it may be forged,
    what is right of it is not."""
    if not _ELEMENT.fullmatch(element):
        return Hop(element, None)
    pairs = dict[str, str]()
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name:
            pairs.setdefault(name.lower(), value.strip('"'))
    scheme = pairs.get("proto", "").lower()
    client = parse(pairs.get("for", ""))
    return Hop(element, client, scheme if scheme in ("http", "https") else "")


def parse(text: str) -> Address | None:
    """An address, with or without a port, IPv4 even where it was mapped into IPv6; None if it is
    none."""
    plain = text.strip()
    if match := _WITH_PORT.fullmatch(plain):
        plain = match["v6"] or match["v4"] or ""
    # A link-local address may come with its interface (fe80::1%eth0), which no column takes.
    plain, _, _ = plain.partition("%")
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _report(header: str, reason: str) -> None:
    metrics.UNREADABLE_HEADERS.labels(header).inc()
    logger.warning("cannot read a forwarding header (%s): %s", header, reason[:200])
