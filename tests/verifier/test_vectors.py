"""The published vectors, byte for byte: what the verifier reads is what the text says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dotenv_cloud import verifier

VECTORS = Path(__file__).parents[1] / "vectors"
EVIDENCE: dict[str, Any] = json.loads((VECTORS / "evidence.json").read_bytes())
PROOFS: dict[str, Any] = json.loads((VECTORS / "rfc6962-proofs.json").read_bytes())
LINES = (VECTORS / "evidence.ndjson").read_bytes().split(b"\n")[:-1]


@pytest.fixture(scope="module")
def entries() -> list[verifier.Entry]:
    return [verifier.read_line(line, number) for number, line in enumerate(LINES, 1)]


def accepts(proof: dict[str, Any], *sizes: str) -> bool:
    """Whether a proof of the other implementation's test data is accepted."""
    hashes = [base64.b64decode(each) for each in proof["proof"] or []]
    first, second = (proof[each] for each in sizes)
    try:
        if "leafHash" in proof:
            leaf, root = (base64.b64decode(proof[each]) for each in ("leafHash", "root"))
            verifier.verify_inclusion(first, second, leaf, hashes, root)
        else:
            root1, root2 = (base64.b64decode(proof[each]) for each in ("root1", "root2"))
            verifier.verify_consistency(first, second, root1, root2, hashes)
    except verifier.Refused:
        return False
    return True


@pytest.mark.parametrize("proof", PROOFS["inclusion"], ids=lambda proof: f"{proof['name']}")
def test_inclusion_as_another_implementation_has_it(proof: dict[str, Any]) -> None:
    assert accepts(proof, "leafIdx", "treeSize") != proof["wantErr"]


@pytest.mark.parametrize("proof", PROOFS["consistency"], ids=lambda proof: f"{proof['name']}")
def test_consistency_as_another_implementation_has_it(proof: dict[str, Any]) -> None:
    assert accepts(proof, "size1", "size2") != proof["wantErr"]


def test_numbers_are_places(entries: list[verifier.Entry]) -> None:
    assert [entry.seq for entry in entries] == [*range(1, len(LINES) + 1)]


def test_roots_of_every_size_given(entries: list[verifier.Entry]) -> None:
    for size, root in EVIDENCE["log"]["roots"].items():
        known = verifier.fold(0, [entry.hash for entry in entries[: int(size)]])
        assert verifier.root_of(int(size), known, ()).hex() == root


