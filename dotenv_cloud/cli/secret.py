"""`dotenv secret`: earlier versions of levels, to be shown, compared, restored and removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dotenv_cloud.cli import crypto, key_material, levels, output, saving, session, times
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.key_material import ProjectKey
from dotenv_cloud.cli.options import Group, force_option, format_option
from dotenv_cloud.cli.output import Column
from dotenv_cloud.formats import merging

_NODE = "PROJECT[/TARGET[/ENVIRONMENT]]"
_HIDDEN = "********"
_LISTED = "List the versions with `dotenv secret versions {}`."


@click.group("secret", cls=Group)
def secret() -> None:
    """See, compare and restore earlier versions of secrets; delete secrets."""


@secret.command("versions")
@click.argument("node", metavar=_NODE)
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--page", type=click.IntRange(1), default=1, show_default=True)
@format_option("table", "json", "yaml")
def versions(node: str, limit: int, page: int, format_: str) -> None:
    """List the earlier versions of a level, the newest first, without content."""
    with session.connect() as api:
        body = {**_place(node), "page": page, "per_page": limit}
        answer = api.post(api.node("secrets", "versions"), body)
    items, meta = answer["data"], answer["meta"]
    if format_ != "table":
        output.as_data(format_, [{"id": item["id"], **item["attributes"]} for item in items])
        return
    if not items:
        output.note(f"{node} has no earlier versions.")
        return
    columns = ("VERSION", "ACTION", "SIZE", "KEY", "CREATED", "BY", "LOCKED")
    output.table(
        [Column(title, 8 if title == "BY" else None) for title in columns],
        [_row(item["id"], item["attributes"]) for item in items],
    )
    if meta["last_page"] > 1:
        output.note(f"Page {meta['current_page']} of {meta['last_page']}; see --page.")


def _row(number: str, attributes: Mapping[str, Any]) -> Sequence[object]:
    author = attributes.get("created_by") or {}
    return (
        number,
        attributes["action"],
        attributes["size_bytes"],
        attributes["key_version"],
        times.second(attributes["created_at"]),
        author.get("name") or "system",
        attributes.get("locked_reason") or "-",
    )


@secret.command("show")
@click.argument("node", metavar=_NODE)
@click.option("--version", "number", type=click.IntRange(1), required=True, metavar="N")
@saving.output_option
@saving.replace_option
@key_material.client_key_option
@key_material.old_key_option
def show(
    node: str,
    number: int,
    path: Path | None,
    force: bool,
    client_key: str | None,
    old_keys: tuple[str, ...],
) -> None:
    """Print version N of a level, decrypted."""
    segments = session.node_path(node)
    with session.connect() as api:
        key = key_material.fetch(api, segments[0], client_key)
        plaintext = _plaintext(_version_of(api, segments, number), key, old_keys)
    saving.deliver(plaintext, path, force=force)


@secret.command("diff")
@click.argument("node", metavar=_NODE)
@click.argument("number", type=click.IntRange(1), metavar="VERSION")
@click.argument("other", type=click.IntRange(1), required=False, metavar="[VERSION]")
@key_material.client_key_option
@key_material.old_key_option
@click.option("--show-values", is_flag=True, help="Show values instead of ********.")
def diff(
    node: str,
    number: int,
    other: int | None,
    client_key: str | None,
    old_keys: tuple[str, ...],
    show_values: bool,
) -> None:
    """Compare VERSION with the current content of its level, or with a second VERSION.

    + added, - removed, ~ changed. Values are hidden unless --show-values is given.
    """
    segments = session.node_path(node)
    with session.connect() as api:
        key = key_material.fetch(api, segments[0], client_key)
        before = _plaintext(_version_of(api, segments, number), key, old_keys)
        fetched = levels.fetch(api, segments)
        if other is not None:
            after = _plaintext(_version_of(api, segments, other), key, old_keys)
        elif fetched.deepest is None:
            after = b""
        else:
            [opened] = levels.opened([fetched.deepest], key, allow_partial=False)
            after = opened.plaintext or b""
    old, new = (
        _variables(each, fetched.format, where)
        for each, where in ((before, f"version {number}"), (after, f"{other or 'the level'}"))
    )
    marks = levels.difference(old, new)
    for mark, name in marks:
        was, is_now = (old.get(name), new.get(name)) if show_values else (_HIDDEN, _HIDDEN)
        value = {"+": is_now, "-": was, "~": f"{was} -> {is_now}"}[mark]
        click.echo(output.safe(f"{mark} {name}{': ' if mark == '~' else '='}{value}"))
    if not marks:
        output.note("The variables are the same.")


@secret.command("restore")
@click.argument("number", type=click.IntRange(1), metavar="VERSION")
@force_option
@click.option(
    "--project", metavar="PROJECT", help="The version's project, if it is under an old client key."
)
@key_material.client_key_option
@key_material.old_key_option
def restore(
    number: int,
    force: bool,
    project: str | None,
    client_key: str | None,
    old_keys: tuple[str, ...],
) -> None:
    """Restore VERSION in its level. The current content is kept as a version.

    A version under an old client key is re-encrypted on this machine: give --project, --old-key
    and --client-key.
    """
    body: dict[str, object] | None = None
    with session.connect() as api:
        if project is not None:
            [slug] = session.node_path(project, most=1)
            body = _brought_along(api, number, key_material.fetch(api, slug, client_key), old_keys)
        output.confirm(f"Restore version {number}?", force=force)
        try:
            answer = api.post(api.node("secrets", "versions", str(number), "restore"), body)
        except Failure as failure:
            if failure.code == Exit.KEY and project is None:
                failure.hint = "Give --project, --old-key and --client-key."
            elif failure.code == Exit.NOT_FOUND:
                failure.hint = _LISTED.format("PATH")
            raise
    path = answer["data"].get("path")
    output.success(f"Restored version {number}{f' of {path}' if path else ''}.")


@secret.command("purge")
@click.argument("node", metavar=_NODE)
@click.option("--project-wide", is_flag=True, help="Remove those of all levels of the project.")
@force_option
def purge(node: str, project_wide: bool, force: bool) -> None:
    """Permanently remove the earlier versions of a level. Its current content stays."""
    body: dict[str, object] = {**_place(node), "confirmed": True, "scope": "level"}
    with session.connect() as api:
        if project_wide:
            body = {"project": body["project"], "confirmed": True, "scope": "project"}
            _confirm_by_name(str(body["project"]), force=force)
        else:
            output.confirm(f"Permanently remove all earlier versions of {node}?", force=force)
        answer = api.post(api.node("secrets", "versions", "purge"), body)
    count = answer["data"]["purged_count"]
    output.success(f"Removed {count} {'version' if count == 1 else 'versions'}.")


@secret.command("delete")
@click.argument("node", metavar=_NODE)
@click.option("--no-backup", is_flag=True, help="Permanently remove all versions too.")
@force_option
def delete(node: str, no_backup: bool, force: bool) -> None:
    """Delete the secrets of a level. A version of them is kept unless --no-backup is given."""
    body: dict[str, object] = dict(_place(node))
    if no_backup:
        body |= {"no_backup": True, "confirmed": True}
    question = f"Delete the secrets of {node}"
    with session.connect() as api:
        output.confirm(
            f"{question} and permanently remove all versions?" if no_backup else f"{question}?",
            force=force,
        )
        api.post(api.node("secrets", "delete"), body)
    output.success(f"Deleted the secrets of {node}.")


def _place(node: str) -> dict[str, str]:
    return dict(zip(levels.NAMES, session.node_path(node), strict=False))


def _confirm_by_name(project: str, *, force: bool) -> None:
    if force:
        return
    output.require_terminal(
        "This needs the project's name as confirmation", "Add --force to skip it."
    )
    typed = click.prompt(
        output.safe(f"Type {project} to permanently remove all versions of the project"),
        err=True,
    )
    if typed.strip() != project:
        raise Failure("That is not the project's name; nothing was removed.", Exit.USAGE)


def _version(api: Api, number: int) -> dict[str, Any]:
    found: dict[str, Any] = api.get(api.node("secrets", "versions", str(number)))["data"]
    return found


def _version_of(api: Api, segments: Sequence[str], number: int) -> dict[str, Any]:
    """A version of the level at `segments`: all levels share one numbering, so a mistyped number
    could be another level's."""
    path = "/".join(segments)
    try:
        found = _version(api, number)
    except Failure as failure:
        if failure.code == Exit.NOT_FOUND:
            failure.hint = _LISTED.format(path)
        raise
    if "path" in found and not _is_at(segments, found["path"].split("/"), found["path_ids"]):
        raise Failure(
            f"Version {number} belongs to {found['path']}, not to {path}.",
            Exit.NOT_FOUND,
            _LISTED.format(path),
        )
    return found


