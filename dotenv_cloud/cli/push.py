"""`dotenv push`: stores files as the secrets of levels, unchanged, encrypted on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from dotenv_cloud.cli import crypto, key_material, levels, output, session
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.key_material import ProjectKey
from dotenv_cloud.cli.levels import Level
from dotenv_cloud.cli.options import Command, Switch
from dotenv_cloud.formats import env, merging, readers

DEFAULT_FILE = ".env"
UNCHANGED = "Secret unchanged."
"""The server's message if the level already held the same."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Upload:
    """A file to store in a level."""

    segments: list[str]
    source: str
    content: bytes = field(repr=False)

    @property
    def path(self) -> str:
        return "/".join(self.segments)


def _file_option(name: str, level: str) -> Callable[[F], F]:
    return click.option(
        name, f"{level}_file", metavar="FILE", help=f"Push FILE to the {level} level."
    )


@click.command("push", cls=Command)
@click.argument("node", metavar="PROJECT[/TARGET[/ENVIRONMENT]]")
@click.argument("file", required=False)
@_file_option("--project", "project")
@_file_option("--target", "target")
@_file_option("--env", "environment")
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Replace without asking, and push files that are refused otherwise.",
)
@key_material.client_key_option
@click.option(
    "--encrypt",
    cls=Switch,
    help="Encrypt here; with --encrypt=false the server does, if it holds the key.",
)
@click.option("--no-backup", is_flag=True, help="Do not keep the replaced content as a version.")
def push(
    node: str,
    file: str | None,
    project_file: str | None,
    target_file: str | None,
    environment_file: str | None,
    force: bool,
    client_key: str | None,
    encrypt: bool,
    no_backup: bool,
) -> None:
    """Store FILE as the secrets of a level.

    FILE is .env by default; - is standard input. With --project, --target and --env, several files
    go to several levels of the path at once. If the path does not name the target or environment,
    dotenv asks for it.
    """
    segments = session.node_path(node)
    several = {
        "project": project_file,
        "target": target_file,
        "environment": environment_file,
    }
    uploads = list(_uploads(segments, file, {k: v for k, v in several.items() if v}))
    with session.connect() as api:
        project = api.get(api.node(segments[0]))["data"]["attributes"]
        for upload in uploads:
            _check(upload, project.get("secret_format") or "env", force=force)
        key = key_material.fetch(api, segments[0], client_key)
        if not encrypt and key.is_client_managed:
            raise Failure(
                f"Clients hold the key of {segments[0]}, so the server cannot encrypt.",
                Exit.KEY,
                "Leave out --encrypt=false.",
            )
        changed = [upload for upload in uploads if not _is_there(api, upload, key, force=force)]
        for upload in changed:
            _store(api, upload, key, encrypt=encrypt, no_backup=no_backup)


def _uploads(segments: list[str], file: str | None, several: dict[str, str]) -> Iterator[Upload]:
    if not several:
        yield Upload(segments, file or DEFAULT_FILE, _read(file or DEFAULT_FILE))
        return
    if file:
        raise Failure("Give FILE, or --project, --target and --env, not both.", Exit.USAGE)
    deepest = max(levels.NAMES.index(name) for name in several)
    whole = list(segments)
    for name in levels.NAMES[len(segments) : deepest + 1]:
        output.require_terminal(
            f"The path does not name the {name}", f"Add it: {'/'.join(whole)}/…"
        )
        slug = click.prompt(f"{name.capitalize()} (slug)", err=True)
        whole.append(session.segment(slug.strip(), f"{name} slug"))
    for place, name in enumerate(levels.NAMES):
        if name in several:
            yield Upload(whole[: place + 1], several[name], _read(several[name]))


def _read(file: str) -> bytes:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Failure(f"Cannot read {file}: {error.strerror}.", Exit.USAGE) from None
    if not content:
        raise Failure(
            f"{file} is empty.", Exit.USAGE, "To empty a level, use `dotenv secret delete`."
        )
    return content


_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_MOST_LINES = 10
"""Lines of a file that are listed one by one."""


