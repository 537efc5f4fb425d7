"""The key that a command works with: from the server, or from the user if clients hold it.

Nothing is pushed unless the server describes the key completely. An incomplete description could
otherwise have secrets sent as plaintext, or under a key that anybody can guess.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from dotenv_cloud.cli import crypto, output
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure

SHORTEST_BYTES = 12
FEWEST_ITERATIONS = 100_000
"""For a client's key: with fewer, its proof would make the key easy to guess."""
VARIABLE = "DOTENV_CLIENT_KEY"


@dataclass
class ProjectKey:
    """A project's active key. key: the key string; a client's key is asked for when needed."""

    project: str
    version: int
    is_client_managed: bool
    salt: bytes | None
    iterations: int
    _key: str | None = field(default=None, repr=False)
    _given: str | None = field(default=None, repr=False)

    @cached_property
    def key(self) -> str:
        if self._key is not None:
            return self._key
        return client_key(self._given, f"the client key of {self.project}")

    @cached_property
    def data_key(self) -> bytes:
        if self.salt is None:
            return crypto.pad_key(self.key)
        return crypto.derive_data_key(self.key, self.salt, self.iterations)

    @cached_property
    def proof(self) -> str | None:
        """The proof that a write under a client's key carries; None for a server's key."""
        if self.is_client_managed:
            refuse_weak(self.key)
        return self.last_proof

    @cached_property
    def last_proof(self) -> str | None:
        """The proof for replacing the key, given even for a weak one."""
        if not self.is_client_managed or self.salt is None:
            return None
        return crypto.prove(self.key, self.salt, self.iterations)


@dataclass(frozen=True)
class OldKey:
    """A key version whose key the user supplied."""

    version: str
    data_key: bytes = field(repr=False)


def fetch(api: Api, project: str, given: str | None = None) -> ProjectKey:
    """The active key of `project`, as the server describes it. given: the value of --client-key.

    Raises Failure for an incomplete description.
    """
    answer = api.get(api.node(project, "encryption-key"))
    try:
        content = answer["data"]["attributes"]["content"]
        described = json.loads(content)["key"]
        found = _described(project, described, given)
    except (KeyError, TypeError, ValueError):
        raise Failure(
            f"The server's description of the key of {project} is incomplete.",
            Exit.KEY,
            "Nothing was sent. Ask the administrator.",
        ) from None
    if given and not found.is_client_managed:
        output.warn(f"The server holds the key of {project}; --client-key is ignored.")
    return found


def _described(project: str, described: Mapping[str, Any], given: str | None) -> ProjectKey:
    managed, key = described["managed"], described.get("key")
    version, rounds = described["version"], described.get("key_check_iterations", 0)
    salt_text = described.get("key_check_salt")
    salt = base64.b64decode(salt_text, validate=True) if salt_text else None
    is_client_managed = managed == "client"
    is_complete = (
        salt is not None
        if is_client_managed
        else managed == "server" and isinstance(key, str) and bool(key)
    )
    if not is_complete or type(version) is not int or type(rounds) is not int:
        raise ValueError
    if is_client_managed and 0 < rounds < FEWEST_ITERATIONS:
        raise Failure(
            f"The server asks for a proof of only {rounds:,} iterations, which exposes the key.",
            Exit.KEY,
            f"Nothing was sent. At least {FEWEST_ITERATIONS:,} are needed; ask the administrator.",
        )
    return ProjectKey(
        project=project,
        version=version,
        is_client_managed=is_client_managed,
        salt=salt,
        iterations=rounds,
        _key=None if is_client_managed else key,
        _given=given,
    )


def history(api: Api, project: str) -> list[dict[str, Any]]:
    """The versions of a project's key, with the proofs that identify old client keys."""
    versions: list[dict[str, Any]] = api.get(api.node(project, "encryption-key", "history"))["data"]
    return versions


def match_old(given: Sequence[str], version: Mapping[str, Any]) -> OldKey | None:
    """Which of the `given` old keys (files or values) is that of `version` (an item of the
    history), or None. If none is given, a user at a terminal is asked for it."""
    if not version.get("key_check") or not version.get("key_check_salt"):
        return None
    for text in given:
        found = _proved(client_key(text, "an old key"), version)
        if found is not None:
            return found
    if given or not sys.stdin.isatty():
        return None
    typed = click.prompt(f"Old key (version {version['version']})", hide_input=True, err=True)
    return _proved(_not_empty(typed.strip(), "the old key"), version)


