"""Reads the settings that need more than one line from the environment: database URLs, master
keys, limits, proxies; and the demo's own secrets, created on its first start.

Every error names the variable and says what to set it to.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MASTER_KEY_BYTES = 32
SIGNING_KEY_BYTES = 32


# The client notices a dead server within seconds instead of the system's minutes. libpq ignores
# these on a Unix socket. Parameters of the URL take precedence.
_PATIENCE = {
    "connect_timeout": "5",
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # milliseconds
}


class Limit(NamedTuple):
    """So many requests in so many seconds."""

    requests: int
    seconds: int


def database(url: str, variable: str) -> dict[str, Any]:
    """Django's settings for a libpq URL, with any parameter that libpq understands."""
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise ImproperlyConfigured(
            f"{variable} is not a PostgreSQL URL such as"
            " postgresql://dotenv_app:password@db.internal:5432/dotenv_cloud?sslmode=verify-full."
        ) from error
    if not parts.get("user") or not parts.get("dbname"):
        raise ImproperlyConfigured(
            f"{variable} does not name a {'database' if parts.get('user') else 'role'}. Write"
            " postgresql://role:password@host:5432/database."
        )
    for name, value in _PATIENCE.items():
        parts.setdefault(name, value)
    return {
        "ENGINE": "organizations.postgresql",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user"),
        "PASSWORD": parts.pop("password", "") or "",
        "HOST": parts.pop("host", "") or "",
        "PORT": str(parts.pop("port", "") or ""),
        "OPTIONS": parts,
    }


def master_keys(text: str) -> tuple[int, dict[int, bytes]]:
    """The current version and all keys of `2:base64,1:base64`; the first is the current one."""
    keys: dict[int, bytes] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        version, separator, encoded = entry.partition(":")
        if not separator or not version.isdigit() or int(version) < 1:
            raise _bad_master_keys("each key must be a version, a colon and the key in base64")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise _bad_master_keys(f"the key of version {version} is not base64") from error
        if len(key) != MASTER_KEY_BYTES:
            raise _bad_master_keys(
                f"the key of version {version} has {len(key)} bytes instead of {MASTER_KEY_BYTES}"
            )
        if int(version) in keys:
            raise _bad_master_keys(f"version {version} is given twice")
        keys[int(version)] = key
    if not keys:
        raise _bad_master_keys("it is empty")
    return next(iter(keys)), keys


def _bad_master_keys(why: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"MASTER_KEYS is not valid: {why}. Write 1:$(openssl rand -base64 32); to rotate, put the"
        " new key first: 2:NEW,1:OLD."
    )


def signing_keys(text: str) -> dict[int, bytes]:
    """The keys of `2:base64,1:base64`, by number, the current one first; there may be none."""
    keys: dict[int, bytes] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        number, separator, encoded = entry.partition(":")
        if not separator or not re.fullmatch("[1-9][0-9]{0,8}", number):
            raise _bad_signing_keys("each key must be a number, a colon and the key in base64")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise _bad_signing_keys(f"key {number} is not base64") from error
        if len(key) != SIGNING_KEY_BYTES:
            raise _bad_signing_keys(
                f"key {number} has {len(key)} bytes instead of {SIGNING_KEY_BYTES}"
            )
        if keys and int(number) >= min(keys):
            raise _bad_signing_keys("the newest key comes first, with the largest number")
        keys[int(number)] = key
    return keys


def _bad_signing_keys(why: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"AUDIT_SIGNING_KEYS is not valid: {why}. Write 1:$(openssl rand -base64 32); to rotate,"
        " put the new key first: 2:NEW,1:OLD."
    )


def origin(text: str, variable: str) -> str:
    """What the service is called in checkpoints: a name of a key (C2SP signed-note), printable."""
    if not text or len(text) > 200 or not text.isprintable() or re.search(r"[\s+]", text):
        raise ImproperlyConfigured(
            f"{variable} is {text!r}. Write a name without white space and without +, such as"
            " dotenv.example.com, and never change it: it is part of what is signed."
        )
    return text.strip("/")


def witnesses(text: str, variable: str) -> tuple[tuple[str, str], ...]:
    """`vkey url, vkey url`: keys of witnesses, and where checkpoints are sent to."""
    found = []
    for pair in filter(None, (part.strip() for part in text.split(","))):
        vkey, _, url = pair.partition(" ")
        parts = urlsplit(url.strip())
        if not re.fullmatch(r"[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+", vkey) or (
            parts.scheme not in ("http", "https") or not parts.hostname
        ):
            raise ImproperlyConfigured(
                f"{variable} has {pair[:200]!r}. Write the witness's public key, a blank and the"
                " address to which checkpoints are sent, such as"
                " witness.example.org/w1+19e72444+BAbL7K… https://witness.example.org."
            )
        found.append((vkey, url.strip().rstrip("/")))
    return tuple(found)


def url(text: str, variable: str) -> str:
    """An address over HTTP, or nothing."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ImproperlyConfigured(f"{variable} is {text[:200]!r}. Write an address with http(s).")
    return text


def limit(text: str, variable: str) -> Limit:
    """`100/60`: a hundred requests in sixty seconds."""
    requests, separator, seconds = text.partition("/")
    if not (
        separator and requests.isdigit() and seconds.isdigit() and int(requests) * int(seconds)
    ):
        raise ImproperlyConfigured(
            f"{variable} is {text!r}. Write requests/seconds, such as 100/60 for 100 per minute."
        )
    return Limit(int(requests), int(seconds))


def networks(texts: list[str], variable: str) -> list[Network]:
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{variable}: {text!r} is not an address or a network. Write the addresses of your"
                " proxies, such as 127.0.0.1,10.0.0.0/24."
            ) from error
    return found


def one_of(text: str, variable: str, words: tuple[str, ...]) -> str:
    """The one of `words` that `text` is, ignoring case, or empty."""
    for word in ("", *words):
        if text.strip().lower() == word.lower():
            return word
    raise ImproperlyConfigured(f"{variable} is {text!r}. Write {' or '.join(words)}.")


def base_url(text: str, variable: str) -> str:
    """The service's own address: scheme and host only, as it is served at the root."""
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ImproperlyConfigured(
            f"{variable} is {text!r}. Write scheme and host, such as https://dotenv.example.com."
        )
    return f"{parts.scheme}://{parts.netloc}"


class DemoSecrets(NamedTuple):
    secret_key: str
    master_keys: str
    signing_keys: str


def demo_secrets(data_dir: Path) -> DemoSecrets:
    """The demo's secrets, created once, beside its database, readable by its user alone."""
    path = data_dir / "secrets.json"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        made = DemoSecrets(
            secrets.token_urlsafe(48), _new_key(MASTER_KEY_BYTES), _new_key(SIGNING_KEY_BYTES)
        )
        # mkstemp creates the file with mode 0600. Linking is atomic: of two first starts, one wins.
        descriptor, name = tempfile.mkstemp(dir=data_dir, prefix=".secrets-")
        with os.fdopen(descriptor, "w") as file:
            json.dump(made._asdict(), file)
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(name)
    return DemoSecrets(**json.loads(path.read_text()))


def _new_key(length: int) -> str:
    return f"1:{base64.b64encode(secrets.token_bytes(length)).decode()}"
