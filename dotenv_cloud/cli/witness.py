"""`dotenv audit witness`: follow a log, and say with a key of one's own when it was seen.

A cosignature (C2SP tlog-cosignature) is given for what continues the checkpoint that was kept, and
for nothing else. The log `heads` is followed too: in each of its rounds, this log has one head for
everybody, so two histories show there or to nobody.
"""

from __future__ import annotations

import base64
import datetime as dt
import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dotenv_cloud import verifier
from dotenv_cloud.cli import (
    checkpoints,
    files,
    log_keys,
    output,
    session,
    witness_index,
    witness_server,
)
from dotenv_cloud.cli.checkpoints import Log
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Command
from dotenv_cloud.verifier import COSIGNATURE, NAME, Checkpoint, Key, Refused

_PASSING = frozenset({Exit.ERROR, Exit.CONFLICT})
"""How requests fail that may succeed later: the network, the server, too many at once."""


@dataclass(frozen=True)
class Cosigner:
    """The key of a witness."""

    name: str
    private: Ed25519PrivateKey

    @property
    def key(self) -> Key:
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Key(self.name, COSIGNATURE, public)

    def line(self, text: str, at: int) -> str:
        """The signature line that says that this checkpoint was seen at this time."""
        signature = self.private.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        data = self.key.id + at.to_bytes(8, "big") + signature
        return f"— {self.name} {base64.b64encode(data).decode()}\n"


def cosigner(path: Path, name: str | None, kind: str = "dotenv") -> Cosigner:
    """The key in a file, which is made with the first use. name: what a new one is called; by
    default the machine's name and `kind`."""
    if not path.exists():
        chosen = name or f"{socket.gethostname() or 'witness'}/{kind}"
        if not NAME.fullmatch(chosen):
            raise Failure("--name: a witness's name has no blanks and no +.", Exit.USAGE)
        seed = base64.b64encode(os.urandom(32)).decode()
        try:
            files.make_private_directory(path.parent)
            with files.replacing(path) as file:
                file.write(f"{chosen}\n{seed}\n".encode())
        except OSError as error:
            raise Failure(f"Cannot write {path}: {error.strerror}.") from None
        output.note(f"A key was made in {path}. Keep a copy: another key is another witness.")
    elif files.is_open_to_others(path):
        raise Failure(f"Other users can read the key in {path}.", hint=f"Run: chmod 600 {path}")
    try:
        known, seed, *rest = path.read_text().split("\n")
        private = Ed25519PrivateKey.from_private_bytes(verifier.from_base64(seed, 32))
        verifier.require(NAME.fullmatch(known) and rest == [""], "it has another form")
    except OSError as error:
        raise Failure(f"Cannot read {path}: {error.strerror}.") from None
    except (ValueError, Refused):
        raise Failure(f"{path} is not a witness's key.", Exit.USAGE) from None
    if name and name != known:
        raise Failure(
            f"The key in {path} is called {output.safe(known)}.",
            Exit.USAGE,
            "Leave out --name, or name another file with --key-file.",
        )
    return Cosigner(known, private)


@click.command("witness", cls=Command)
@click.option("--once", is_flag=True, help="Look once and stop.")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option(
    "--name", metavar="NAME", help="What the key is called when it is made. [default: HOST/dotenv]"
)
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The key. [default: audit/witness.key beside the accounts]",
)
@click.option(
    "--index",
    is_flag=True,
    help="Read every leaf too, and cosign only if each index is that of its leaves; with a key of"
    " its own, whose name says so.",
)
@click.option("--show-key", is_flag=True, help="Print the public key, for the log's owner to add.")
@click.option(
    "--serve",
    metavar="HOST:PORT",
    help="Witness the logs of --log for whoever sends checkpoints (C2SP tlog-witness).",
)
@click.option("--log", "logs", multiple=True, metavar="VKEY", help="A log to witness, or a file.")
def witness(
    once: bool,
    every: float,
    name: str | None,
    key_file: Path | None,
    index: bool,
    show_key: bool,
    serve: str | None,
    logs: tuple[str, ...],
) -> None:
    """Follow the log and cosign its checkpoints, until stopped.

    Its owner adds the key of --show-key as a witness; then the server keeps and shows when this
    witness saw the log. Exit code 7 if the log is not what it was; both checkpoints are kept.
    """
    file = "witness-index.key" if index else "witness.key"
    who = cosigner(key_file or checkpoints.directory() / file, name, "index" if index else "dotenv")
    if show_key:
        click.echo(log_keys.vkey(who.key))
        return
    if serve is not None:
        witness_server.serve(serve, [*map(log_keys.given, logs)], who.line)
        return
    if logs:
        raise Failure("--log is for --serve.", Exit.USAGE)
    with session.connect() as api:
        pause = 1.0
        while True:
            try:
                _look(api, who, index=index)
                pause = 1.0
            except Failure as failure:
                if once or failure.code not in _PASSING:
                    raise
                pause = min(2 * pause, every)
                output.warn(f"{failure.message} Trying again in {pause:.0f} s.")
                time.sleep(pause)
                continue
            if once:
                return
            time.sleep(every)


