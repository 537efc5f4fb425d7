"""Which server, account and organization the command uses."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import click

from dotenv_cloud.cli import accounts, files, output
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Options, current_options, is_set

_TOKEN = re.compile(r"dotenv_([0-9A-Z]{26})_[a-zA-Z0-9]+")
_SEGMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_LOCAL_SUFFIXES = (".test", ".local", ".localhost")
# One write an hour is enough to distinguish a used account from a forgotten one.
_USE_IS_KEPT_EVERY = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Credentials:
    url: str
    url_source: str
    token: str = field(repr=False)
    token_source: str
    organization: str | None
    account: str | None = None


def connect() -> Api:
    """The API that the running command's options, the environment and the accounts select."""
    options = current_options()
    credentials = resolve(options)
    return open_api(credentials)


def open_api(credentials: Credentials) -> Api:
    context = click.get_current_context()
    return Api(
        url=credentials.url,
        url_source=credentials.url_source,
        token=credentials.token,
        token_source=credentials.token_source,
        organization=credentials.organization,
        command=" ".join(context.command_path.split()[1:]),
        check_certificate=not skips_certificate_check(credentials.url),
    )


def resolve(options: Options) -> Credentials:
    key, key_source = given_key(options)
    # With key and server in the environment the accounts file, which may be broken, is not read.
    alone = key and os.environ.get("DOTENV_API_URL", "").strip()
    account = None if alone else chosen_account(options)
    if not key and account is None:
        raise Failure(
            "You are not signed in.",
            Exit.ACCESS,
            "Run `dotenv login`, or set DOTENV_API_KEY and DOTENV_API_URL.",
        )
    url, url_source = _url(account)
    if key:
        return Credentials(
            url=url,
            url_source=url_source,
            token=sendable(key, key_source),
            token_source=key_source,
            organization=given_organization(options) or organization_in(key),
        )
    assert account is not None  # noqa: S101 - one of the two is set, see above
    remember_use(options, account)
    return Credentials(
        url=url,
        url_source=url_source,
        token=account.token,
        token_source=f"account {account.name}",
        organization=given_organization(options)
        or account.organization.ulid
        or organization_in(account.token),
        account=account.name,
    )


def given_key(options: Options) -> tuple[str, str]:
    """A key that takes precedence over any account, and where it was given."""
    if options.api_key and options.account:
        raise Failure("Give --api-key or --account, not both.", Exit.USAGE)
    if options.api_key:
        return options.api_key.strip(), "--api-key"
    if options.account:  # given on the command line, so it overrides the environment
        return "", ""
    return os.environ.get("DOTENV_API_KEY", "").strip(), "DOTENV_API_KEY"


def chosen_account(options: Options) -> accounts.Account | None:
    path = options.accounts_file
    book = accounts.load(path)
    if book.accounts and files.is_open_to_others(path):
        output.warn(f"Other users can read your keys in {path}; run: chmod 600 {path}")
    # Accounts were once called contexts, and scripts still set DOTENV_CONTEXT.
    name = options.account or os.environ.get("DOTENV_CONTEXT", "").strip() or book.current
    if name is None:
        return None
    if name not in book.accounts:
        raise unknown_account(name, book)
    return book.accounts[name]


def unknown_account(name: str, book: accounts.Book) -> Failure:
    known = ", ".join(book.accounts) or "none"
    return Failure(f"There is no account called {name}.", Exit.USAGE, f"Accounts: {known}.")


def given_organization(options: Options) -> str | None:
    for source, value in (
        ("--organization", options.organization),
        ("DOTENV_ORGANIZATION", os.environ.get("DOTENV_ORGANIZATION")),
    ):
        if value and value.strip():
            return segment(value.strip(), f"value for {source}")
    return None


def organization_in(token: str) -> str | None:
    """API keys name their organization."""
    match = _TOKEN.fullmatch(token)
    return match[1] if match else None


def sendable(token: str, source: str) -> str:
    """`token`, unless it could not be sent. The message does not repeat it."""
    if not token:
        raise Failure(f"The API key from {source} is empty.", Exit.USAGE)
    if not _SENDABLE.fullmatch(token):
        raise Failure(
            f"The API key from {source} contains spaces or characters that no key has.",
            Exit.USAGE,
            "Copy the whole key again, and nothing else.",
        )
    return token


def remember_use(options: Options, account: accounts.Account) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    if account.last_used_at is None or now - account.last_used_at >= _USE_IS_KEPT_EVERY:
        accounts.mark_used(options.accounts_file, account.name, now)


# --- the server's address -----------------------------------------------------------------------


def _url(account: accounts.Account | None) -> tuple[str, str]:
    given = os.environ.get("DOTENV_API_URL", "").strip()
    if given:
        return server_url(given, "DOTENV_API_URL"), "DOTENV_API_URL"
    if account is None:
        raise no_url()
    return account.api_url, f"account {account.name}"


def no_url() -> Failure:
    return Failure(
        "No server is configured.",
        Exit.USAGE,
        "Set DOTENV_API_URL, for example to http://127.0.0.1:8000, or run `dotenv login --url …`.",
    )


def server_url(text: str, source: str) -> str:
    """The address of a server, without the path of the API that is often copied with it."""
    # The part before an @ may hold a password, and the part after a ? a token.
    shown = re.sub(r"//.*@", "//…@", text).partition("?")[0]
    refused = Failure(
        f"{source} is {shown!r}, which is not the address of a server.",
        Exit.USAGE,
        "Give scheme and host, for example https://dotenv.example.org.",
    )
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number, or a bracket is not closed
        raise refused from None
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise refused
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(_LOCAL_SUFFIXES)


def skips_certificate_check(url: str) -> bool:
    if not is_set("DOTENV_TLS_SKIP_VERIFY"):
        return False
    if not is_local(url):
        raise Failure(
            f"DOTENV_TLS_SKIP_VERIFY works only for servers on this machine, not for {url}.",
            Exit.USAGE,
            "Unset it. For a private certificate authority, set SSL_CERT_FILE.",
        )
    return True


# --- paths --------------------------------------------------------------------------------------


def segment(text: str, what: str) -> str:
    """A slug or ULID that can be part of a path."""
    if not _SEGMENT.fullmatch(text):
        raise Failure(
            f"{text!r} is not a valid {what}.",
            Exit.USAGE,
            "Use the slug (lower-case letters, digits, hyphens) or the id.",
        )
    return text


def node_path(text: str, *, most: int = 3) -> list[str]:
    """The segments of project[/target[/environment]]."""
    names = ("project", "target", "environment")
    segments = text.strip("/").split("/")
    if len(segments) > most:
        raise Failure(f"{text!r} has too many parts; write {'/'.join(names[:most])}.", Exit.USAGE)
    return [segment(part, f"{name} slug") for part, name in zip(segments, names, strict=False)]
