"""The service's own check of its evidence: that trees, signatures and the index are what they were
made of, and that entries still give their leaves.

An auditor need not believe it. It finds what an auditor would find, on the day after.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connections

from audit.evidence import index, leaf, notes, reading, signing, tiles, tree

PARTS = 30
"""A log is read in so many nights."""


class Finding(NamedTuple):
    """What is not as it was. number: of the entry, or 0."""

    organization: uuid.UUID
    number: int
    what: str


class Verified(NamedTuple):
    """What was looked at."""

    logs: int
    entries: int
    findings: list[Finding]


def verify(using: str, part: int | None = None) -> Verified:
    """All trees, signatures and index roots; and of entries the part with this number, or all."""
    findings: list[Finding] = []
    entries = 0
    logs = _rows(using, "SELECT organization_id, size, edge FROM audit_head ORDER BY 1", [])
    for organization, size, edge in logs:
        for what in _wrong_with_tree(organization, size, bytes(edge), using):
            findings.append(Finding(organization, 0, what))
        if organization == notes.HEADS:
            findings += _wrong_with_rounds(size, using)
            continue
        for what in _wrong_index(organization, size, using):
            findings.append(Finding(organization, 0, what))
        for first, past in _ranges(size, part):
            found = _wrong_with_entries(organization, first, past, using)
            findings += found
            entries += past - first
    return Verified(len(logs), entries, findings)


def note(using: str) -> None:
    """Note for everybody that it was verified now, whatever was found."""
    with connections[using].cursor() as cursor:
        cursor.execute("UPDATE audit_proving SET verified_at = clock_timestamp()")


def _ranges(size: int, part: int | None) -> Iterator[tuple[int, int]]:
    """Whole blocks of numbers, from after one to another: those of the part."""
    for block in range(-(-size // index.BLOCK)):
        if part is None or block % PARTS == part % PARTS:
            yield block * index.BLOCK, min(size, (block + 1) * index.BLOCK)


# -- The tree


def _wrong_with_tree(organization: uuid.UUID, size: int, edge: bytes, using: str) -> Iterator[str]:
    nodes = reading.Tree(organization, using)
    try:
        yield from _wrong_tiles(nodes, size)
        if tree.subtree(nodes, 0, size) != tree.root(tree.split(edge)):
            yield f"the tree of {size} entries does not have the root of the head"
        for kept in _checkpoints(organization, using):
            if kept.size > size:
                yield f"a checkpoint of {kept.size} entries was signed, and the tree has {size}"
            elif tree.subtree(nodes, 0, kept.size) != kept.root:
                yield f"the tree does not have the root of the checkpoint of {kept.size} entries"
            elif not _is_signed(kept, using):
                yield f"the checkpoint of {kept.size} entries is not signed by a known key"
    except reading.MissingHashesError as error:
        yield str(error)


def _wrong_tiles(nodes: reading.Tree, size: int) -> Iterator[str]:
    """Each full tile has its root in the tile above."""
    level, hashes = 0, size
    while full := hashes // tiles.WIDTH:
        for number in range(full):
            root = tree.root_of(tree.split(nodes.tile(level, number)))
            if root != nodes(tiles.BITS * (level + 1), number):
                yield f"tile {level}/{number} is not what the tile above it was made of"
        level, hashes = level + 1, full


def _checkpoints(organization: uuid.UUID, using: str) -> list[reading.Checkpoint]:
    """The newest ones."""
    rows = _rows(
        using,
        "SELECT size, note FROM audit_checkpoint WHERE organization_id = %s"
        " ORDER BY size DESC LIMIT 10",
        [organization],
    )
    return [reading.Checkpoint(organization, size, note) for size, note in rows]


def _is_signed(checkpoint: reading.Checkpoint, using: str) -> bool:
    """By a key that was announced, in the name of the log; and by none wrongly."""
    name = checkpoint.origin
    forks = reading.fork(checkpoint.organization, using)
    number = signing.fork_of(name, checkpoint.organization)
    text = notes.text_of(checkpoint.note)
    if number is None or number > forks:
        return False
    if text != notes.checkpoint_text(name, checkpoint.size, checkpoint.root):
        return False
    known = {notes.key_id(name, key.public): key.public for key in reading.signing_keys(using)}
    signed = False
    for line in checkpoint.note.removeprefix(f"{text}\n").splitlines():
        signer, encoded = line.removeprefix("— ").split(" ", 1)
        blob = base64.b64decode(encoded)
        if signer != name or blob[:4] not in known:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(known[blob[:4]]).verify(blob[4:], text.encode())
        except InvalidSignature:
            return False
        signed = True
    return signed


def _wrong_index(organization: uuid.UUID, size: int, using: str) -> Iterator[str]:
    """The records of blocks give the index roots that leaves commit to."""
    zones: list[index.Zone] = []
    count = 0
    for number, entries, since, until, keys, root, index_root in _blocks(
        organization, 0, size // index.BLOCK, using
    ):
        block = index.Block(number, entries, since, until, keys, bytes(root))
        if number != count:
            break
        index.append(zones, number, block.zone())
        if index.root(zones) != bytes(index_root):
            yield f"the index up to block {number} does not have its root"
        count += 1
    if count != size // index.BLOCK:
        yield f"the index has {count} blocks of {size // index.BLOCK}"


def _blocks(organization: uuid.UUID, first: int, past: int, using: str) -> list[tuple[Any, ...]]:
    return _rows(
        using,
        "SELECT n, entries, since, until, keys, root, index_root FROM audit_block"
        " WHERE organization_id = %s AND n >= %s AND n < %s ORDER BY n",
        [organization, first, past],
    )


# -- Rounds of `heads`


def _wrong_with_rounds(size: int, using: str) -> list[Finding]:
    """Leaves of `heads` that are not those of its rounds."""
    nodes = reading.Tree(notes.HEADS, using)
    found = []
    for first in range(0, size, tiles.WIDTH):
        hashes = tree.split(nodes.tile(0, first // tiles.WIDTH))
        rounds = dict(
            _rows(
                using,
                "SELECT number, leaf FROM audit_round WHERE number > %s AND number <= %s",
                [first, first + tiles.WIDTH],
            )
        )
        for place, known in enumerate(hashes, first + 1):
            if tree.leaf_hash(str(rounds.get(place, "")).encode()) != known:
                what = f"round {place} of heads does not give the hash in its tile"
                found.append(Finding(notes.HEADS, place, what))
    return found


# -- Entries


def _wrong_with_entries(
    organization: uuid.UUID, first: int, past: int, using: str
) -> list[Finding]:
    """Leaves of one block, or of the last numbers, that are not those of their entries."""
    try:
        leaves = list(reading.leaves(organization, first, past, using))
    except reading.MismatchError as error:
        return [Finding(organization, error.seq, str(error))]
    except reading.MissingHashesError as error:
        return [Finding(organization, 0, str(error))]
    if past - first < index.BLOCK:
        return []
    if any(each.data is None for each in leaves):
        return _wrong_with_kept_keys(organization, first // index.BLOCK, using)
    entries = [
        None if each.data is None or leaf.is_removed(each.data) else leaf.subjects_of(each.data)
        for each in leaves
    ]
    present = [each for each in entries if each is not None]
    number = first // index.BLOCK
    made = index.block(
        number, [time for time, _ in present], [each and each[1] for each in entries]
    )
    for _, *known, root, _index_root in _blocks(organization, number, number + 1, using):
        found = (made.entries, made.since, made.until, made.keys, made.root)
        if (*known, bytes(root)) != found:
            return [Finding(organization, 0, f"block {number} is not the index of its entries")]
    return []


def _wrong_with_kept_keys(organization: uuid.UUID, number: int, using: str) -> list[Finding]:
    """Of a block whose leaves are not all known any more, keys that are not those that it had."""
    kept = reading.kept_keys(organization, number, using)
    for *_, root, _index_root in _blocks(organization, number, number + 1, using):
        if kept is not None and tree.root_of(index.key_leaves(kept)) != bytes(root):
            what = f"the keys that were kept of block {number} are not those that it had"
            return [Finding(organization, 0, what)]
    return []


def _rows(using: str, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
