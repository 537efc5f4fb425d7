"""The log `heads`: at fixed times, one leaf that stands for the head of every log.

Witnesses cannot follow a log for each organization; they follow this one. Its leaf is the root of a
prefix tree in which each log has the one place that its name gives, so in a round every log has one
head, the same for everybody who asks. Whoever gets the path to its own head learns of no other log:
an empty place is a hash as any other, and the number and length of what is seen are the same
whoever is active.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import secrets
import uuid
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connections

from audit.entry import as_json
from audit.evidence import notes, reading, tiles, tree
from audit.evidence.notes import HEADS
from audit.evidence.reading import Checkpoint

PLACE = b"\x07"
HEAD = b"\x08"
DEPTH = 24
"""Bits of a place, at least: more where two logs would meet."""
SALT = 16

Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


# -- The prefix tree of a round


@dataclass(frozen=True)
class Placed:
    """Where a head is in the tree: the salt of its leaf, and the hashes from there to the root."""

    salt: bytes
    path: list[bytes]


def place_of(origin: str) -> int:
    """256 bits, of which the first ones say where a log is."""
    return int.from_bytes(hashlib.sha256(PLACE + origin.encode()).digest(), "big")


def head_hash(salt: bytes, text: str) -> bytes:
    return hashlib.sha256(HEAD + salt + text.encode()).digest()


def tree_of(texts: Mapping[uuid.UUID, str]) -> tuple[bytes, dict[uuid.UUID, Placed]]:
    """The root of the tree of these checkpoints' texts, and where each of them is."""
    salts = {key: secrets.token_bytes(SALT) for key in texts}
    # It is known here and nowhere else, and then to nobody: what is empty cannot be told.
    empties = secrets.token_bytes(32)
    entries = sorted((place_of(text.split("\n", 1)[0]), key) for key, text in texts.items())
    places = [place for place, _ in entries]
    paths: dict[uuid.UUID, list[bytes]] = {key: [] for key in texts}

    def node(first: int, past: int, depth: int, prefix: int) -> bytes:
        """The hash at a prefix of so many bits, below which these entries are."""
        if first == past:
            return hmac.digest(
                empties, depth.to_bytes(2, "big") + prefix.to_bytes(32, "big"), "sha256"
            )
        if past - first == 1 and depth >= DEPTH:
            key = entries[first][1]
            return head_hash(salts[key], texts[key])
        bound = (2 * prefix + 1) << (255 - depth)
        middle = bisect_left(places, bound, first, past)
        left = node(first, middle, depth + 1, 2 * prefix)
        right = node(middle, past, depth + 1, 2 * prefix + 1)
        for _, key in entries[first:middle]:
            paths[key].append(right)
        for _, key in entries[middle:past]:
            paths[key].append(left)
        return tree.node_hash(left, right)

    root = node(0, len(entries), 0, 0)
    return root, {key: Placed(salts[key], paths[key]) for key in texts}


# -- Rounds, as the worker makes them


class Rounds:
    """Adds a round to the log when its time has come."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._next = 0.0

    def add_if_due(self, now: dt.datetime, refused: Mapping[uuid.UUID, str]) -> bool:
        """Add the round of this time, if it has none. refused: logs that are not signed, whose
        heads are left out."""
        seconds = settings.AUDIT_HEADS_SECONDS
        if seconds <= 0 or HEADS in refused or now.timestamp() < self._next:
            return False
        slot = int(now.timestamp() // seconds)
        self._next = (slot + 1) * seconds
        [(number, at)] = self._rows("SELECT * FROM audit_last_round()", [])
        if at is not None and slot <= int(at.timestamp() // seconds):
            return False
        self._add((number or 0) + 1, dt.datetime.fromtimestamp(slot * seconds, dt.UTC), refused)
        return True

    def _add(self, number: int, at: dt.datetime, refused: Mapping[uuid.UUID, str]) -> None:
        texts: dict[uuid.UUID, str] = {}
        sizes: dict[uuid.UUID, int] = {}
        size, edge = 0, b""
        for organization, head, its_edge, signed, note in self._rows(
            "SELECT * FROM audit_signed_heads()", []
        ):
            if organization == HEADS:
                size, edge = head, bytes(its_edge)
            elif note and organization not in refused:
                texts[organization], sizes[organization] = notes.text_of(note), signed
        if size != number - 1:
            raise RuntimeError(f"round {number} would be entry {size + 1} of the log of heads")
        root, placed = tree_of(texts)
        leaf = as_json.canonical_line(
            {"root": notes.in_base64(root), "time": round(at.timestamp() * 1000), "v": 1}
        )
        hashes = tree.split(edge)
        runs = [
            [str(HEADS), level // tiles.BITS, *divmod(place, tiles.WIDTH), notes.in_base64(full)]
            for level, place, full in tree.append(hashes, size, tree.leaf_hash(leaf.encode()))
            if level % tiles.BITS == 0
        ]
        self._rows(
            "SELECT audit_add_round(%s, %s, %s, %s, %s, %s)",
            [
                number,
                at,
                leaf,
                json.dumps([[str(HEADS), size, number, notes.in_base64(b"".join(hashes)), ""]]),
                json.dumps(runs),
                json.dumps(
                    [
                        [
                            str(key),
                            sizes[key],
                            notes.in_base64(each.salt),
                            notes.in_base64(b"".join(each.path)),
                        ]
                        for key, each in placed.items()
                    ]
                ),
            ],
        )


# -- What an organization gets


class Round(NamedTuple):
    """Where the organization's head is in a round."""

    number: int
    size: int
    salt: bytes
    path: bytes
    leaf: str