def _is_at(segments: Sequence[str], slugs: Sequence[str], ids: Sequence[str]) -> bool:
    return len(segments) == len(slugs) and all(
        segment == slug or segment.upper() == key
        for segment, slug, key in zip(segments, slugs, ids, strict=True)
    )


def _plaintext(version: Mapping[str, Any], key: ProjectKey, old_keys: Sequence[str]) -> bytes:
    """A version opened with the active key, or with the old one that it is under."""
    number, content, under = version["id"], version["content"], version.get("key")
    if not content:
        raise Failure(
            f"The server returned version {number} without its content.",
            Exit.ACCESS,
            "Reading content also needs the ability key:retrieve.",
        )
    if under is None or under["is_active"] or under["version"] == str(key.version):
        data_key = key.data_key
    elif under["managed"] == "server":
        raise Failure(
            f"Version {number} is under an old key that only the server has.",
            Exit.KEY,
            f"Restore it first: dotenv secret restore {number}",
        )
    else:
        old = key_material.match_old(old_keys, under)
        if old is None:
            raise Failure(
                f"Version {number} is under key version {under['version']}, an old client key.",
                Exit.KEY,
                "Give that key with --old-key FILE.",
            )
        data_key = old.data_key
    try:
        return crypto.decrypt(data_key, content)
    except crypto.WrongKeyError as error:
        raise Failure(
            f"Version {number} cannot be decrypted: {error}.", Exit.KEY, "Check the key."
        ) from None


def _brought_along(
    api: Api, number: int, key: ProjectKey, old_keys: Sequence[str]
) -> dict[str, object] | None:
    """What to send to restore a version; None if the server can restore it by itself."""
    version = _version(api, number)
    under = version.get("key")
    if under is None or under["is_active"] or under["managed"] == "server":
        return None
    plaintext = _plaintext(version, key, old_keys)
    body: dict[str, object] = {"content": crypto.encrypt(key.data_key, plaintext)}
    if key.is_client_managed:
        body["key_proof"] = key.proof
    return body


def _variables(plaintext: bytes, secret_format: str, where: str) -> dict[str, str]:
    text = key_material.text_of(plaintext, where)
    if not text:
        return {}
    try:
        return merging.variables_of(text, secret_format)
    except merging.UnreadableError as error:
        raise Failure(
            f"{where[:1].upper()}{where[1:]} cannot be compared: {error.reason}."
        ) from None
