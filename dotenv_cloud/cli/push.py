"""`dotenv push`: files become the secrets of levels, encrypted on this machine, as they are."""

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
"""What the server says when the level held the same already."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Upload:
    """A file for a level."""

    segments: list[str]
    source: str
    content: bytes = field(repr=False)

    @property
    def path(self) -> str:
        return "/".join(self.segments)


def _file_option(name: str, level: str) -> Callable[[F], F]:
    return click.option(
        name, f"{level}_file", metavar="FILE", help=f"Push FILE to the level of the {level}."
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
    help="Replace without asking, and push what is refused else.",
)
@key_material.client_key_option
@click.option(
    "--encrypt",
    cls=Switch,
    help="--encrypt=false has the server encrypt, where it holds the key.",
)
@click.option("--no-backup", is_flag=True, help="Keep no version of what is replaced.")
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
    """Make FILE (.env; - for standard input) the secrets of a level.

    With --project, --target and --env, several files go to several levels of the path at once; a
    target or environment that the path does not name is asked for.
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
                f"{segments[0]} has a key of its clients, so the server cannot encrypt.",
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
        raise Failure("Name one file, or use --project, --target and --env.", Exit.USAGE)
    deepest = max(levels.NAMES.index(name) for name in several)
    whole = list(segments)
    for name in levels.NAMES[len(segments) : deepest + 1]:
        output.require_terminal(f"The path names no {name}", f"Write it: {'/'.join(whole)}/…")
        slug = click.prompt(f"{name.capitalize()} (slug)", err=True)
        whole.append(session.segment(slug.strip(), f"a {name}"))
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
"""Lines of a file that are told one by one."""


def _check(upload: Upload, secret_format: str, *, force: bool) -> None:
    """Refuse a file that nobody could pull as it was meant, and say where others read it
    otherwise. With force, what is refused is only said."""
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
                "Quote values of several lines and put # before comments",
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
    """Whether the level holds just this already; asks before something else is replaced.

    With force nothing is asked, and only where the server has no key is anything fetched: it
    compares for itself.
    """
    if force and not key.is_client_managed:
        return False
    try:
        fetched = levels.fetch(api, upload.segments)
    except Failure as failure:
        # Who may write need not be allowed to read, there or anywhere.
        if failure.code in (Exit.ACCESS, Exit.NOT_FOUND):
            return False
        raise
    if key.is_client_managed and not force:
        _try_on(fetched.levels, key)
    if fetched.deepest is None:
        return False
    if _plaintext(fetched.deepest, key) == upload.content:
        output.success(f"{upload.path} holds {upload.source} already: unchanged.")
        return True
    if not force:
        output.confirm(f"{upload.path} holds secrets already. Replace them?", force=False)
    return False


def _plaintext(level: Level, key: ProjectKey) -> bytes | None:
    """What a level holds; None if the key does not open it."""
    try:
        [opened] = levels.opened([level], key, allow_partial=False)
    except Failure:
        return None
    return opened.plaintext


def _try_on(held: Sequence[Level], key: ProjectKey) -> None:
    """Refuse a key that does not open what is there: two keys that differ after the 32nd byte have
    the same proof, so the server would take what nobody could open."""
    for level in held:
        if not level.is_encrypted:
            continue
        try:
            crypto.decrypt(key.data_key, level.content)
        except crypto.WrongKeyError:
            raise Failure(
                f"The key does not open what {level.path} holds.",
                Exit.KEY,
                "Nothing was sent. Is the key right? --force pushes all the same.",
            ) from None


def _store(api: Api, upload: Upload, key: ProjectKey, *, encrypt: bool, no_backup: bool) -> None:
    body: dict[str, object] = dict(zip(levels.NAMES, upload.segments, strict=False))
    if encrypt:
        body["content"] = crypto.encrypt(key.data_key, upload.content)
    else:
        output.warn("The file is sent as it is; the server encrypts it.")
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
            failure.hint = "A level holds 1 MiB, unless the server's settings say otherwise."
        raise
    if answer.get("message") == UNCHANGED:
        output.success(f"{upload.path} holds {upload.source} already: unchanged.")
        return
    output.success(f"Pushed {upload.source} to {upload.path} ({size:,} bytes).")
    output.detail(f"stored as {answer['data'].get('bytes')} bytes")