def _look(api: Api, who: Cosigner, *, index: bool) -> None:
    """Check, cosign and send what there is."""
    checkpoint = checkpoints.check(api)
    if checkpoint is None:
        output.note("Nothing of this log was signed yet.")
        return
    rounds = _look_at_rounds(api, checkpoint)
    if index:
        witness_index.verify(api, checkpoint)
    at = int(time.time())
    note = f"{checkpoint.text}\n{who.line(checkpoint.text, at)}"
    try:
        api.post(api.of_organization("audit", "cosignatures"), {"checkpoint": note})
    except Failure as failure:
        if failure.error != "validation_failed":
            raise
        output.warn(f"The cosignature was not kept: {failure.message}")
        output.note(f"Its owner adds this witness by its key: {log_keys.vkey(who.key)}")
    moment = dt.datetime.fromtimestamp(at, dt.UTC).isoformat(" ", "seconds")
    click.echo(
        f"{moment[:19]} UTC  {output.safe(checkpoint.origin)}  {checkpoint.size:,} entries"
        f"  {checkpoint.root.hex()[:12]}{rounds}"
    )


# --- the rounds of `heads` ------------------------------------------------------------------------


def _look_at_rounds(api: Api, checkpoint: Checkpoint) -> str:
    """Look at each round since the last time: this log has one head in it, on the same history."""
    log = Log(api, ("heads",))
    pinned = log_keys.pinned(checkpoint.origin)
    name = checkpoint.origin.rpartition("/audit/")[0] + "/audit/heads"
    keys = [Key(name, key.type, key.public) for key in pinned]
    heads = checkpoints.check_log(log, keys)
    if heads is None:
        return ""
    state = checkpoints.kept_file(checkpoint.origin).with_suffix(".round")
    last, size = _looked_at(state)
    looked, skipped = 0, 0
    since = last + 1 if last else heads.size
    while since <= heads.size:
        answer = api.get(log.address(), [("since", str(since))])
        if not answer["data"]:
            break
        for each in answer["data"]:
            number = _verify_round(each, log, heads, checkpoint, size, keys)
            size = max(size, int(each["size"]))
            skipped += number - since if looked or last else 0
            looked, since = looked + 1, number + 1
        checkpoints.write(state, f"{since - 1} {size}\n".encode())
    if skipped:
        output.warn(
            f"{skipped:,} {'round' if skipped == 1 else 'rounds'} of {name} could not be looked at:"
            " the server keeps them for an hour, for thirty days where the log has a witness."
        )
    return f"  {looked:,} {'round' if looked == 1 else 'rounds'} of heads"


def _looked_at(state: Path) -> tuple[int, int]:
    """The round that was looked at last, and the log's size in it."""
    found = re.fullmatch(rb"([0-9]{1,16}) ([0-9]{1,16})\n", checkpoints.read(state))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _verify_round(
    answered: dict[str, Any],
    log: Log,
    heads: Checkpoint,
    checkpoint: Checkpoint,
    size: int,
    keys: list[Key],
) -> int:
    """That the head in a round is one of this log's history, and none before the last one; the
    number of the round."""
    note, proof = str(answered["checkpoint"]).encode(), str(answered["proof"]).encode()
    try:
        with verifier.located(f"round {answered['round']} of {heads.origin}"):
            head = verifier.read_checkpoint(note, log_keys.pinned(checkpoint.origin))
            verifier.require(head.origin == checkpoint.origin, "its head is of another log")
            verifier.require(head.size >= size, f"its head has fewer entries than {size:,}")
            seen = verifier.verify_head(proof, head, ())
            index = re.search(rb"\nindex (0|[1-9][0-9]{0,15})\n", proof)
            verifier.require(
                index and int(index[1]) + 1 == answered["round"], "its proof is of another round"
            )
        if seen.root != heads.root:
            checkpoints.check_log(log, keys, [seen])
    except Refused as error:
        before = checkpoints.read(checkpoints.kept_file(checkpoint.origin))
        raise checkpoints.refused(Log(log.api), before, note, str(error)) from None
    if head.root != checkpoint.root:
        checkpoints.check(log.api, [head])
    return int(answered["round"])
