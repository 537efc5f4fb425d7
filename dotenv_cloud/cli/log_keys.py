"""The public keys of logs that are pinned, and how they change.

The keys of a log are pinned when it is first asked for; from then on a key counts only if one that
is pinned announced it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from dotenv_cloud import verifier
from dotenv_cloud.cli import evidence_verify, files, output
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import current_options
from dotenv_cloud.verifier import Key, Refused

_MOST_TEXT = 1 << 20


def given(text: str) -> Key:
    """A key as given, or as it stands in a file."""
    return evidence_verify.given_key(text)


def trusted(api: Api, named: Sequence[str]) -> list[Key]:
    """Those named, or those pinned; on first use, those that the server lists."""
    if named:
        return [given(each) for each in named]
    return check(api, listed(api))


def listed(api: Api) -> list[Key]:
    lines = text(api, api.of_organization("audit", "keys")).decode(errors="replace")
    with refusals("The server's list of keys"):
        found = [Key.parse(line) for line in lines.splitlines()]
        verifier.require(found, "it is empty: nothing was signed yet")
        verifier.require(len({key.name for key in found}) == 1, "its keys are of several logs")
    return found


def check(api: Api, found: Sequence[Key]) -> list[Key]:
    """The pinned keys of the log, with those that they announced, which are pinned then."""
    path = _file_of(found[0].name)
    if not path.exists():
        pin(found)
        output.warn("This log is asked for the first time here: its keys are trusted from now on.")
        for key in found:
            output.note(output.safe(vkey(key)))
        output.note("Compare them with somebody who knows them.")
        return list(found)
    known = pinned(found[0].name)
    unknown = [key for key in found if key not in known]
    if not unknown:
        return known
    with refusals("The announcement of keys"):
        chain = evidence_verify.follow_rotations(_announcements(api), known[-1])
    strange = [key for key in unknown if key not in chain]
    if strange:
        raise Failure(
            f"The server lists a key of this log that none of the pinned ones announced:"
            f" {output.safe(vkey(strange[0]))}.",
            Exit.UNVERIFIED,
            f"The pinned ones are in {path}. Ask whoever runs the service; `dotenv audit keys"
            " --pin` trusts the new one.",
        )
    pin([*known, *unknown])
    output.note("A new key of this log was announced by the one before it, and is pinned now.")
    return [*known, *unknown]


def _announcements(api: Api) -> list[bytes]:
    """The notes in which keys are announced, the oldest first."""
    parts = text(api, "/.well-known/dotenv-audit-keys").rstrip(b"\n").split(b"\n\n")
    return [
        announced + b"\n\n" + signatures + b"\n"
        for announced, signatures in zip(parts[::2], parts[1::2], strict=False)
    ]


def directory() -> Path:
    """Where it is kept what was seen of logs, and which keys they have."""
    return current_options().accounts_file.parent / "audit"


def pinned(origin: str) -> list[Key]:
    """The keys that are pinned of a log; none before it was asked for."""
    path = _file_of(origin)
    return [Key.parse(line) for line in path.read_text().splitlines()] if path.exists() else []


def _file_of(origin: str) -> Path:
    return directory() / f"{hashlib.sha256(origin.encode()).hexdigest()}.keys"


def pin(keys: Sequence[Key]) -> Path:
    path = _file_of(keys[0].name)
    try:
        files.make_private_directory(path.parent)
        with files.replacing(path) as file:
            file.write("".join(f"{vkey(key)}\n" for key in keys).encode())
    except OSError as error:
        raise Failure(f"Cannot write {path}: {error.strerror}.") from None
    return path


def vkey(key: Key) -> str:
    encoded = base64.b64encode(bytes([key.type]) + key.public).decode()
    return f"{key.name}+{key.id.hex()}+{encoded}"


# --- the server -----------------------------------------------------------------------------------


def text(api: Api, address: str, query: Sequence[tuple[str, str]] = ()) -> bytes:
    with api.stream(address, query) as response:
        data = b""
        for part in response.iter_bytes():
            data += part
            if len(data) > _MOST_TEXT:
                raise Failure("The server sent more than a proof can be.", Exit.UNVERIFIED)
    return data


@contextlib.contextmanager
def refusals(what: str) -> Iterator[None]:
    """What the verifier refuses inside ends the command."""
    try:
        yield
    except Refused as error:
        raise Failure(
            f"{what} does not hold: {output.safe(str(error))}.", Exit.UNVERIFIED
        ) from None
