"""`dotenv project`, `target` and `environment`: create, update and delete them."""

from __future__ import annotations

import base64
from typing import Any

import click

from dotenv_cloud.cli import crypto, key_material, output, session
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import FormatChoice, Group, force_option

_name_option = click.option("--name", help="The new name.")
_slug_option = click.option("--slug", help="The new slug, used in paths.")
_description_option = click.option("--description", help="A description of it.")
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("project", cls=Group)
def project() -> None:
    """Create, update and delete projects."""


@click.group("target", cls=Group)
def target() -> None:
    """Create, update and delete targets."""


@click.group("environment", cls=Group)
def environment() -> None:
    """Create, update and delete environments."""


@project.command("create")
@click.argument("name")
@click.option("--slug", help="The slug, used in paths. [default: made from the name]")
@_description_option
@click.option(
    "--secret-format",
    "--format",
    type=FormatChoice(["env", "json", "yaml", "text"]),
    help="What its secrets are written in.  [default: env]",
)
@click.option(
    "--storage-mode",
    "--storage",
    "storage_mode",
    type=click.Choice(["server", "client"]),
    default="server",
    show_default=True,
    help="Who holds the key. With `client`, the server never sees it.",
)
@click.option(
    "--client-key", metavar="FILE|KEY", help="The key, if clients hold it. [default: prompt]"
)
@click.option("--key-hint", help="Where to find the key. All members see this.")
@_json_option
def create_project(
    name: str,
    slug: str | None,
    description: str | None,
    secret_format: str | None,
    storage_mode: str,
    client_key: str | None,
    key_hint: str | None,
    as_json: bool,
) -> None:
    """Create a project called NAME with its own encryption key."""
    body: dict[str, object] = _given(
        name=name,
        slug=slug,
        description=description,
        secret_format=secret_format,
        storage_mode=storage_mode,
        key_hint=key_hint,
    )
    if storage_mode == "client":
        key, salt = key_material.new_client_key(client_key, "--client-key"), crypto.generate_salt()
        body |= {
            "key_check": crypto.prove(key, salt),
            "key_check_salt": base64.b64encode(salt).decode(),
            "key_check_iterations": crypto.ITERATIONS,
        }
    elif client_key:
        raise Failure("--client-key needs --storage-mode client.", Exit.USAGE)
    with session.connect() as api:
        _create(api, api.node("projects"), body, "", as_json)
    if storage_mode == "client":
        output.note("Keep the key safe: nobody else has it, and without it the secrets are lost.")
    else:
        output.note(
            "The server holds the key and can decrypt the secrets. With --storage client it cannot."
        )


@target.command("create")
@click.argument("parent", metavar="PROJECT")
@click.argument("name")
@click.option("--slug", help="The slug, used in paths. [default: made from the name]")
@_description_option
@_json_option
def create_target(
    parent: str, name: str, slug: str | None, description: str | None, as_json: bool
) -> None:
    """Create a target called NAME in PROJECT."""
    segments = session.node_path(parent, most=1)
    body = _given(name=name, slug=slug, description=description)
    with session.connect() as api:
        _create(api, api.node(*segments, "targets"), body, parent, as_json)


@environment.command("create")
@click.argument("parent", metavar="PROJECT/TARGET", nargs=-1, required=True)
@click.argument("name")
@click.option("--slug", help="The slug, used in paths. [default: made from the name]")
@_description_option
@click.option("--status", help="production, staging, development, local, or any other word.")
@_json_option
def create_environment(
    parent: tuple[str, ...],
    name: str,
    slug: str | None,
    description: str | None,
    status: str | None,
    as_json: bool,
) -> None:
    """Create an environment called NAME in PROJECT/TARGET (or PROJECT TARGET)."""
    segments = _exactly(parent, 2)
    body = _given(name=name, slug=slug, description=description, status=status)
    with session.connect() as api:
        _create(api, api.node(*segments, "environments"), body, "/".join(segments), as_json)


