"""`dotenv key`: the encryption keys of a project."""

from __future__ import annotations

import click

from dotenv_cloud.cli import output, session, times
from dotenv_cloud.cli.options import Group, force_option, format_option
from dotenv_cloud.cli.output import Column


@click.group("key", cls=Group)
def key() -> None:
    """See and rotate the encryption keys of a project."""


@key.command("history")
@click.argument("project")
@format_option("table", "json", "yaml")
def history(project: str, format_: str) -> None:
    """List the key versions of PROJECT, the active one first."""
    [slug] = session.node_path(project, most=1)
    with session.connect() as api:
        versions = api.get(api.node(slug, "encryption-key", "history"))["data"]
    if format_ != "table":
        output.as_data(format_, versions)
        return
    if not versions:
        output.note(f"{slug} has no key.")
        return
    output.table(
        [Column(title) for title in ("VERSION", "MANAGED", "ACTIVE", "CREATED", "ROTATED")],
        [
            (
                version["version"],
                version["managed"],
                output.tick(version["is_active"]),
                times.second(version["created_at"]),
                times.second(version.get("rotated_at")),
            )
            for version in versions
        ],
    )


@key.command("rotate")
@click.argument("project")
@click.option(
    "--history-policy",
    type=click.Choice(["keep", "re_encrypt"]),
    help="What becomes of secret versions under the old key. [default: as the project says]",
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the new version as JSON.")
def rotate(project: str, history_policy: str | None, force: bool, as_json: bool) -> None:
    """Give PROJECT a new key. Keys that clients manage are refused."""
    [slug] = session.node_path(project, most=1)
    with session.connect() as api:
        # Not fetched first, unlike elsewhere: reading a key is an event of its own in the log.
        output.confirm(f"Rotate the encryption key of {slug}?", force=force)
        answer = api.post(
            api.node(slug, "encryption-key", "rotate"),
            {"history_policy": history_policy} if history_policy else None,
        )
    made = answer["data"]["key"]["attributes"]
    made.pop("key", None)  # the key itself is for programs that encrypt
    if as_json:
        output.as_json(made)
    else:
        click.echo(output.safe(f"{slug}: version {made['version']} is active"))
