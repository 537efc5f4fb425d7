"""The one place that decides whose forwarding headers are trusted.

After it, REMOTE_ADDR is the client's address, and any forwarding headers are a trusted proxy's.
X-Forwarded-For and Forwarded (RFC 7239) are read element by element from the right: each proxy
appends the address it saw, so everything left of the first untrusted address may be forged.
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
# RFC 7239, 4, except quoted commas, semicolons and escapes. No address has them, and a client that
# could place one in another field (a Host header, say) would forge an element of its own.
_PAIR = r"[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|\"[^\",;\\]*\")"
_ELEMENT = re.compile(rf"{_PAIR}(?:\s*;\s*{_PAIR})*\s*;?", re.ASCII)


class UnreadableError(ValueError):
    """A forwarding header, or the element of it that would name the client, cannot be read."""


class Hop(NamedTuple):
    """What a proxy reports of its client: the text as written, the address, the scheme."""

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
    """The client that the headers of a trusted proxy name. Most proxies write one header and pass
    the other on as the client sent it, so two that disagree are both ignored; PROXY_HEADER says
    which one the proxy writes."""
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
    """The client that a header names: the right-most address that is not a trusted proxy. If it
    cannot be read, the nearest hop that is known."""
    client = Found(peer)
    try:
        hops = _hops_forwarded(text) if header == FORWARDED else _hops(text)
        for hop in reversed(hops):
            if client.address and not is_trusted(client.address):
                break
            if hop.address is None:
                raise UnreadableError(f"{hop.text!r} does not name an address")
            client = Found(hop.address, hop.scheme)
    except UnreadableError as error:
        _report(header, str(error))
    return client


def _hops(text: str) -> list[Hop]:
    """X-Forwarded-For: addresses, and empty elements, which are ignored (RFC 9110, 5.6.1.2)."""
    parts = [each.strip().strip('"') for each in text.split(",")]
    return [Hop(part, parse(part)) for part in parts if part]


def _hops_forwarded(text: str) -> list[Hop]:
    """Forwarded: `for=192.0.2.60;proto=http, for="[2001:db8::17]:4711"`."""
    elements = [part for each in text.split(",") if (part := each.strip())]
    if any(element.count('"') % 2 for element in elements):
        raise UnreadableError("a quoted string contains a comma, or is not closed")
    return [_hop(element) for element in elements]


def _hop(element: str) -> Hop:
    """A malformed element counts as one without an address: what is left of it may be forged, what
    is right of it is not."""
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
    """The address in `text`, which may have a port; IPv4 if it was mapped into IPv6; None if there
    is none."""
    plain = text.strip()
    if match := _WITH_PORT.fullmatch(plain):
        plain = match["v6"] or match["v4"] or ""
    # A link-local address may name its interface (fe80::1%eth0), which no column can store.
    plain, _, _ = plain.partition("%")
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _report(header: str, reason: str) -> None:
    metrics.UNREADABLE_HEADERS.labels(header).inc()
    logger.warning("cannot read a forwarding header (%s): %s", header, reason[:200])
