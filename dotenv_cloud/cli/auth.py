"""`dotenv auth`: who one is to the server."""

from __future__ import annotations

import click

from dotenv_cloud.cli import output, session
from dotenv_cloud.cli.options import Group
from dotenv_cloud.cli.output import Column


@click.group("auth", cls=Group)
def auth() -> None:
    """Show who you are signed in as."""


@auth.command("info")
@click.option("-v", "--verbose", is_flag=True, help="Include abilities and organizations.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def auth_info(verbose: bool, as_json: bool) -> None:
    """Ask the server who you are, and which organizations you belong to."""
    with session.connect() as api:
        answer = api.get("/api/v1/user")
    principal, organizations = answer["data"], answer["included"]
    if as_json:
        output.as_json(answer)
        return
    attributes = principal["attributes"]
    kind = "API key" if principal["type"] == "api-keys" else "person"
    facts: list[tuple[str, object]] = [
        ("NAME", attributes["name"]),
        ("E-MAIL", attributes.get("email") or "-"),
        ("KIND", kind),
        ("EXPIRES", attributes.get("expires_at") or "never"),
    ]
    if verbose and attributes.get("abilities"):
        facts.append(("ABILITIES", ", ".join(attributes["abilities"])))
    output.facts(facts)
    if verbose:
        click.echo()
        output.table(
            [Column("ORGANIZATION", least=10), Column("SLUG"), Column("ULID"), Column("ROLE")],
            [
                (
                    row["attributes"]["name"],
                    *(row["attributes"][f] for f in ("slug", "ulid", "role")),
                )
                for row in organizations
            ],
        )