@project.command("update")
@click.argument("path", metavar="PROJECT")
@_name_option
@_slug_option
@_description_option
@click.option(
    "--history-policy",
    type=click.Choice(["keep", "re_encrypt"]),
    help="What a key rotation does with earlier versions.",
)
@click.option("--versioning/--no-versioning", default=None, help="Keep earlier versions.")
def update_project(
    path: str,
    name: str | None,
    slug: str | None,
    description: str | None,
    history_policy: str | None,
    versioning: bool | None,
) -> None:
    """Change a project."""
    changes = _given(
        name=name,
        slug=slug,
        description=description,
        history_policy=history_policy,
        secret_versioning=versioning,
    )
    _update(_exactly(path, 1), changes)


@target.command("update")
@click.argument("path", metavar="PROJECT/TARGET", nargs=-1, required=True)
@_name_option
@_slug_option
@_description_option
def update_target(
    path: tuple[str, ...], name: str | None, slug: str | None, description: str | None
) -> None:
    """Change a target."""
    _update(_exactly(path, 2), _given(name=name, slug=slug, description=description))


@environment.command("update")
@click.argument("path", metavar="PROJECT/TARGET/ENVIRONMENT", nargs=-1, required=True)
@_name_option
@_slug_option
@_description_option
@click.option("--status", help="production, staging, development, local, or any other word.")
def update_environment(
    path: tuple[str, ...],
    name: str | None,
    slug: str | None,
    description: str | None,
    status: str | None,
) -> None:
    """Change an environment."""
    changes = _given(name=name, slug=slug, description=description, status=status)
    _update(_exactly(path, 3), changes)


@project.command("delete")
@click.argument("path", metavar="PROJECT")
@force_option
def delete_project(path: str, force: bool) -> None:
    """Delete a project and everything below it: targets, environments, secrets, keys."""
    _delete(_exactly(path, 1), force)


@target.command("delete")
@click.argument("path", metavar="PROJECT/TARGET", nargs=-1, required=True)
@force_option
def delete_target(path: tuple[str, ...], force: bool) -> None:
    """Delete a target with its environments and their secrets."""
    _delete(_exactly(path, 2), force)


@environment.command("delete")
@click.argument("path", metavar="PROJECT/TARGET/ENVIRONMENT", nargs=-1, required=True)
@force_option
def delete_environment(path: tuple[str, ...], force: bool) -> None:
    """Delete an environment with its secrets."""
    _delete(_exactly(path, 3), force)


def _given(**options: Any) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _exactly(given: str | tuple[str, ...], depth: int) -> list[str]:
    """The segments of a path, given whole or, as other clients take it, in parts."""
    path = given if isinstance(given, str) else "/".join(part.strip("/") for part in given)
    segments = session.node_path(path)
    if len(segments) != depth:
        names = "/".join(("PROJECT", "TARGET", "ENVIRONMENT")[:depth])
        raise Failure(f"{path!r} is not a path of the form {names}.", Exit.USAGE)
    return segments


def _create(api: Api, address: str, body: dict[str, object], parent: str, as_json: bool) -> None:
    made = api.post(address, body)["data"]["attributes"]
    path = f"{parent.strip('/')}/{made['slug']}".lstrip("/")
    if as_json:
        output.as_json({**made, "path": path})
    else:
        output.success(f"Created {made['name']}.")
        click.echo(output.safe(path))


def _update(segments: list[str], changes: dict[str, object]) -> None:
    if not changes:
        raise Failure("Nothing to change; give --name, --slug or another option.", Exit.USAGE)
    with session.connect() as api:
        changed = api.put(api.node(*segments), changes)["data"]["attributes"]
    path = "/".join([*segments[:-1], changed["slug"]])
    output.success(f"Updated {path}.")


def _delete(segments: list[str], force: bool) -> None:
    path = "/".join(segments)
    with session.connect() as api:
        output.confirm(f"Delete {path} and everything below it, including secrets?", force=force)
        api.delete(api.node(*segments))
    output.success(f"Deleted {path}.")
