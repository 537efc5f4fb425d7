"""`dotenv org`: the organizations you belong to, and the one that commands use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from dotenv_cloud.cli import accounts, listing, output, session
from dotenv_cloud.cli.accounts import Account, Organization
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Group, current_options, format_option


@click.group("org", cls=Group)
def org() -> None:
    """List your organizations and choose the one that commands use."""


@org.command("list")
@format_option("table", "json", "yaml")
@click.option("--no-refresh", is_flag=True, hidden=True)
def org_list(format_: str, no_refresh: bool) -> None:
    """List the organizations that you belong to."""
    listing.print_organizations(format_)


@org.command("refresh")
def org_refresh() -> None:
    """Update the saved name of the current account's organization.

    Lists always come from the server; only this name and slug are saved, for `dotenv status`.
    """
    account = _account()
    with session.connect() as api:
        rows = [row["attributes"] for row in api.collection("/api/v1/organizations")]
    found = next((row for row in rows if row["ulid"] == account.organization.ulid), None)
    if found is None:
        raise Failure(
            f"{account.name} no longer has access to {account.organization.name}.",
            Exit.NOT_FOUND,
            "Choose another with `dotenv org use`.",
        )
    _keep(account, found)
    output.success(f"{account.name} uses {found['name']}.")


@org.command("show")
@format_option("table", "json", "yaml")
def org_show(format_: str) -> None:
    """Show the organization that commands use."""
    with session.connect() as api:
        found = api.get(api.of_organization())["data"]["attributes"]
    if format_ != "table":
        output.as_data(format_, found)
        return
    output.facts([(name.upper().replace("_", " "), value or "-") for name, value in found.items()])


@org.command("use")
@click.argument("wanted", metavar="ULID|SLUG|NAME")
def org_use(wanted: str) -> None:
    """Switch the current account to another of your organizations."""
    account = _account()
    with session.connect() as api:
        rows = [row["attributes"] for row in api.collection("/api/v1/organizations")]
    matching = [
        row for row in rows if wanted.upper() == row["ulid"] or wanted in (row["slug"], row["name"])
    ]
    if len(matching) != 1:
        known = ", ".join(row["slug"] for row in rows) or "none"
        raise Failure(
            f"{'Several' if matching else 'None'} of your organizations match {wanted}.",
            Exit.NOT_FOUND,
            f"Your organizations: {known}.",
        )
    [row] = matching
    _keep(account, row)
    output.success(f"{account.name} now uses {row['name']}.")


def _account() -> Account:
    account = session.chosen_account(current_options())
    if account is None:
        raise Failure("No account is in use.", Exit.USAGE, "Run `dotenv login`.")
    return account


def _keep(account: Account, row: dict[str, Any]) -> None:
    organization = Organization(row["ulid"], row["name"], row["slug"])
    with accounts.edit(current_options().accounts_file) as book:
        book.accounts[account.name] = replace(account, organization=organization)
