"""`dotenv audit witness --index`: every leaf is read, and the index recomputed of it.

An index that was wrong when it was signed shows to nobody who holds filtered packs alone. A witness
that reads all leaf data cosigns only if each index root, to which the log commits after each block,
is that of the leaves before it, and these leaves are those under the checkpoint's root.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from dotenv_cloud import verifier
from dotenv_cloud.cli import checkpoints, log_keys
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.verifier import BLOCK, Checkpoint, Entry, Refused, Zone

_RECORD = struct.Struct(">32s32sQQ")
"""Of a block that was read: the root of its leaves, and its zone in the index."""
_SAVE_EVERY = 64


def verify(api: Api, checkpoint: Checkpoint) -> None:
    """That every index of the log is that of its leaves. Exit code 7 if one is not."""
    state = checkpoints.kept_file(checkpoint.origin).with_suffix(".index")
    blocks = _known(state)
    full = checkpoint.size // BLOCK
    try:
        for number in range(len(blocks), full):
            entries = _entries(api, number, BLOCK)
            _check_commitment(entries[0], blocks)
            [root] = verifier.fold(number * BLOCK, [each.hash for each in entries]).values()
            blocks.append((root, verifier.index_block(number, entries)))
            if number % _SAVE_EVERY == _SAVE_EVERY - 1:
                _save(state, blocks)
        known = {
            (number * BLOCK, (number + 1) * BLOCK): root
            for number, (root, _) in enumerate(blocks[:full])
        }
        if rest := checkpoint.size % BLOCK:
            tail = _entries(api, full, rest)
            _check_commitment(tail[0], blocks[:full])
            known |= verifier.fold(full * BLOCK, [each.hash for each in tail])
        root = verifier.root_of(checkpoint.size, known, ())
        message = "the leaves that the server shows are not those under the checkpoint's root"
        verifier.require(root == checkpoint.root, message)
    except Refused as error:
        state.unlink(missing_ok=True)  # what was read is not what was signed: read it again
        raise Failure(
            f"The index of the log does not hold: {error}.",
            Exit.UNVERIFIED,
            "Nothing was cosigned. Ask whoever runs the service.",
        ) from None
    _save(state, blocks)


def _entries(api: Api, number: int, width: int) -> list[Entry]:
    """The leaves of a bundle, by their places."""
    try:
        data = log_keys.text(api, api.of_organization("audit", "tile", *_path(number, width)))
    except Failure as failure:
        if failure.error != "removed":
            raise
        raise Failure(
            "Entries of this log were removed or withheld, so not every index can be recomputed.",
            Exit.UNVERIFIED,
            "Run `dotenv audit witness` without --index.",
        ) from None
    with verifier.located(f"bundle {number}"):
        entries = [verifier.read_leaf(leaf) for leaf in _split(data)]
        verifier.require(len(entries) == width, f"it has {len(entries)} leaves, not {width}")
        for place, entry in enumerate(entries, number * BLOCK + 1):
            verifier.require(entry.seq == place, "a leaf is not in its place", "", place)
            has_index = place > 1 and place % BLOCK == 1
            verifier.require(bool(entry.index_root) == has_index, "it lacks its index", "", place)
    return entries


def _split(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        leaf = data[at + 2 : at + 2 + length]
        verifier.require(len(leaf) == length, "it is cut off")
        yield leaf
        at += 2 + length


def _path(number: int, width: int) -> list[str]:
    """The segments of a bundle's address, as C2SP tlog-tiles has them."""
    digits = str(number).zfill(-(-len(str(number)) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    folders = [f"x{part}" for part in parts[:-1]]
    last = parts[-1] if width == BLOCK else f"{parts[-1]}.p"
    return ["entries", *folders, last, *([] if width == BLOCK else [str(width)])]


def _check_commitment(first: Entry, blocks: list[tuple[bytes, Zone]]) -> None:
    """That the first leaf after blocks commits to their index."""
    if not blocks:
        return
    *_, root = verifier.index_roots(zone for _, zone in blocks)
    message = f"it commits to another index than that of the {len(blocks):,} blocks before it"
    verifier.require(first.index_root == root, message, "", first.seq)


# --- what was read before -------------------------------------------------------------------------


def _known(state: Path) -> list[tuple[bytes, Zone]]:
    data = checkpoints.read(state)
    body, digest = data[:-32], data[-32:]
    if sha256(body).digest() != digest or len(body) % _RECORD.size:
        return []
    return [
        (root, Zone(hashed, since, until))
        for root, hashed, since, until in _RECORD.iter_unpack(body)
    ]


def _save(state: Path, blocks: list[tuple[bytes, Zone]]) -> None:
    body = b"".join(_RECORD.pack(root, zone.hash, zone.since, zone.until) for root, zone in blocks)
    checkpoints.write(state, body + sha256(body).digest())