def _check(upload: Upload, secret_format: str, *, force: bool) -> None:
    """Refuse a file that could not be pulled as intended, and warn where other programs read it
    differently. With force, only warn."""
    try:
        text = upload.content.decode()
    except UnicodeDecodeError:
        encoding = _BYTE_ORDER_MARKS.get(upload.content[:2])
        found = f"{encoding}, not UTF-8" if encoding else "not UTF-8 text"
        _object(f"{upload.source} is {found}.", "Save it as UTF-8", force=force)
        return
    has_lines = secret_format in merging.LINES
    if not has_lines and secret_format not in merging.WITH_VARIABLES:
        return
    try:
        merging.variables_of(text, secret_format)
    except merging.UnreadableError as error:
        _object(f"{upload.source}: {error.reason}.", "Correct it", force=force)
        return
    if has_lines:
        lost = env.losses(text)
        if lost:
            _object(
                f"{upload.source} would lose text. {_listed(lost)}.",
                "Quote multi-line values and put # before comments",
                force=force,
            )
        for difference in _first(readers.differences(text)):
            output.warn(f"{upload.source}, {difference}.")


def _object(message: str, remedy: str, *, force: bool) -> None:
    if not force:
        raise Failure(message, Exit.USAGE, f"{remedy}, or push the file as it is with --force.")
    output.warn(message)


def _listed(found: Sequence[object]) -> str:
    return "; ".join(map(str, _first(found)))


def _first(found: Sequence[object]) -> list[object]:
    more = len(found) - _MOST_LINES
    return [*found[:_MOST_LINES], *([f"and {more:,} more lines"] if more > 0 else [])]


def _is_there(api: Api, upload: Upload, key: ProjectKey, *, force: bool) -> bool:
    """Whether the level already holds this content; asks before anything else is replaced.

    With force it does not ask, and fetches the level only if the server has no key: otherwise the
    server compares.
    """
    if force and not key.is_client_managed:
        return False
    try:
        fetched = levels.fetch(api, upload.segments)
    except Failure as failure:
        # Permission to write does not include permission to read.
        if failure.code in (Exit.ACCESS, Exit.NOT_FOUND):
            return False
        raise
    if key.is_client_managed and not force:
        _try_on(fetched.levels, key)
    if fetched.deepest is None:
        return False
    if _plaintext(fetched.deepest, key) == upload.content:
        output.success(f"{upload.path} already holds {upload.source}; nothing to push.")
        return True
    if not force:
        output.confirm(f"{upload.path} already holds secrets. Replace them?", force=False)
    return False


def _plaintext(level: Level, key: ProjectKey) -> bytes | None:
    """The content of a level; None if the key does not open it."""
    try:
        [opened] = levels.opened([level], key, allow_partial=False)
    except Failure:
        return None
    return opened.plaintext


def _try_on(held: Sequence[Level], key: ProjectKey) -> None:
    """Refuse a key that does not open the current content: keys that differ only after the 32nd
    byte have the same proof, so the server would accept what nobody could open."""
    for level in held:
        if not level.is_encrypted:
            continue
        try:
            crypto.decrypt(key.data_key, level.content)
        except crypto.WrongKeyError:
            raise Failure(
                f"The key does not decrypt the current content of {level.path}.",
                Exit.KEY,
                "Nothing was sent. Check the key, or push anyway with --force.",
            ) from None


def _store(api: Api, upload: Upload, key: ProjectKey, *, encrypt: bool, no_backup: bool) -> None:
    body: dict[str, object] = dict(zip(levels.NAMES, upload.segments, strict=False))
    if encrypt:
        body["content"] = crypto.encrypt(key.data_key, upload.content)
    else:
        output.warn("The file is sent unencrypted; the server encrypts it.")
        body["content"] = key_material.text_of(upload.content, upload.source)
    if key.is_client_managed:
        body["key_proof"] = key.proof
    if no_backup:
        body["no_backup"] = True
    size = len(upload.content)
    try:
        answer = api.post(api.node("secrets", "store"), body)
    except Failure as failure:
        if failure.error == "payload_too_large":
            failure.message = f"{upload.source} is too large for a level ({size:,} bytes)."
            failure.hint = "The limit is 1 MiB, unless the server sets another one."
        raise
    if answer.get("message") == UNCHANGED:
        output.success(f"{upload.path} already holds {upload.source}; nothing to push.")
        return
    output.success(f"Pushed {upload.source} to {upload.path} ({size:,} bytes).")
    output.detail(f"stored as {answer['data'].get('bytes')} bytes")
