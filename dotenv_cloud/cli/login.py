"""Signing in and out, and which account is used: `init`, `login`, `logout`, `status`, `account`."""

from __future__ import annotations

import datetime as dt
import os
import sys
from typing import Any

import click

from dotenv_cloud.cli import accounts, listing, output, session
from dotenv_cloud.cli.accounts import Account, Organization
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import (
    Command,
    Group,
    Options,
    current_options,
    force_option,
    format_option,
)


@click.command("login", cls=Command)
@click.option(
    "--api-key",
    "key",
    metavar="[KEY]",
    is_flag=False,
    flag_value="",
    help="The API key; - reads it from standard input. Without a value it is prompted for.",
)
@click.option("--url", help="The server, for example https://dotenv.example.org.")
@click.option("--name", help="Name of the account. [default: <organization>-api]")
@click.option("--status", "show_status", is_flag=True, help="Only show who is signed in.")
@click.option("--no-browser", is_flag=True, help="Has no effect: there is no browser sign-in.")
@click.option("--callback-port", type=int, help="Has no effect: there is no browser sign-in.")
@click.pass_context
def login(
    context: click.Context,
    key: str | None,
    url: str | None,
    name: str | None,
    show_status: bool,
    no_browser: bool,
    callback_port: int | None,
) -> None:
    """Sign in with an API key and save the account.

    The key is checked with the server first, then saved in a file that only you can read.
    """
    if show_status:
        context.invoke(status)
        return
    options = current_options()
    if no_browser or callback_port:
        output.note("There is no browser sign-in; sign in with an API key from the web pages.")
    server = _server(options, url)
    token = _token(options, key)
    if server.startswith("http://") and not session.is_local(server):
        output.warn(f"{server} is not encrypted: others on the network can read the key.")

    credentials = session.Credentials(
        url=server,
        url_source="the address you gave",
        token=token,
        token_source="this sign-in",  # noqa: S106 - words, not a token
        organization=None,
    )
    with session.open_api(credentials) as api:
        principal = api.get("/api/v1/user")
    organization = _organization(options, _organizations(principal))
    attributes = principal["data"]["attributes"]
    is_key = principal["data"]["type"] == "api-keys"

    with accounts.edit(options.accounts_file) as book:
        default = f"{organization.slug}-api" if is_key else attributes["email"]
        account = Account(
            name=name or options.account or book.free_name(default, server, organization),
            kind="api_key" if is_key else "user",
            principal=attributes.get("email") or attributes["name"],
            api_url=server,
            token=token,
            organization=organization,
            created_at=dt.datetime.now(dt.UTC).replace(microsecond=0),
        )
        book.add(account)
    output.success(
        f"Signed in to {organization.name} at {server} as {account.principal}; "
        f"the account is called {account.name}."
    )
    if os.environ.get("DOTENV_API_KEY"):
        output.warn(
            "DOTENV_API_KEY is set and overrides this account. Unset it to use the account."
        )


@click.command("init", cls=Command)
@force_option
@click.pass_context
def init(context: click.Context, force: bool) -> None:
    """Set up this command: asks for the server and an API key, and signs in.

    Existing accounts are kept. No usage data is ever sent.
    """
    current = accounts.load(current_options().accounts_file).current
    if current:
        output.note(f"You are already signed in; the current account is {current}.")
        output.confirm("Sign in with another one?", force=force)
    context.invoke(login)


@click.command("logout", cls=Command)
@click.argument("name", required=False, metavar="[ACCOUNT]")
@click.option("--all", "all_accounts", is_flag=True, help="Forget every account.")
@click.option("-f", "--force", is_flag=True, help="Has no effect: there is no confirmation.")
def logout(name: str | None, all_accounts: bool, force: bool) -> None:
    """Forget ACCOUNT, or the current account.

    The API key itself keeps working; `dotenv apikeys delete` revokes it.
    """
    options = current_options()
    with accounts.edit(options.accounts_file) as book:
        name = name or options.account or book.current
        if not book.accounts or name is None:
            output.note("There is no account to forget.")
            return
        if all_accounts:
            forgotten = list(book.accounts)
        elif name in book.accounts:
            forgotten = [name]
        else:
            raise session.unknown_account(name, book)
        for account in forgotten:
            book.remove(account)
        current = book.current
    output.success(f"Forgot {', '.join(forgotten)}.")
    if current:
        output.note(f"The current account is now {current}.")


@click.command("status", cls=Command)
@format_option("table", "json", "yaml")
def status(format_: str = "table") -> None:
    """Show who you are signed in as, without contacting the server."""
    options = current_options()
    book = accounts.load(options.accounts_file)
    key, source = session.given_key(options)
    account = session.chosen_account(options)
    if not key and account is None:
        raise Failure("You are not signed in.", Exit.ACCESS, "Run `dotenv login`.")
    if key:
        shown = _status_of_key(options, key, source, account)
    else:
        assert account is not None  # noqa: S101 - see above
        shown = _status_of_account(account)
    others = [name for name in book.accounts if key or account is None or name != account.name]
    if format_ == "json":
        output.as_json({**shown, "other_accounts": others})
    elif format_ == "yaml":
        output.as_yaml({**shown, "other_accounts": others})
    else:
        output.facts(
            [(name.replace("_", " ").upper(), value or "-") for name, value in shown.items()]
            + [("OTHER ACCOUNTS", ", ".join(others) or "-")]
        )