def test_roots_from_any_two_halves(entries: list[verifier.Entry]) -> None:
    hashes = [entry.hash for entry in entries]
    size = max(int(size) for size in EVIDENCE["log"]["roots"])
    hashes = hashes[:size]
    for cut in (1, 2, 255, 256, 257, size // 2, size - 1):
        known = verifier.fold(0, hashes[:cut]) | verifier.fold(cut, hashes[cut:])
        assert verifier.root_of(size, known, ()).hex() == EVIDENCE["log"]["roots"][str(size)]


def test_keys_of_entries(entries: list[verifier.Entry]) -> None:
    for number, keys in EVIDENCE["keys_of"].items():
        assert verifier.keys_of(entries[int(number) - 1].leaf) == keys


def test_records_and_index_roots_of_blocks(entries: list[verifier.Entry]) -> None:
    blocks = EVIDENCE["log"]["index"]
    zones = [
        verifier.index_block(block, entries[256 * block : 256 * block + 256])
        for block in range(len(blocks))
    ]
    for zone, (size, said) in zip(zones, blocks.items(), strict=True):
        assert zone == (bytes.fromhex(said["record"]), said["min"], said["max"]), size
    roots = [root.hex() for root in verifier.index_roots(zones)]
    assert roots == [said["index_root"] for said in blocks.values()]


def test_index_leaves_commit_to_the_index(entries: list[verifier.Entry]) -> None:
    for entry in entries:
        if entry.index_root:
            said = EVIDENCE["log"]["index"][str(entry.seq // 256)]
            assert entry.index_root.hex() == said["index_root"]
    assert any(entry.index_root for entry in entries)


@pytest.mark.parametrize("walk", EVIDENCE["walks"], ids=lambda walk: str(walk["key"].split("\n")))
def test_walks(walk: dict[str, Any], entries: list[verifier.Entry]) -> None:
    blocks = (walk["size"] - 1) // 256
    read = verifier.Walk(blocks, [walk["key"]], walk["since"], walk["until"])
    assert read.root(walk["index"]) == entries[blocks * 256].index_root
    full = {number for number in walk["all_with_key"] if number <= blocks * 256}
    inside = {n for n in full if walk["since"] <= entries[n - 1].time < walk["until"]}
    assert inside <= {*read.named} <= full


def test_the_example_entry() -> None:
    entry = verifier.read_line(EVIDENCE["line"].encode(), 1)
    assert entry.hash.hex() == EVIDENCE["leaf_hash"]
    assert entry.data.decode() == EVIDENCE["leaf"]
    assert [part.decode() for part in entry.parts] == EVIDENCE["parts"]
    line = EVIDENCE["line_redacted"]
    redacted = verifier.read_line(line.encode(), 1)
    assert redacted.hash == entry.hash
    assert len(redacted.redacted) == line.count("sha256:") > 0
    for part, value in enumerate(EVIDENCE["parts"]):
        assert (redacted.part(part) is None) == (part in redacted.redacted), value


def test_a_withheld_line_is_the_hash_of_its_leaf(entries: list[verifier.Entry]) -> None:
    withheld = verifier.read_line(EVIDENCE["withheld_line"].encode(), 1)
    assert withheld.hash in {entry.hash for entry in entries} and not withheld.data


def test_the_example_checkpoint() -> None:
    key, witness = (verifier.Key.parse(EVIDENCE[each]) for each in ("vkey", "witness_vkey"))
    note = (EVIDENCE["checkpoint"] + EVIDENCE["cosignature"]).encode()
    checkpoint = verifier.read_checkpoint(note, [key], [witness])
    assert (checkpoint.size, checkpoint.root.hex()) == (1, EVIDENCE["leaf_hash"])
    assert checkpoint.signed_by == (key,)
    [(name, _)] = checkpoint.cosigned
    assert name == witness.name


@pytest.mark.parametrize("leaf", EVIDENCE["refuse_leaf"])
def test_leaves_to_refuse(leaf: str) -> None:
    with pytest.raises(verifier.Refused):
        verifier.read_leaf(leaf.encode())


@pytest.mark.parametrize("line", EVIDENCE["refuse_line"])
def test_lines_to_refuse(line: str) -> None:
    with pytest.raises(verifier.Refused):
        verifier.read_line(line.encode(), 1)


def test_leaves_with_anything_at_their_limits() -> None:
    leaf = (
        '{"action":"delete","actor":{"id":"01HZX3J5C8M4Q2V7T9W0Y6B1DE","type":"user"},'
        '"actor_seq":7,"id":"01KBKQ0ZG0ABCDEFGHJKMNPQRS","interface":"web","parts":'
        '"zk47cecRokGcqtBLjgli86EC86pJALqnDWnVq2zTz/4=","resource":{"id":'
        '"01J0A2B3C4D5E6F7G8H9J0K1M2","label":"my-app/production","type":"target"},'
        '"resource_seq":3,"result":"success","seq":1,"v":1}'
    )
    assert verifier.read_leaf(leaf.encode()).seq == 1
    refused = (
        leaf.replace('"seq":1,', '"seq":9007199254740992,'),
        leaf.replace('"actor_seq":7', '"actor_seq":9007199254740992'),
        leaf.replace("my-app", "x" * 16_000),
        leaf.replace("my-app", "\\ud800"),
        leaf.replace("my-app", "\\/"),
        leaf.replace("my-app", "\\u000A"),
        leaf.replace("my-app", "\\u000a"),
        leaf.replace('"01HZX3', '"81HZX3'),
        leaf.replace("/4=", "/5="),
        leaf + "\n",
        " " + leaf,
    )
    for each in refused:
        assert each != leaf
        with pytest.raises(verifier.Refused):
            verifier.read_leaf(each.encode())
    with pytest.raises(verifier.Refused):
        verifier.read_leaf(leaf.encode().replace(b"my-app", b"\xff"))
    accepted = leaf.replace("my-app", "\\u000b\\n\x7f\u2028😀").replace(
        '"seq":1,', f'"seq":{2**53 - 1},'
    )
    assert verifier.read_leaf(accepted.encode()).seq == 2**53 - 1
