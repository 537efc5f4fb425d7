"""`dotenv apikeys`: the API keys of the organization."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import click

from dotenv_cloud.cli import output, session, times
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Group, force_option, format_option
from dotenv_cloud.cli.output import Column, Columns

_NEVER = "never"

_COLUMNS: Columns = {
    "ID": itemgetter("id"),
    Column("NAME", least=10): itemgetter("name"),
    "TOKEN PREFIX": lambda key: f"{key['token_prefix']}…",
    Column("ABILITIES", least=10, most=40): lambda key: ", ".join(key["abilities"]),
    "LAST USED": lambda key: times.day(key.get("last_used_at"), missing="Never"),
    "CREATED": lambda key: times.day(key["created_at"]),
}


@click.group("apikeys", cls=Group)
def apikeys() -> None:
    """List, create, change and revoke the API keys of the organization."""


_abilities_option = click.option(
    "--abilities",
    multiple=True,
    metavar="A,B,…",
    help="What the key may do, for example project:read,key:rotate. Repeatable.",
)
_expires_option = click.option(
    "--expires",
    metavar="TIME",
    help="When the key expires, for example 2027-01-31T00:00:00Z, or never.",
)


_scope_option = click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="ABILITY=PATH",
    help="Restrict an ability to PROJECT[/TARGET[/ENVIRONMENT]] and below. Repeatable.",
)


@apikeys.command("list")
@format_option("table", "json", "yaml")
def list_keys(format_: str) -> None:
    """List the API keys."""
    with session.connect() as api:
        keys = api.collection(api.of_organization("api-keys"))
    output.listing(format_, keys, _COLUMNS, empty="There are no API keys.")


@apikeys.command("create")
@click.argument("name")
@_abilities_option
@_expires_option
@_scope_option
@click.option(
    "--no-parents",
    is_flag=True,
    help="Do not let a key that is restricted to an environment read the levels above it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the key as JSON.")
def create(
    name: str,
    abilities: tuple[str, ...],
    expires: str | None,
    scopes: tuple[str, ...],
    no_parents: bool,
    as_json: bool,
) -> None:
    """Create an API key called NAME and print its token, which is shown only once."""
    body: dict[str, object] = {"name": name, "abilities": _abilities(abilities)}
    if scopes:
        body["scoped_permissions"] = [_scope(text) for text in scopes]
    if no_parents:
        body["inherit_parents"] = False
    moment = _moment(expires)
    if moment:
        body["expires_at"] = moment
    with session.connect() as api:
        answer = api.post(api.of_organization("api-keys"), body)
    _print_token(answer["data"]["api_key"], answer["token"]["token"], "Created", as_json)


@apikeys.command("update")
@click.argument("key_id", metavar="ID")
@click.option("--name", help="The new name.")
@_abilities_option
@_expires_option
@_scope_option
@click.option("--everywhere", is_flag=True, help="Remove all restrictions of --scope.")
@click.option(
    "--parents/--no-parents",
    default=None,
    help="Whether a key that is restricted to an environment reads the levels above it.",
)
def update(
    key_id: str,
    name: str | None,
    abilities: tuple[str, ...],
    expires: str | None,
    scopes: tuple[str, ...],
    everywhere: bool,
    parents: bool | None,
) -> None:
    """Change the API key ID: its name, abilities, expiry or scopes.

    --abilities and --scope replace all abilities and scopes that the key had.
    """
    if scopes and everywhere:
        raise Failure("Give --scope or --everywhere, not both.", Exit.USAGE)
    changes: dict[str, object] = {}
    if name:
        changes["name"] = name
    if abilities:
        changes["abilities"] = _abilities(abilities)
    if expires:
        changes["expires_at"] = _moment(expires)
    if scopes or everywhere:
        changes["scoped_permissions"] = [_scope(text) for text in scopes]
    if parents is not None:
        changes["inherit_parents"] = parents
    if not changes:
        raise Failure(
            "Nothing to change; give --name, --abilities, --expires or --scope.", Exit.USAGE
        )
    with session.connect() as api:
        answer = api.put(api.of_organization("api-keys", _id(key_id)), changes)
    output.success(f"Updated {answer['data']['name']} ({answer['data']['id']}).")


@apikeys.command("delete")
@click.argument("key_id", metavar="ID")
@force_option
def delete(key_id: str, force: bool) -> None:
    """Revoke the API key ID: requests with it are refused from now on."""
    with session.connect() as api:
        path = api.of_organization("api-keys", _id(key_id))
        output.confirm(
            f"Delete the API key {key_id}? Programs that use it stop working.", force=force
        )
        api.delete(path)
    output.success(f"Deleted {key_id}.")


@apikeys.command("rotate")
@click.argument("key_id", metavar="ID")
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the key as JSON.")
def rotate(key_id: str, force: bool, as_json: bool) -> None:
    """Replace the token of the API key ID and print the new one, which is shown only once."""
    with session.connect() as api:
        path = api.of_organization("api-keys", _id(key_id), "rotate")
        output.confirm(f"Rotate the API key {key_id}? Its old token stops working.", force=force)
        answer = api.post(path)
    _print_token(answer["data"]["api_key"], answer["data"]["token"], "Rotated", as_json)


def _print_token(key: dict[str, Any], token: str, done: str, as_json: bool) -> None:
    """The token alone is the data, so that a script can take it."""
    output.success(f"{done} {key['name']} ({key['id']}).")
    output.note("Save the token now: it is not shown again. Use it as DOTENV_API_KEY.")
    if as_json:
        output.as_json({**key, "token": token})
    else:
        click.echo(output.safe(token))


def _abilities(given: tuple[str, ...]) -> list[str]:
    abilities = [word.strip() for text in given for word in text.split(",") if word.strip()]
    if not abilities:
        raise Failure(
            "The key needs at least one ability.",
            Exit.USAGE,
            "For example: --abilities project:read,secret:read",
        )
    return abilities


def _scope(text: str) -> dict[str, str]:
    permission, equals, path = text.partition("=")
    if not equals or not permission.strip():
        raise Failure(
            f"{text!r} is not a valid --scope; write ABILITY=PATH.",
            Exit.USAGE,
            "For example secret:read=my-app/backend.",
        )
    nodes = zip(("project", "target", "environment"), session.node_path(path), strict=False)
    return {"permission": permission.strip(), **dict(nodes)}


def _moment(text: str | None) -> str | None:
    if text is None or text == _NEVER:
        return None
    if times.parse(text) is None:
        raise Failure(
            f"{text!r} is not a valid --expires; write date, time and time zone.",
            Exit.USAGE,
            "For example 2027-01-31T00:00:00Z, or never.",
        )
    return text


def _id(text: str) -> str:
    return session.segment(text, "API key id")