def rounds(
    organization: uuid.UUID, *, since: int = 0, most: int = 1, using: str = "default"
) -> list[Round]:
    """Those from a number on, or the newest; the first ones first. Within the tenant scope."""
    if since:
        found = _places(using, organization, "p.round >= %s ORDER BY p.round LIMIT %s", since, most)
    else:
        found = _places(using, organization, "true ORDER BY p.round DESC LIMIT %s", most)
    return sorted(found)


def of_checkpoint(checkpoint: Checkpoint, using: str = "default") -> Round | None:
    """The newest round that has this checkpoint, if there is one."""
    found = _places(
        using,
        checkpoint.organization,
        "p.size = %s ORDER BY p.round DESC LIMIT 1",
        checkpoint.size,
    )
    return found[0] if found else None


def _places(using: str, organization: uuid.UUID, chosen: str, *given: int) -> list[Round]:
    rows = _rows(
        using,
        "SELECT p.round, p.size, p.salt, p.path, r.leaf FROM audit_round_place p"
        " JOIN audit_round r ON r.number = p.round"
        f" WHERE p.organization_id = %s AND {chosen}",
        [organization, *given],
    )
    return [
        Round(number, size, bytes(salt), bytes(path), leaf)
        for number, size, salt, path, leaf in rows
    ]


def files(checkpoint: Checkpoint, using: str = "default") -> dict[str, bytes]:
    """Further files of a pack with this checkpoint: where it is in `heads`, and its last time
    stamp, if these are there. Within the tenant scope."""
    files: dict[str, bytes] = {}
    found, newest = of_checkpoint(checkpoint, using), reading.newest(HEADS, using)
    if found is not None and newest is not None and found.number <= newest.size:
        reading.keep(newest)
        files["heads"] = proof_of(found, newest, using).encode()
    stamps = _rows(
        using,
        "SELECT response FROM audit_stamp WHERE organization_id = %s AND size = %s"
        " ORDER BY stamped_at DESC LIMIT 1",
        [checkpoint.organization, checkpoint.size],
    )
    for (response,) in stamps:
        files["checkpoint.text"] = notes.text_of(checkpoint.note).encode()
        files["checkpoint.tsr"] = bytes(response)
    return files


def covering(organization: uuid.UUID, seq: int) -> Checkpoint | None:
    """The checkpoint that the newest round has, if it covers an entry and the round is signed.
    Within the tenant scope."""
    newest, found = reading.newest(HEADS), rounds(organization)
    if newest is None or not found or found[0].size < seq or found[0].number > newest.size:
        return None
    return reading.of_size(organization, found[0].size)


def proof_of(found: Round, heads: Checkpoint, using: str = "default") -> str:
    """The round's leaf in the log of heads, with the organization's place in it: a tlog-proof."""
    path = tree.inclusion(reading.Tree(HEADS, using), found.number - 1, heads.size)
    placed = {
        "leaf": found.leaf,
        "path": [notes.in_base64(each) for each in tree.split(found.path)],
        "salt": found.salt.hex(),
    }
    extra = as_json.canonical_line(placed).encode()
    return notes.proof(found.number - 1, path, heads.note, extra)


def _rows(using: str, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
