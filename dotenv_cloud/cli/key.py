"""`dotenv key`: the encryption keys of a project."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import click

from dotenv_cloud.cli import crypto, key_material, levels, listing, output, session, times
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.key_material import OldKey, ProjectKey
from dotenv_cloud.cli.levels import Level
from dotenv_cloud.cli.options import Group, force_option, format_option
from dotenv_cloud.cli.output import Columns

PENDING = 100
"""Versions fetched at once: the most that servers return."""


@click.group("key", cls=Group)
def key() -> None:
    """List and rotate the encryption keys of a project."""


@key.command("history")
@click.argument("project")
@format_option("table", "json", "yaml")
def history(project: str, format_: str) -> None:
    """List the key versions of PROJECT, the active one first."""
    [slug] = session.node_path(project, most=1)
    with session.connect() as api:
        answer = api.get(api.node(slug, "encryption-key", "history"))
    versions = answer["data"]
    progress = (answer.get("meta") or {}).get("re_encryption")
    if progress and progress["remaining"]:
        output.note(
            f"The server is re-encrypting the history: {progress['done']:,} of"
            f" {progress['total']:,} done."
        )
    columns: Columns = {
        "VERSION": itemgetter("version"),
        "MANAGED": itemgetter("managed"),
        "ACTIVE": lambda version: output.tick(version["is_active"]),
        "CREATED": lambda version: times.second(version["created_at"]),
        "ROTATED": lambda version: times.second(version.get("rotated_at")),
    }
    output.listing(format_, versions, columns, empty=f"{slug} has no key.")


@key.command("rotate")
@click.argument("project")
@click.option(
    "--history-policy",
    type=click.Choice(["keep", "re_encrypt"]),
    help="What to do with versions under the old key. [default: the project's setting]",
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the new version as JSON.")
@key_material.client_key_option
@click.option(
    "--new-key", metavar="FILE|KEY", help="The new key, if clients hold the key. [default: prompt]"
)
def rotate(
    project: str,
    history_policy: str | None,
    force: bool,
    as_json: bool,
    client_key: str | None,
    new_key: str | None,
) -> None:
    """Replace the encryption key of PROJECT.

    If the server holds the key, the server does it. If clients hold it, every level is decrypted
    and encrypted again on this machine, and all are sent back in one request.
    """
    [slug] = session.node_path(project, most=1)
    with session.connect() as api:
        # Not fetched first, unlike elsewhere: reading a key is recorded as an event of its own.
        output.confirm(f"Rotate the encryption key of {slug}?", force=force)
        made = None if client_key or new_key else _rotate_there(api, slug, history_policy)
        if made is None:
            number = _rotate_here(api, slug, client_key, new_key, history_policy)
            made = {"version": str(number), "managed": "client", "is_active": True}
    if as_json:
        output.as_json(made)
    else:
        click.echo(output.safe(f"{slug}: version {made['version']} is active"))


def _rotate_there(api: Api, slug: str, history_policy: str | None) -> dict[str, Any] | None:
    """The new version, made by the server; None if only clients have the key."""
    try:
        answer = api.post(
            api.node(slug, "encryption-key", "rotate"),
            {"history_policy": history_policy} if history_policy else None,
        )
    except Failure as failure:
        if failure.error == "client_managed_encryption":
            return None
        raise
    made: dict[str, Any] = answer["data"]["key"]["attributes"]
    made.pop("key", None)  # the key itself is for programs that encrypt
    return made


def _rotate_here(
    api: Api, slug: str, client_key: str | None, new_key: str | None, history_policy: str | None
) -> int:
    """The number of the version that is active then."""
    old = key_material.fetch(api, slug, client_key)
    if not old.is_client_managed:
        raise Failure(
            f"The server holds the key of {slug}.",
            Exit.USAGE,
            "Leave out --client-key and --new-key.",
        )
    # Both keys are asked for before anything is read: reads are recorded, and take time.
    former = old.key
    key = key_material.new_client_key(new_key, "--new-key", may_be_variable=False)
    if key == former:
        raise Failure(
            "The new key is the same as the old one.", Exit.KEY, "Choose a different one."
        )
    held = _every_level(api, slug, old)
    salt = crypto.generate_salt()
    data_key = crypto.derive_data_key(key, salt)
    body: dict[str, object] = {
        "secrets": [
            {"id": level.id, "content": crypto.encrypt(data_key, level.plaintext or b"")}
            for level in held
        ],
        "key_check": crypto.prove(key, salt),
        "key_check_salt": base64.b64encode(salt).decode(),
        "key_check_iterations": crypto.ITERATIONS,
        "key_proof": old.last_proof,
    }
    if history_policy:
        body["history_policy"] = history_policy
    api.post(api.node(slug, "secrets", "rotate-client-keys"), body)
    output.note("Keep the new key safe: the server does not have it.")
    if history_policy == "re_encrypt":
        output.note(f"To re-encrypt the history too, run: dotenv key re-encrypt-history {slug}")
    return old.version + 1


def _every_level(api: Api, slug: str, key: ProjectKey) -> list[Level]:
    """Every level of the project that holds something, opened."""
    found: dict[str, Level] = {}
    leaves = [node.path.split("/") for node in listing.leaves(api, slug)]
    with output.progress(len(leaves), "Reading") as step:
        for segments in leaves:
            for level in levels.fetch(api, segments).levels:
                found.setdefault(level.id, level)
            step(1)
    return levels.opened(list(found.values()), key, allow_partial=False)


@key.command("re-encrypt-history")
@click.argument("project")
@key_material.old_key_option
@key_material.client_key_option
def re_encrypt_history(project: str, old_keys: tuple[str, ...], client_key: str | None) -> None:
    """Re-encrypt versions under old client keys with the active one, on this machine.

    It can be interrupted and run again. For keys that the server holds, the server does it.
    """
    [slug] = session.node_path(project, most=1)
    done = 0
    with session.connect() as api:
        active = key_material.fetch(api, slug, client_key)
        if not active.is_client_managed:
            raise Failure(
                f"The server holds the key of {slug} and re-encrypts the history itself.", Exit.KEY
            )
        path = api.node(slug, "secrets", "re-encrypt-history")
        old: dict[str, OldKey] = {}
        first = api.post(f"{path}/pending", {"limit": PENDING})
        with output.progress(first["meta"]["remaining"], "Re-encrypting") as step:
            answer = first
            while answer["data"]:
                versions = [
                    _moved(api, slug, each, active, old, old_keys) for each in answer["data"]
                ]
                body = {"versions": versions, "key_proof": active.proof}
                taken = api.post(path, body)["data"]["updated"]
                if not taken:  # asking again would never end
                    raise Failure("The server accepted none of the versions.", hint="Run it again.")
                done += taken
                step(taken)
                answer = api.post(f"{path}/pending", {"limit": PENDING})
    output.success(f"Re-encrypted {done} {'version' if done == 1 else 'versions'} of {slug}.")


def _moved(
    api: Api,
    slug: str,
    pending: Mapping[str, Any],
    active: ProjectKey,
    old: dict[str, OldKey],
    given: Sequence[str],
) -> dict[str, object]:
    number = pending["key_version"]
    if not old:
        for version in key_material.history(api, slug):
            found = None if version["is_active"] else key_material.match_old(given, version)
            if found is not None:
                old[found.version] = found
    if number not in old:
        raise Failure(
            f"Version {pending['id']} is under key version {number}, which none of the given old"
            " keys matches.",
            Exit.KEY,
            "Give that key with --old-key FILE. What is already re-encrypted stays so.",
        )
    try:
        plaintext = crypto.decrypt(old[number].data_key, pending["content"])
    except crypto.WrongKeyError as error:
        raise Failure(f"Version {pending['id']}: {error}.", Exit.KEY) from None
    return {"id": pending["id"], "content": crypto.encrypt(active.data_key, plaintext)}