def _proved(key: str, version: Mapping[str, Any]) -> OldKey | None:
    salt, rounds = base64.b64decode(version["key_check_salt"]), int(version["key_check_iterations"])
    if not hmac.compare_digest(crypto.prove(key, salt, rounds), version["key_check"]):
        return None
    return OldKey(version["version"], crypto.derive_data_key(key, salt, rounds))


# --- where a client's key comes from ------------------------------------------------------------


def client_key(given: str | None, what: str) -> str:
    """The key from an option (a file or the key itself), the environment or a prompt."""
    if given:
        return _from_option(given, what)
    variable = os.environ.get(VARIABLE, "")
    if variable.strip():
        output.warn(f"Using {VARIABLE} as {what}: your other programs can read it too.")
        return variable.strip()
    output.require_terminal(f"This needs {what}", f"Give --client-key FILE, or set {VARIABLE}.")
    typed: str = click.prompt(output.safe(what.capitalize()), hide_input=True, err=True)
    return _not_empty(typed.strip(), what)


def new_client_key(given: str | None, option: str, *, may_be_variable: bool = True) -> str:
    """A new key: read like any other, typed twice at a prompt, and refused if it is weak.

    may_be_variable: whether it may come from the environment, which could hold the old key.
    """
    if given or (may_be_variable and os.environ.get(VARIABLE, "").strip()):
        key = client_key(given, "the new key")
    else:
        output.require_terminal("This needs the new key", f"Give {option} FILE.")
        key = click.prompt("New key", hide_input=True, confirmation_prompt=True, err=True).strip()
    refuse_weak(_not_empty(key, "the new key"), is_new=True)
    return key


def refuse_weak(key: str, *, is_new: bool = False) -> None:
    """Refuse a key that its proof would reveal, and warn of one that is easily mistyped.

    The proof of a key of 32 bytes is also its data key: the server could open everything.
    """
    size = len(key.encode())
    if size == crypto.KEY_BYTES:
        raise Failure(
            "The key is exactly 32 bytes long, so the proof sent to the server would reveal it.",
            Exit.KEY,
            "Use a longer key, for example 48 characters.",
        )
    if not is_new:
        return
    if size < SHORTEST_BYTES:
        raise Failure(
            f"The key is only {size} bytes long.", Exit.KEY, f"Use at least {SHORTEST_BYTES} bytes."
        )
    if size > crypto.KEY_BYTES:
        output.warn(
            "Only the key's first 32 bytes are checked: a typing error after them goes unnoticed."
        )
    if key.endswith("0"):
        output.warn(
            "The key ends in 0: with fewer or more zeros at the end, it has the same proof."
        )


def _from_option(given: str, what: str) -> str:
    # What is not a file may be a key, so no message repeats it.
    if _exists(given):
        try:
            key = Path(given).expanduser().read_text(encoding="utf-8")
        except OSError as error:
            raise Failure(
                f"Cannot read the key in {given}: {error.strerror}.", Exit.USAGE
            ) from None
        except UnicodeDecodeError:
            raise Failure(
                f"{given} is not UTF-8 text, so it cannot be a key.", Exit.USAGE
            ) from None
        return _not_empty(key.strip(), f"the key in {given}")
    if given.startswith("~") or os.sep in given:
        raise Failure(
            f"The file to read {what} from does not exist.",
            Exit.USAGE,
            f"If it is the key itself: one with {os.sep} in it has to be in a file or {VARIABLE}.",
        )
    output.warn(f"Using the argument itself as {what}: other users of this machine can see it.")
    return _not_empty(given.strip(), what)


def _exists(given: str) -> bool:
    try:
        return Path(given).expanduser().exists()
    except (OSError, RuntimeError):  # too long for a name, or the home of an unknown user
        return False


def _not_empty(key: str, what: str) -> str:
    if not key:
        raise Failure(f"{what[:1].upper()}{what[1:]} is empty.", Exit.KEY)
    return key


client_key_option = click.option(
    "--client-key",
    metavar="FILE|KEY",
    help=f"The project's key, if clients hold it. [default: {VARIABLE}, or a prompt]",
)
old_key_option = click.option(
    "--old-key", "old_keys", multiple=True, metavar="FILE|KEY", help="A former key. Repeatable."
)


def text_of(plaintext: bytes, where: str) -> str:
    """The text of an opened blob. Raises Failure if it is not text."""
    try:
        return plaintext.decode()
    except UnicodeDecodeError:
        raise Failure(
            f"{where} is not UTF-8 text.", Exit.KEY, "Pull that level alone, with -o FILE."
        ) from None
