"""The accounts a user signed in with, in a file in the user's own directory.

It is not the file of other clients (`~/.dotenv`), which is encrypted in a format of its own.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from dotenv_cloud.cli import files
from dotenv_cloud.cli.errors import Failure

FORMAT = 1
FILE_NAME = "accounts.yaml"
DEFAULT_DIRECTORY = Path("~/.config/dotenv-cloud")
FOREIGN_DIRECTORY = Path("~/.dotenv")


@dataclass(frozen=True)
class Organization:
    ulid: str
    name: str
    slug: str


@dataclass(frozen=True)
class Account:
    name: str
    kind: str
    """`api_key` or `user`."""
    principal: str
    """What the server calls the holder: an e-mail address, or the name of the key."""
    api_url: str
    token: str = field(repr=False)
    organization: Organization
    created_at: dt.datetime
    last_used_at: dt.datetime | None = None

    @property
    def masked_token(self) -> str:
        return mask(self.token)


@dataclass
class Book:
    """All accounts, by name, and the one used by default."""

    accounts: dict[str, Account] = field(default_factory=dict)
    current: str | None = None

    def add(self, account: Account) -> None:
        self.accounts[account.name] = account
        self.current = account.name

    def remove(self, name: str) -> None:
        del self.accounts[name]
        if self.current == name:
            self.current = next(iter(self.accounts), None)

    def rename(self, name: str, new_name: str) -> None:
        """Keeps the order of accounts, which decides the current one after a removal."""
        self.accounts = {
            account.name: account
            for held in self.accounts.values()
            for account in [replace(held, name=new_name) if held.name == name else held]
        }
        if self.current == name:
            self.current = new_name

    def free_name(self, wanted: str, api_url: str, organization: Organization) -> str:
        """`wanted`, numbered when another server or organization has that name already."""
        name, number = wanted, 1
        while (held := self.accounts.get(name)) and (
            (held.api_url, held.organization.ulid) != (api_url, organization.ulid)
        ):
            number += 1
            name = f"{wanted}-{number}"
        return name


def mask(token: str) -> str:
    """Enough of a token to distinguish it from others, too little to use it."""
    return f"{token[:12]}…{token[-4:]}" if len(token) >= 32 else "…"


def default_file() -> Path:
    """`accounts.yaml` in DOTENV_CONFIG_DIR, or in ~/.config/dotenv-cloud."""
    chosen = os.environ.get("DOTENV_CONFIG_DIR", "").strip()
    directory = Path(chosen).expanduser() if chosen else DEFAULT_DIRECTORY.expanduser()
    if directory.resolve() == FOREIGN_DIRECTORY.expanduser().resolve():
        directory = DEFAULT_DIRECTORY.expanduser()
    return directory / FILE_NAME


def load(path: Path) -> Book:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Book()
    except OSError as error:
        raise Failure(f"Cannot read {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unreadable(path, "it is not YAML") from error
    if content is None:
        return Book()
    if not isinstance(content, dict) or content.get("version") != FORMAT:
        raise _unreadable(path, f"it is not a list of accounts in format {FORMAT}")
    try:
        held = {name: _account(name, fields) for name, fields in content["accounts"].items()}
        current = content.get("current_account")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, f"an account in it is incomplete ({error})") from error
    return Book(held, current if current in held else None)


@contextlib.contextmanager
def edit(path: Path) -> Iterator[Book]:
    """The accounts, to be changed: written if the block succeeds, by one process at a time."""
    try:
        files.make_private_directory(path.parent)
        with open(path.with_name(f".{path.name}.lock"), "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            book = load(path)
            yield book
            with files.replacing(path) as file:
                file.write(yaml.safe_dump(_content(book), sort_keys=False).encode())
    except OSError as error:
        raise Failure(
            f"Cannot write {path}: {error.strerror}.",
            hint="Set DOTENV_CONFIG_DIR to a directory that you may write to.",
        ) from error


def mark_used(path: Path, name: str, moment: dt.datetime) -> None:
    """Records when an account was last used. Never fails, as that is not worth a failed command."""
    with contextlib.suppress(Failure), edit(path) as book:
        if name in book.accounts:
            book.accounts[name] = replace(book.accounts[name], last_used_at=moment)


def _unreadable(path: Path, reason: str) -> Failure:
    return Failure(
        f"Cannot use {path}: {reason}.", hint="Move the file away and run `dotenv login` again."
    )


def _account(name: str, fields: dict[str, Any]) -> Account:
    organization = fields["organization"]
    return Account(
        name=str(name),
        kind=fields["kind"],
        principal=fields["principal"],
        api_url=fields["api_url"],
        token=fields["token"],
        organization=Organization(organization["ulid"], organization["name"], organization["slug"]),
        created_at=_moment(fields["created_at"]),
        last_used_at=_moment(fields["last_used_at"]) if fields.get("last_used_at") else None,
    )


def _content(book: Book) -> dict[str, Any]:
    return {
        "version": FORMAT,
        "current_account": book.current,
        "accounts": {
            account.name: {
                "kind": account.kind,
                "principal": account.principal,
                "api_url": account.api_url,
                "token": account.token,
                "organization": vars(account.organization),
                "created_at": account.created_at.isoformat(),
                "last_used_at": account.last_used_at and account.last_used_at.isoformat(),
            }
            for account in book.accounts.values()
        },
    }


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment
