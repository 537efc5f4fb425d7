"""Evidence, byte for byte as the vectors have it (tests/vectors)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.entry.bulk_json import Row
from audit.evidence import index, leaf, notes, tiles, tree
from organizations import ulid

VECTORS = Path(__file__).parents[1] / "vectors"
KNOWN: dict[str, Any] = json.loads((VECTORS / "evidence.json").read_text())
LINES = (VECTORS / "evidence.ndjson").read_bytes().split(b"\n")[:-1]
PROOFS: dict[str, Any] = json.loads((VECTORS / "rfc6962-proofs.json").read_text())


def row_of(line: bytes) -> Row:
    """The entry that a line was made of, as far as the line says it."""
    shown = json.loads(line)
    data = shown["leaf"]

    def digits(text: str | None) -> str | None:
        return ulid.parse(text).hex if text else None

    changes = shown["detail"]["changes"]
    if "was" in data["resource"]:
        former, now = (data["resource"][name].rpartition("/")[2] for name in ("was", "label"))
        changes = changes | {"slug": [former, now]}
    label = data["resource"].get("label")
    return Row(
        id=digits(data["id"]) or "",
        organization_id=uuid.UUID(int=7).hex,
        actor_type=data["actor"]["type"],
        actor_id=digits(data["actor"]["id"]),
        actor_label=shown["actor"]["label"],
        action=data["action"],
        resource_type=data["resource"]["type"],
        resource_id=digits(data["resource"]["id"]),
        resource_label=shown["resource"]["label"] if label is None else label,
        result=data["result"],
        ip=shown["origin"]["ip"],
        user_agent=shown["origin"]["user_agent"],
        request_id=digits(shown["origin"]["request_id"]),
        interface=data["interface"],
        changes=json.dumps(changes),
        context=json.dumps(shown["detail"]["context"]),
        seq=str(data["seq"]),
        resource_seq=str(data["resource_seq"]),
        actor_seq=str(data["actor_seq"]),
    )


def leaf_of(line: bytes) -> bytes:
    """The leaf data as it stands in a line."""
    first, *parts = line.removeprefix(b'{"leaf":').split(b",\t")
    return first if parts else first[:-1]


@pytest.fixture(scope="module")
def built() -> list[tuple[bytes, bytes]]:
    """Leaf data and line of each of the vectors' entries, made anew: index commitments too."""
    found: list[tuple[bytes, bytes]] = []
    zones: list[index.Zone] = []
    subjects: list[leaf.Subjects | None] = []
    times: list[int] = []
    for number, line in enumerate(LINES):
        commits = None
        if number and number % index.BLOCK == 0:
            block = number // index.BLOCK - 1
            index.append(zones, block, index.block(block, times, subjects).zone())
            commits = leaf.Index(index.root(zones), block + 1)
            subjects, times = [], []
        if b"\t" not in line:
            data = leaf.removed(number + 1, commits)
            subjects.append(None)
            found.append((data, leaf.bare(data)))
            continue
        row = row_of(line)
        [made] = leaf.from_rows([row])
        shown = json.loads(line)
        salt = bytes.fromhex(shown["salt"])
        parts = made.parts
        if "was" in shown["leaf"]["resource"]:
            # These lines have a former name without the change that it comes from.
            parts = (*parts[:3], leaf.detail("{}", json.dumps(shown["detail"]["context"])))
        data = made.data(leaf.digest(salt, parts), commits)
        subjects.append(made.subjects)
        times.append(int(row.id[:12], 16))
        found.append((data, leaf.line(data, parts, salt)))
    return found


def test_leaves_and_lines_are_those_of_the_vectors(built: list[tuple[bytes, bytes]]) -> None:
    assert len(built) == len(LINES) == 1300
    for (data, line), known in zip(built, LINES, strict=True):
        assert line == known
        assert leaf.PATTERN.fullmatch(data.decode())


def test_roots_are_those_of_the_vectors(built: list[tuple[bytes, bytes]]) -> None:
    roots = {0: tree.root([])}
    edge: list[bytes] = []
    for number, (data, _) in enumerate(built):
        for _ in tree.append(edge, number, tree.leaf_hash(data)):
            pass
        roots[number + 1] = tree.root(edge)
    known = {int(size): digest for size, digest in KNOWN["log"]["roots"].items()}
    assert {size: roots[size].hex() for size in known} == known


def test_one_entry_is_that_of_the_text() -> None:
    salt = bytes.fromhex(KNOWN["salt"])
    parts = tuple(part.encode() for part in KNOWN["parts"])
    salts = leaf.part_salts(salt)
    each = [salts[16 * n : 16 * n + 16] for n in range(4)]
    assert [one.hex() for one in each] == KNOWN["part_salts"]
    assert [
        leaf.commitment(number, one, part).hex()
        for number, (one, part) in enumerate(zip(each, parts, strict=True))
    ] == KNOWN["commitments"]
    data = KNOWN["leaf"].encode()
    assert base64.b64encode(leaf.digest(salt, parts)).decode() in KNOWN["leaf"]  # type: ignore[arg-type]
    assert tree.leaf_hash(data).hex() == KNOWN["leaf_hash"]
    assert leaf.line(data, parts, salt).decode() == KNOWN["line"]
    assert leaf.line(data, parts, salt, redacted=[0, 1]).decode() == KNOWN["line_redacted"]
    hashes = [tree.leaf_hash(leaf_of(line)) for line in LINES]
    assert leaf.withheld(hashes[_withheld_number(hashes)]).decode() == KNOWN["withheld_line"]


def _withheld_number(hashes: list[bytes]) -> int:
    wanted = json.loads(KNOWN["withheld_line"])["leaf"].removeprefix("sha256:")
    return [one.hex() for one in hashes].index(wanted)


def test_the_pattern_refuses_what_is_no_leaf(built: list[tuple[bytes, bytes]]) -> None:
    for text in KNOWN["refuse_leaf"]:
        assert not leaf.PATTERN.fullmatch(text), text
    theirs = re.compile(KNOWN["leaf_pattern"])
    assert theirs.pattern == leaf.PATTERN.pattern


def test_keys_are_those_of_the_vectors() -> None:
    for number, known in KNOWN["keys_of"].items():
        line = LINES[int(number) - 1]
        if b"removed" in line:
            assert known == []
            continue
        [made] = leaf.from_rows([row_of(line)])
        assert sorted(index.keys(made.subjects)) == sorted(known)
    line = KNOWN["line"].encode()
    [made] = leaf.from_rows([row_of(line)])
    assert {
        key: hashlib.sha256(key.encode()).hexdigest() for key in index.keys(made.subjects)
    } == KNOWN["keys"]


def test_tiles_are_those_of_the_vectors(built: list[tuple[bytes, bytes]]) -> None:
    hashes = [tree.leaf_hash(data) for data, _ in built]
    assert tiles.path(tiles.Tile(0, 4, 1)) == "0/004.p/1"
    known = KNOWN["tile"]
    level_0_and_1: list[dict[int, bytes]] = [{} for _ in range(9)]
    edge: list[bytes] = []
    for number, one in enumerate(hashes[:1025] if "tile/0/004.p/1" in known else hashes):
        for level, place, root in tree.append(edge, number, one):
            if level % 8 == 0:
                level_0_and_1[level][place] = root
    assert level_0_and_1[0][1024].hex() == known["tile/0/004.p/1"]
    assert tiles.bundle([built[1024][0]]).hex() == known["tile/entries/004.p/1"]


def test_the_checkpoint_is_that_of_the_text() -> None:
    seed = bytes.fromhex(KNOWN["log_key_seed"])
    key = notes.Key(1, Ed25519PrivateKey.from_private_bytes(seed))
    origin, size, root = KNOWN["checkpoint"].split("\n")[:3]
    text = notes.checkpoint_text(origin, int(size), base64.b64decode(root))
    assert notes.signed(text, origin, [key]) == KNOWN["checkpoint"]
    assert notes.text_of(KNOWN["checkpoint"]) == text
    assert notes.vkey(origin, key.public) == KNOWN["vkey"]