@click.group("account", cls=Group, aliases={"rm": "remove", "delete": "remove"})
def account() -> None:
    """List your accounts and choose between them."""


@account.command("list")
@format_option("table", "json", "yaml")
def account_list(format_: str) -> None:
    """List your accounts."""
    listing.print_accounts(format_)


@account.command("remove")
@click.argument("name")
@click.option("-f", "--force", is_flag=True, help="Has no effect: there is no confirmation.")
@click.pass_context
def account_remove(context: click.Context, name: str, force: bool) -> None:
    """Forget the account NAME, as `dotenv logout NAME` does."""
    context.invoke(logout, name=name)


@account.command("rename")
@click.argument("name")
@click.argument("new_name")
def account_rename(name: str, new_name: str) -> None:
    """Rename the account NAME to NEW_NAME."""
    with accounts.edit(current_options().accounts_file) as book:
        if name not in book.accounts:
            raise session.unknown_account(name, book)
        if new_name != name and new_name in book.accounts:
            raise Failure(f"There is already an account called {new_name}.", Exit.USAGE)
        book.rename(name, new_name)
    output.success(f"Renamed {name} to {new_name}.")


@account.command("use")
@click.argument("name")
def account_use(name: str) -> None:
    """Make NAME the current account."""
    with accounts.edit(current_options().accounts_file) as book:
        if name not in book.accounts:
            raise session.unknown_account(name, book)
        book.current = name
    output.success(f"The current account is {name}.")


def _status_of_account(account: Account) -> dict[str, str | None]:
    last_used = account.last_used_at
    return {
        "account": account.name,
        "type": _kind(account),
        "signed_in_as": account.principal,
        "api_url": os.environ.get("DOTENV_API_URL") or account.api_url,
        "key": account.masked_token,
        "organization": account.organization.name,
        "organization_ulid": account.organization.ulid,
        "created": account.created_at.isoformat(),
        "last_used": last_used.isoformat() if last_used else None,
    }


def _status_of_key(
    options: Options, key: str, source: str, account: Account | None
) -> dict[str, str | None]:
    return {
        "account": f"none ({source} overrides accounts)",
        "type": "API key",
        "api_url": os.environ.get("DOTENV_API_URL") or (account.api_url if account else None),
        "key": accounts.mask(key),
        "organization": session.given_organization(options) or session.organization_in(key),
    }


def _kind(account: Account) -> str:
    return "API key" if account.kind == "api_key" else "user"


def _server(options: Options, url: str | None) -> str:
    if url:
        return session.server_url(url, "--url")
    given = os.environ.get("DOTENV_API_URL", "").strip()
    if given:
        return session.server_url(given, "DOTENV_API_URL")
    if not sys.stdin.isatty():
        raise session.no_url()
    book = accounts.load(options.accounts_file)
    known = book.accounts[book.current].api_url if book.current else None
    return session.server_url(click.prompt("Server", default=known, err=True), "The address")


def _token(options: Options, key: str | None) -> str:
    if key == "-":
        return session.sendable(sys.stdin.readline().strip(), "standard input")
    if key:
        return session.sendable(key.strip(), "--api-key")
    given, source = session.given_key(options)
    if given and key is None:
        return session.sendable(given, source)
    output.require_terminal(
        "The API key has to be typed in", "Pass it on standard input with `--api-key -`."
    )
    return session.sendable(
        click.prompt("API key", hide_input=True, err=True).strip(), "the prompt"
    )


def _organizations(principal: dict[str, Any]) -> list[Organization]:
    return [
        Organization(
            ulid=item["attributes"].get("ulid") or item["id"],
            name=item["attributes"]["name"],
            slug=item["attributes"]["slug"],
        )
        for item in principal.get("included") or []
        if item["type"] == "organizations"
    ]


def _organization(options: Options, offered: list[Organization]) -> Organization:
    """The organization of the account: the one given, the only one, or the user's choice."""
    if not offered:
        raise Failure("You are signed in, but do not belong to an organization.", Exit.ACCESS)
    wanted = session.given_organization(options)
    if wanted:
        for organization in offered:
            if wanted.upper() == organization.ulid or wanted == organization.slug:
                return organization
        known = ", ".join(organization.slug for organization in offered)
        raise Failure(
            f"This sign-in has no access to the organization {wanted}.",
            Exit.ACCESS,
            f"It has access to {known}.",
        )
    if len(offered) == 1:
        return offered[0]
    slugs = [organization.slug for organization in offered]
    output.require_terminal(
        "An organization has to be chosen", f"Give --organization, one of {', '.join(slugs)}."
    )
    answer = click.prompt("Organization", type=click.Choice(slugs), err=True)
    return offered[slugs.index(answer)]
