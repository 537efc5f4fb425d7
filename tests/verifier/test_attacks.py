"""Every way to tamper that docs/evidence.md lists is refused, and the message says where.

The numbers are those of the table there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from dotenv_cloud import verifier
from dotenv_cloud.verifier import packs
from tests.verifier import making
from tests.verifier.conftest import APP, FROM, SINCE, TO, UNTIL, Verify, holds, refused
from tests.verifier.making import (
    DAY,
    NOVEMBER,
    ORIGIN,
    WITNESS,
    Log,
    Signer,
    b64,
    canonical,
    consistency,
    inclusion,
    joined,
    outer,
    root,
    sha,
)

Files = dict[str, bytes]
FIRST = "entries/000000000000.ndjson"
QUESTION = (*APP, *SINCE, *UNTIL)


def changed(files: Files, name: str, change: Callable[[bytes], bytes]) -> Files:
    after = change(files[name])
    assert after != files[name], "the test changes nothing"
    return files | {name: after}


def with_json(files: Files, name: str, change: Callable[[Any], Any]) -> Files:
    value = json.loads(files[name])
    value = change(value) or value
    return changed(files, name, lambda _: canonical(value))


def with_lines(files: Files, name: str, change: Callable[[list[bytes]], Any]) -> Files:
    lines = files[name].split(b"\n")[:-1]
    change(lines)
    return changed(files, name, lambda _: joined(lines))


def again(log: Log, number: int, **settings: Any) -> bytes:
    """Another entry in the place of `number`, with leaf, parts and salt that agree."""
    other = Log(log.entries[: number - 1], index_from=1 << 40)
    other.entries = list(other.entries)
    return other.add(**settings).line


@pytest.fixture(scope="session")
def whole(log: Log) -> Files:
    return log.range()


def test_untouched_packs_hold(log: Log, whole: Files, asked: Files, verify: Verify) -> None:
    holds(verify(whole), "Entries 1 to 700 are all here")
    holds(verify(whole, "--whole"), "Every index is that of its entries.")
    said = verify(asked, *QUESTION, "--witness", WITNESS.vkey)
    holds(said, "Nothing was altered, removed, inserted or moved.")


# --- entries and their parts ---


def test_1_a_value_of_a_part(whole: Files, verify: Verify) -> None:
    tampered = changed(whole, FIRST, lambda data: data.replace(b"jane@", b"joan@", 1))
    refused(verify(tampered), f"{FIRST}, entry 1: its parts are not those that the leaf commits to")


def test_2_a_value_of_the_leaf(whole: Files, verify: Verify) -> None:
    tampered = with_lines(
        whole, FIRST, lambda lines: lines.__setitem__(4, lines[4].replace(b"delete", b"update"))
    )
    refused(verify(tampered), "the entries do not lead to the root of the checkpoint")


def test_3_leaf_parts_and_salt_made_anew(log: Log, whole: Files, verify: Verify) -> None:
    line = again(log, 5, path="my-app/staging")
    tampered = with_lines(whole, FIRST, lambda lines: lines.__setitem__(4, line))
    refused(verify(tampered), "the entries do not lead to the root of the checkpoint")


def test_4_an_entry_removed(whole: Files, verify: Verify) -> None:
    tampered = with_lines(whole, FIRST, lambda lines: lines.pop(9))
    refused(verify(tampered), f"{FIRST}, entry 10: in its place stands entry 11")


def test_5_the_last_entry_removed(log: Log, whole: Files, verify: Verify) -> None:
    cut = with_lines(whole, FIRST, lambda lines: lines.pop())
    refused(verify(cut), f"{FIRST}, entry 700: it is missing")
    cut = with_json(cut, "pack.json", lambda said: said.update(entries=699))
    refused(verify(cut), "entries: the proof lacks a hash")


@pytest.mark.parametrize("place", [9, 700])
def test_6_an_entry_doubled(place: int, whole: Files, verify: Verify) -> None:
    tampered = with_lines(whole, FIRST, lambda lines: lines.insert(place, lines[place - 1]))
    message = "in its place stands entry 9" if place < 700 else "more than the pack says"
    refused(verify(tampered), f"{FIRST}, entry {place + 1}: ", message)


def swap(lines: list[bytes]) -> None:
    lines[20], lines[21] = lines[21], lines[20]


def test_7_two_entries_exchanged(whole: Files, verify: Verify) -> None:
    refused(verify(with_lines(whole, FIRST, swap)), f"{FIRST}, entry 21: in its place stands")


def test_8_two_entries_exchanged_with_their_numbers(whole: Files, verify: Verify) -> None:
    def renumbered(lines: list[bytes]) -> None:
        swap(lines)
        for place in (20, 21):
            other, own = 41 - place + 1, place + 1
            lines[place] = lines[place].replace(b'"seq":%d,"v"' % other, b'"seq":%d,"v"' % own)

    refused(verify(with_lines(whole, FIRST, renumbered)), "do not lead to the root")


def test_9_a_salt_altered(log: Log, whole: Files, verify: Verify) -> None:
    tampered = with_lines(
        whole, FIRST, lambda lines: lines.__setitem__(2, lines[2][:-4] + b"00" + lines[2][-2:])
    )
    refused(verify(tampered), f"{FIRST}, entry 3: its parts are not those")


def test_10_two_parts_exchanged(whole: Files, verify: Verify) -> None:
    def exchange(lines: list[bytes]) -> None:
        pieces = lines[2].split(b"\t")
        actor, origin = pieces[1][8:], pieces[2][9:]
        lines[2] = b"\t".join([pieces[0], b'"actor":' + origin, b'"origin":' + actor, *pieces[3:]])

    refused(verify(with_lines(whole, FIRST, exchange)), f"{FIRST}, entry 3: its parts are not")


def test_11_redacted_by_a_hash_of_ones_own(log: Log, whole: Files, verify: Verify) -> None:
    line = log.entries[2].redacted(0)
    found = line.index(b"sha256:") + 7
    forged = line[:found] + b"0" * 64 + line[found + 64 :]
    tampered = with_lines(whole, FIRST, lambda lines: lines.__setitem__(2, forged))
    refused(verify(tampered), f"{FIRST}, entry 3: its parts are not those")


def test_12_another_part_redacted_than_said(log: Log, whole: Files, verify: Verify) -> None:
    head, *parts, _ = log.entries[2].redacted(0).split(b"\t")
    salts = log.entries[2].redacted(1).split(b"\t")[-1]
    line = b"\t".join([head, *parts, salts])
    tampered = with_lines(whole, FIRST, lambda lines: lines.__setitem__(2, line))
    refused(verify(tampered), f"{FIRST}, entry 3: what is redacted is not what has no salt")


def test_redacted_parts_are_counted(log: Log, whole: Files, verify: Verify) -> None:
    lines = log.entries[2].redacted(0), log.entries[3].redacted(0, 1)
    redacted = with_lines(whole, FIRST, lambda all_: all_.__setitem__(slice(2, 4), lines))
    holds(verify(redacted), "2 of them have redacted parts: actor (2), origin (1).")


def test_13_a_second_member_in_the_leaf(whole: Files, verify: Verify) -> None:
    tampered = changed(
        whole, FIRST, lambda data: data.replace(b'"parts":', b'"parts":"","parts":', 1)
    )
    refused(verify(tampered), f"{FIRST}, entry 1: the leaf does not have the form of leaf data")


@pytest.mark.parametrize("more", [b"\t", b'\t"sixth":{},'])
def test_14_a_tab_more(more: bytes, whole: Files, verify: Verify) -> None:
    tampered = changed(whole, FIRST, lambda data: data.replace(b"\t", more + b"\t", 1))
    refused(verify(tampered), f"{FIRST}, entry 1: it is not a line with a leaf, four parts")


# --- the checkpoint ---


def test_15_signed_by_a_stranger_with_the_same_name(log: Log, whole: Files, verify: Verify) -> None:
    stranger = Signer(ORIGIN, seed=sha(b"stranger"))
    refused(
        verify(whole | {"checkpoint": stranger.note(log.text)}),
        "checkpoint: no key that is trusted for this log signed it",
    )


def test_16_a_checkpoint_of_another_log(log: Log, whole: Files, verify: Verify) -> None:
    other = replace(log.signer, name=ORIGIN[:-1] + "Z")
    note = other.note(log.text.replace(ORIGIN, other.name))
    refused(verify(whole | {"checkpoint": note}), "checkpoint: it is a checkpoint of another log")
    note = log.signer.note(log.text.replace(ORIGIN, other.name))
    refused(verify(whole | {"checkpoint": note}), "checkpoint: it is a checkpoint of another log")


SIGNED_TEXTS: dict[str, tuple[Callable[[str], str], str]] = {
    "17 a smaller size": (lambda text: text.replace("\n700\n", "\n699\n"), "entries"),
    "18 a leading zero": (lambda text: text.replace("\n700\n", "\n0700\n"), "decimal"),
    "18 a sign": (lambda text: text.replace("\n700\n", "\n+700\n"), "decimal"),
    "18 other digits": (lambda text: text.replace("\n700\n", "\n٧٠٠\n"), "decimal"),  # noqa: RUF001
    "19 an extension line": (lambda text: text + "more\n", "exactly three lines"),
    "22 another base64": (lambda text: text[:-3] + chr(ord(text[-3]) + 1) + "=\n", "base64"),
    "51 a size of 2^63": (lambda text: text.replace("\n700\n", f"\n{1 << 63}\n"), "decimal"),
    "51 a carriage return": (lambda text: text.replace("\n700\n", "\n700\r\n"), "control"),
    "51 a NUL": (lambda text: text.replace("\n700\n", "\n700\0\n"), "control"),
}


@pytest.mark.parametrize("row", SIGNED_TEXTS)
def test_a_text_of_another_form_although_it_is_signed(
    row: str, log: Log, whole: Files, verify: Verify
) -> None:
    change, message = SIGNED_TEXTS[row]
    text = change(log.text)
    assert text != log.text
    refused(verify(whole | {"checkpoint": log.signer.note(text)}), message)


def test_20_a_signature_cut_off(log: Log, whole: Files, verify: Verify) -> None:
    text = log.text + "\n"
    for short in (4, 40, 67):
        data = log.signer.id + log.signer.private.sign(log.text.encode())
        note = f"{text}— {ORIGIN} {b64(data[:short])}\n".encode()
        message = "cut off" if short == 4 else f"the signature of {ORIGIN} is wrong"
        refused(verify(whole | {"checkpoint": note}), "checkpoint: ", message)
    refused(verify(whole | {"checkpoint": text.encode()}), "checkpoint: it is not a text, an empty")


def test_21_a_wrong_signature_beside_a_right_one(log: Log, whole: Files, verify: Verify) -> None:
    wrong = log.signer.line("something else\n")
    note = log.checkpoint + wrong.encode()
    refused(verify(whole | {"checkpoint": note}), f"checkpoint: the signature of {ORIGIN} is wrong")


def test_48_a_cosignature_with_another_time(log: Log, asked: Files, verify: Verify) -> None:
    line = WITNESS.line(log.text, 1764338400)
    data = line.split(" ")[2]
    later = verifier.from_base64(data.strip())
    later = later[:4] + (1764338401).to_bytes(8, "big") + later[12:]
    note = log.checkpoint + f"— {WITNESS.name} {b64(later)}\n".encode()
    said = verify(asked | {"checkpoint": note}, *QUESTION, "--witness", WITNESS.vkey)
    refused(said, f"checkpoint: the signature of {WITNESS.name} is wrong")


def test_49_a_cosignature_passed_off_as_the_logs(log: Log, whole: Files, verify: Verify) -> None:
    log_as_witness = replace(log.signer, type=4)
    note = f"{log.text}\n{log_as_witness.line(log.text, 1764338400)}".encode()
    refused(verify(whole | {"checkpoint": note}), "no key that is trusted for this log signed it")
    said = verify(whole | {"checkpoint": note}, key=log_as_witness.vkey)
    refused(said, "checkpoint: it is a checkpoint of another log")


def test_a_key_that_signs_without_a_time_is_no_witness(
    log: Log, whole: Files, verify: Verify
) -> None:
    other = replace(WITNESS, type=1)
    note = log.checkpoint + other.line(log.text).encode()
    said = verify(whole | {"checkpoint": note}, "--witness", other.vkey)
    refused(said, f"Too few witnesses saw this checkpoint; missing: {other.name}.")


def test_a_log_and_a_witness_that_sign_with_ml_dsa(log: Log, whole: Files, verify: Verify) -> None:
    mine, theirs = (MLDSA44PrivateKey.from_seed_bytes(sha(name)) for name in (b"log", b"witness"))
    keys = [
        verifier.Key(name, verifier.ML_DSA_44, private.public_key().public_bytes_raw())
        for name, private in ((ORIGIN, mine), (WITNESS.name, theirs))
    ]
    vkeys = [f"{key.name}+{key.id.hex()}+{b64(bytes([6]) + key.public)}" for key in keys]

    def line(key: verifier.Key, private: MLDSA44PrivateKey, time: int, size: int = 700) -> bytes:
        name, log_name = key.name.encode(), ORIGIN.encode()
        message = b"subtree/v1\n\0" + bytes([len(name)]) + name + time.to_bytes(8, "big")
        message += bytes([len(log_name)]) + log_name + bytes(8) + size.to_bytes(8, "big")
        signature = private.sign(message + root(log.hashes))
        signed = b64(key.id + time.to_bytes(8, "big") + signature)
        return f"— {key.name} {signed}\n".encode()

    text = log.text.encode() + b"\n"
    note = text + line(keys[0], mine, 1764338400) + line(keys[1], theirs, 1764338400)
    said = verify(whole | {"checkpoint": note}, "--witness", vkeys[1], key=vkeys[0])
    holds(said, f"cosigned 2025-11-28 14:00:00 UTC by {WITNESS.name}")
    said = verify(whole | {"checkpoint": note}, key=vkeys[1])
    refused(said, "checkpoint: it is a checkpoint of another log")
    forged = text + line(keys[0], mine, 1764338400, size=701)
    said = verify(whole | {"checkpoint": forged}, key=vkeys[0])
    refused(said, f"checkpoint: the signature of {ORIGIN} is wrong")
    timeless = text + line(keys[0], mine, 0) + line(keys[1], theirs, 0)
    said = verify(whole | {"checkpoint": timeless}, "--witness", vkeys[1], key=vkeys[0])
    refused(said, "Too few witnesses saw this checkpoint")


def test_51_a_cosignature_of_the_future(log: Log, whole: Files, verify: Verify) -> None:
    note = log.cosigned(1 << 40, WITNESS)
    said = verify(whole | {"checkpoint": note}, "--witness", WITNESS.vkey)
    refused(said, "checkpoint: a cosignature is of the future")


def test_a_witness_that_is_missing(log: Log, whole: Files, verify: Verify) -> None:
    said = verify(whole, "--witness", WITNESS.vkey)
    refused(said, f"Too few witnesses saw this checkpoint; missing: {WITNESS.name}.")
    other = Signer("witness.example.net/w2", 4, sha(b"another"))
    both = ("--witness", WITNESS.vkey, "--witness", other.vkey)
    cosigned = whole | {"checkpoint": log.cosigned(1764338400, WITNESS)}
    refused(verify(cosigned, *both), f"missing: {other.name}.")
    holds(verify(cosigned, *both, "--at-least", "1"), f"by {WITNESS.name}")


def test_a_key_of_another_form_is_a_usage_error(whole: Files, verify: Verify) -> None:
    vkey = Log().signer.vkey
    for wrong in (vkey.replace("+c285d06c+", "+c285d06d+"), vkey[:-4], "no-such-file"):
        said = verify(whole, key=wrong)
        assert said.code == 2 and "OK" not in said.out + said.err, said


# --- packs ---


def test_23_a_pack_that_begins_later(log: Log, whole: Files, verify: Verify) -> None:
    tampered = with_json(whole, "pack.json", lambda said: said.update(first=256, entries=444))
    refused(verify(tampered), "entries/000000000256.ndjson: it is missing")
    moved = {k: v for k, v in tampered.items() if k != FIRST}
    lines = [entry.line for entry in log.entries[256:]]
    moved["entries/000000000256.ndjson"] = joined(lines)
    refused(verify(moved), "entries: the proof lacks a hash")
    holds(verify(log.range(256)), "Entries 257 to 700 are all here")
    refused(verify(log.range(256), *APP), "Only entries 257 to 700 are in it.")


def test_24_an_answer_left_out(asked: Files, verify: Verify) -> None:
    for place, number in ((1, 120), (3, 301)):
        cut = with_lines(asked, "entries.ndjson", lambda lines: lines.pop(place))  # noqa: B023
        refused(verify(cut, *QUESTION), f"entries.ndjson, entry {number}: the index names another")
    last = with_lines(asked, "entries.ndjson", lambda lines: lines.__delitem__(slice(4, None)))
    refused(verify(last, *QUESTION), "entries.ndjson, entry 310: the index names it, and it is")


def test_24_an_answer_of_the_tail_left_out(log: Log, asked: Files, verify: Verify) -> None:
    cut = with_lines(asked, "entries.ndjson", lambda lines: lines.pop())
    refused(verify(cut, *QUESTION), "tail.ndjson, entry 640: ")


def test_25_an_entry_of_another_thing_added(log: Log, asked: Files, verify: Verify) -> None:
    other = log.entries[6].line
    for place in (0, 3):
        more = with_lines(asked, "entries.ndjson", lambda lines: lines.insert(place, other))  # noqa: B023
        refused(verify(more, *QUESTION), "entries.ndjson, entry ", "the index names another entry")
    more = with_lines(asked, "entries.ndjson", lambda lines: lines.append(log.entries[650].line))
    refused(verify(more, *QUESTION), "entries.ndjson, entry 651: the index does not name it")


def zones(log: Log) -> list[Any]:
    """Both blocks of the log are open; this skips the second."""
    hashed, since, until = log.zone(1, 2)
    return [b64(hashed), since, until]


def test_26_a_block_of_the_window_skipped(log: Log, asked: Files, verify: Verify) -> None:
    skipped = with_json(asked, "index.json", lambda walk: walk.__setitem__(2, zones(log)))
    refused(verify(skipped, *QUESTION), "index.json, entry 257: a part of the window is skipped")


def test_27_the_times_of_a_skipped_part_altered(log: Log, verify: Verify) -> None:
    question = ("--since", "2025-11-01", "--until", "2025-11-02", *APP, "--as-of")
    pack = log.filter("path\nmy-app/production", since=NOVEMBER, until=FROM)
    holds(verify(pack, *question), "1 has the path")
    walk = json.loads(pack["index.json"])
    assert len(walk[2]) == 3
    walk[2][2] += 1
    said = verify(pack | {"index.json": canonical(walk)}, *question)
    refused(said, "index.json: it does not lead to the index in entry 513")


def test_28_skipped_with_times_of_ones_own(log: Log, asked: Files, verify: Verify) -> None:
    walk = json.loads(asked["index.json"])
    walk[2] = [zones(log)[0], TO + DAY, TO + 2 * DAY]
    cut = [entry.line for entry in log.entries[:512] if "path\nmy-app/production" in entry.keys]
    kept = [line for line in asked["entries.ndjson"].split(b"\n")[:-1] if line not in cut[2:]]
    tampered = asked | {"index.json": canonical(walk), "entries.ndjson": joined(kept)}
    refused(verify(tampered, *QUESTION), "index.json: it does not lead to the index in entry 513")


def test_29_absence_by_neighbours_that_are_not_adjacent(log: Log, verify: Verify) -> None:
    key, table = "path\nmy-app/production", log.table(0)
    wanted = sha(key.encode())
    place = [hashed for hashed, _ in table].index(wanted)
    hashes = [sha(b"\x02", hashed, offsets) for hashed, offsets in table]
    walk = json.loads(log.filter(key)["index.json"])
    for known in ({place - 1, place + 1}, {place - 2, place - 1}, {place + 1}, {place - 1}):
        given = [[b64(table[each][0]), b64(table[each][1])] for each in sorted(known)]
        around = [b64(each) for each in outer(hashes, known)]
        walk[1][4:7] = [min(known), given, around]
        said = verify(log.filter(key) | {"index.json": canonical(walk)}, *APP)
        refused(said, "index.json, entry 1: ")


def test_30_a_posting_removed(asked: Files, verify: Verify) -> None:
    def shorter(walk: Any) -> None:
        key = walk[1][5][0]
        key[1] = b64(verifier.from_base64(key[1])[:-2])

    tampered = with_json(asked, "index.json", shorter)
    refused(verify(tampered, *QUESTION), "index.json, entry 1: the keys of a block lead to")


def test_30_a_posting_removed_from_the_only_key(log: Log, verify: Verify) -> None:
    pack = log.filter("action\ndelete")

    def shorter(walk: Any) -> None:
        key = walk[1][5][0]
        key[1] = b64(verifier.from_base64(key[1])[:-2])

    cut = with_lines(with_json(pack, "index.json", shorter), "entries.ndjson", lambda e: e.pop(1))
    refused(
        verify(cut, "--action", "delete"), "index.json: it does not lead to the index in entry 513"
    )


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_31_a_number_altered(place: int, log: Log, verify: Verify) -> None:
    pack = log.filter("action\ndelete")

    def more(walk: Any) -> None:
        walk[1][place] -= 1

    said = verify(with_json(pack, "index.json", more), "--action", "delete")
    refused(said, "index.json")


def test_32_an_index_of_an_earlier_size(log: Log, asked: Files, verify: Verify) -> None:
    early = Log(log.entries[:300])
    walk = early.walk(1, FROM, TO, ["path\nmy-app/production"])
    said = verify(asked | {"index.json": canonical(walk)}, *QUESTION)
    refused(said, "index.json", "the walk does not have the shape of the tree")
    earlier = early.filter("path\nmy-app/production", since=FROM, until=TO)
    said = verify(earlier | {"checkpoint": log.checkpoint}, *QUESTION)
    refused(said, "index.json", "the walk does not have the shape of the tree")


def test_33_the_tail_cut(asked: Files, verify: Verify) -> None:
    cut = with_lines(asked, "tail.ndjson", lambda lines: lines.pop())
    refused(verify(cut, *QUESTION), "tail.ndjson, entry 700: it is missing")
    cut = with_lines(asked, "tail.ndjson", lambda lines: lines.pop(30))
    refused(verify(cut, *QUESTION), "tail.ndjson, entry 543: in its place stands entry 544")
    more = with_lines(asked, "tail.ndjson", lambda lines: lines.append(lines[-1]))
    refused(verify(more, *QUESTION), "tail.ndjson: there is more than the tail")


def test_34_another_key(log: Log, verify: Verify) -> None:
    other = log.filter("path\nmy-app/staging", since=FROM, until=TO)
    refused(verify(other, *QUESTION), "pack.json: it answers another key than was asked")
    said = with_json(other, "pack.json", lambda said: said.update(key="path\nmy-app/production"))
    refused(verify(said, *QUESTION), "index.json, entry 1: neither the key is given nor both")


def test_35_a_shorter_window(log: Log, verify: Verify) -> None:
    shorter = log.filter("path\nmy-app/production", since=FROM, until=TO - DAY)
    message = "pack.json: it answers another window, from 2025-11-02 to 2025-11-04"
    refused(verify(shorter, *QUESTION), message)
    said = with_json(shorter, "pack.json", lambda said: said.update(until=TO))
    assert verify(said, *QUESTION).code == 7


def test_36_a_hash_of_the_proof_altered(asked: Files, verify: Verify) -> None:
    tampered = changed(asked, "proof", lambda data: bytes([data[0] ^ 1]) + data[1:])
    refused(verify(tampered, *QUESTION), "proof: the entries do not lead to the root")


def test_37_a_hash_more_than_needed(asked: Files, verify: Verify) -> None:
    longer = changed(asked, "proof", lambda data: data + bytes(32))
    refused(verify(longer, *QUESTION), "proof: the proof has a hash more than needed")
    shorter = changed(asked, "proof", lambda data: data[:-1])
    refused(verify(shorter, *QUESTION), "proof: the proof lacks a hash")


# --- proofs of one entry, and of consistency ---


def test_38_to_42_inclusion(log: Log) -> None:
    hashes, index = log.hashes[:600], 37
    top, proof, leaf = root(hashes), inclusion(hashes, index), hashes[index]
    verifier.verify_inclusion(index, 600, leaf, proof, top)
    inner = sha(b"\x01", hashes[36], hashes[37])
    forged: list[tuple[int, bytes, list[bytes]]] = [
        (600, leaf, proof),
        (-1, leaf, proof),
        (36, leaf, proof),
        (18, inner, proof[1:]),
        (index, sha(b"\x00", hashes[36] + hashes[37]), proof[1:]),
        (index, leaf, [*proof, bytes(32)]),
        (index, leaf, proof[:-1]),
        (index, leaf, [proof[0][:31], *proof[1:]]),
    ]
    for where, hashed, hashes_given in forged:
        with pytest.raises(verifier.Refused):
            verifier.verify_inclusion(where, 600, hashed, hashes_given, top)


def test_the_proof_of_one_entry(log: Log, verify: Verify) -> None:
    proof = log.proof(5)
    holds(verify(proof), "The entry is number 5 of the log, as it was sealed: delete,")
    refused(verify(proof.replace(b"index 4", b"index 5")), "the line, entry 6: it is of entry 5")
    refused(verify(log.proof(5, extra=False)), "the line, entry 5: the leaf does not have the form")
    lines = proof.split(b"\n")
    refused(verify(b"\n".join(lines[:3] + lines[4:])), "the proof, entry 5: the proof lacks a hash")
    lines[3], lines[4] = lines[4], lines[3]
    refused(verify(b"\n".join(lines)), "the proof, entry 5: the proof does not lead to the root")
    other = log.entries[4].line.replace(b"jane@", b"joan@")
    tampered = proof.replace(b64(log.entries[4].line).encode(), b64(other).encode())
    refused(verify(tampered), "the line, entry 5: its parts are not those")


def test_43_to_47_consistency(log: Log) -> None:
    hashes = log.hashes[:600]
    other = [*hashes[:10], bytes(32), *hashes[11:]]
    proof = consistency(hashes, 300)
    verifier.verify_consistency(300, 600, root(hashes[:300]), root(hashes), proof)
    forged: list[tuple[int, int, bytes, bytes, list[bytes]]] = [
        (300, 600, root(other[:300]), root(hashes), proof),
        (600, 600, root(other), root(hashes), []),
        (0, 600, bytes(32), root(hashes), []),
        (600, 300, root(hashes), root(hashes[:300]), proof),
        (300, 600, root(hashes[:300]), root(hashes), proof[:-1]),
        (300, 600, root(hashes[:300]), root(hashes), []),
        (256, 600, root(hashes[:256]), root(other), consistency(other, 256)[:-1]),
    ]
    for size1, size2, root1, root2, given in forged:
        with pytest.raises(verifier.Refused):
            verifier.verify_consistency(size1, size2, root1, root2, given)


# --- what only somebody with all entries sees ---


def test_50_a_wrong_index_signed_from_the_first_day(verify: Verify) -> None:
    log = Log().fill(256)
    log.add()
    wrong = json.loads(log.entries[256].leaf)
    wrong["index"]["root"] = b64(bytes(32))
    good = log.entries[256]
    leaf = canonical(wrong)
    log.entries[256] = replace(good, leaf=leaf, line=good.line.replace(good.leaf, leaf))
    log.fill(10)
    holds(verify(log.range()), "Entries 1 to 267 are all here")
    message = "entries, entry 257: its index is not that of the entries before"
    refused(verify(log.range(), "--whole"), message)
    said = verify(log.filter("path\nmy-app"), "--resource", "my-app")
    refused(said, "index.json: it does not lead to the index in entry 257")


# --- later rows ---


@pytest.mark.parametrize("size", [30, 34])
def test_a_salt_of_another_length(size: int, log: Log, whole: Files, verify: Verify) -> None:
    line = log.entries[2].line
    salt = (line[-34:-2] + b"00")[:size]
    tampered = with_lines(
        whole, FIRST, lambda lines: lines.__setitem__(2, line[:-34] + salt + b'"}')
    )
    refused(
        verify(tampered),
        f"{FIRST}, entry 3: it is not a line with a leaf, four parts and their salt",
    )


def test_a_salt_in_upper_case(whole: Files, verify: Verify) -> None:
    tampered = with_lines(
        whole, FIRST,
        lambda lines: lines.__setitem__(2, lines[2][:-34] + lines[2][-34:-2].upper() + b'"}'),
    )  # fmt: skip
    refused(
        verify(tampered),
        f"{FIRST}, entry 3: it is not a line with a leaf, four parts and their salt",
    )


def test_a_window_later_than_the_checkpoint(log: Log, verify: Verify) -> None:
    december = ("--since", "2025-12-01", "--until", "2026-01-01")
    pack = log.filter("path\nmy-app", since=NOVEMBER + 30 * DAY, until=NOVEMBER + 61 * DAY)
    said = verify(pack, "--resource", "my-app", *december)
    refused(said, "It is not shown that the window was over; the log had come to 2025-11-07 ")
    assert "none has the path my-app or below" in said.out
    holds(verify(pack, "--resource", "my-app", *december, "--as-of"), "This is so as of entry 700")
    claimed = with_json(pack, "pack.json", lambda manifest: manifest.update(request=700))
    refused(verify(claimed, "--resource", "my-app", *december), "It is not shown that the window")
    claimed = with_json(pack, "pack.json", lambda manifest: manifest.update(request=640))
    refused(verify(claimed, "--resource", "my-app", *december), "pack.json: its request is not an")


def test_a_name_renamed_away(verify: Verify) -> None:
    log = Log()
    log.fill(20).add("new-app", "update", type="project", was="my-app")
    log.fill(300, path="new-app/production")
    said = verify(log.filter("path\nmy-app/production"), *APP)
    holds(said, "Entry 21: my-app was renamed to new-app at 2025-11-01 00:00:21 UTC; ask for")
    assert "ask for new-app/production too." in said.out
    hidden = log.filter("path\nmy-app/production")
    hidden = with_lines(hidden, "entries.ndjson", lambda lines: lines.pop())
    refused(verify(hidden, *APP), "entries.ndjson, entry 21: the index names it, and it is missing")
    other = verify(log.filter("path\nnew-app/staging"), "--resource", "new-app/staging")
    holds(other, "new-app/staging or below; neither it nor new-app was renamed.")


def test_removed_entries_only_before_evidence_began(verify: Verify) -> None:
    log = Log()
    for _ in range(3):
        log.remove()
    log.fill(2)
    refused(verify(log.range()), "entry 1: it was removed, and not before evidence began")
    began = {"context": {"size": 5, "root": b64(root(log.hashes))}}
    log.add("audit_log", "evidence_began", type="audit_log", resource=None, **began)  # type: ignore[arg-type]
    holds(verify(log.range()), "3 entries before number 6 were removed before evidence began.")
    part = log.range(0, 4)
    refused(verify(part), "entry 1: it was removed, and not before evidence began")
    part["removed.json"] = canonical([log.proved(6)])
    holds(verify(part), "3 entries before number 6")
    forged = log.proved(6)
    forged["proof"].reverse()
    refused(verify(part | {"removed.json": canonical([forged])}), "removed.json: ")
    redacted = log.proved(6) | {"line": log.entries[5].redacted(3).decode()}
    said = verify(part | {"removed.json": canonical([redacted])})
    refused(said, "removed.json: the detail of an entry about the log itself is redacted")
    log.remove()
    refused(verify(log.range()), "entry 7: it was removed, and not before evidence began")


def test_blocks_with_removed_entries_are_always_opened(verify: Verify) -> None:
    log = Log()
    for number in range(300):
        log.remove() if number in (3, 200) else log.add(time=NOVEMBER)
    log.add("audit_log", "evidence_began", type="audit_log", resource=None)
    log.fill(250, path="other")
    question = ("--resource", "my-app", "--since", "2025-12-01", "--as-of")
    pack = log.filter("path\nmy-app", since=NOVEMBER + 30 * DAY)
    pack["removed.json"] = canonical([log.proved(301)])
    holds(verify(pack, *question), "none has the path my-app or below")
    hashed = log.zone(0, 1)[0]
    walk = json.loads(pack["index.json"])
    assert walk[1][0] == 254
    walk[1] = [b64(hashed), NOVEMBER, NOVEMBER]
    said = verify(pack | {"index.json": canonical(walk)}, *question)
    refused(said, "entries.ndjson")
    pack["entries.ndjson"] = b""
    walk_only = pack | {"index.json": canonical(walk), "proof": b""}
    refused(verify(walk_only, *question), "index.json: it does not lead to the index in entry 513")


def test_an_opened_block_with_removed_entries_and_times_of_its_own(verify: Verify) -> None:
    """Its record says that it has fewer than 256 entries, and the latest times there are."""
    log = Log()
    for number in range(300):
        log.remove() if number == 3 else log.add(time=NOVEMBER)
    log.add("audit_log", "evidence_began", type="audit_log", resource=None)
    began = {"removed.json": canonical([log.proved(301)])}
    pack = log.filter("path\nmy-app") | began
    holds(verify(pack, "--resource", "my-app"), "299 have the path my-app or below")
    for own in ([256, 0, (1 << 48) - 1], [255, NOVEMBER, NOVEMBER]):
        walk = json.loads(pack["index.json"])
        assert walk[0][:3] == [255, 0, (1 << 48) - 1]
        walk[0][:3] = own
        said = verify(pack | {"index.json": canonical(walk)}, "--resource", "my-app")
        refused(said, "index.json: it does not lead to the index in entry 257")


def test_a_gap_is_reported(log: Log, verify: Verify) -> None:
    pack = log.filter("action\ndelete")
    walk = json.loads(pack["index.json"])
    walk[1] = [b64(log.zone(0, 1)[0]), *log.zone(0, 1)[1:], "gap"]
    known = {*range(512, 700), *(n - 1 for n in (300, 301))}
    pack = with_lines(pack, "entries.ndjson", lambda lines: lines.__delitem__(slice(0, 2)))
    pack |= {"index.json": canonical(walk), "proof": b"".join(outer(log.hashes, known))}
    said = verify(pack, "--action", "delete")
    refused(
        said,
        "Not complete between 2025-11-01 00:14:24 and 2025-11-03 ",
        "entries 1 … 256.",
    )
    assert "Of entries 1 to 700, 3 have the action delete.\n" in said.out


def test_a_past_forged_by_a_stolen_key(log: Log, verify: Verify, tmp_path: Any) -> None:
    """It counts only if it leads to a checkpoint by the new key."""
    new = Signer(ORIGIN, seed=sha(b"log key 2"))
    later = Log(log.entries, new)
    old = Log(log.entries[:600], log.signer)
    refused(verify(old.range(), key=new.vkey), "no key that is trusted for this log signed it")
    note, proof = tmp_path / "note", tmp_path / "proof"
    note.write_bytes(later.checkpoint)
    lines = ["old 600", *(b64(each) for each in consistency(log.hashes, 600))]
    proof.write_bytes("\n".join(lines).encode() + b"\n\n" + later.checkpoint)
    continued = ("--with", str(note), str(proof))
    holds(verify(old.range(), *continued, key=new.vkey), "Entries 1 to 600 are all here")
    forged = Log([*log.entries[:599]], log.signer, index_from=1 << 40)
    forged.add("my-app/forged")
    said = verify(forged.range(), *continued, key=new.vkey)
    refused(said, "checkpoint: the log of 700 entries does not continue that of 600")
    said = verify(old.range(), *continued)
    refused(said, "checkpoint: no key that is trusted for this log signed it")


def test_who_saw_a_continued_checkpoint_says_when(log: Log, verify: Verify, tmp_path: Any) -> None:
    new = Signer(ORIGIN, seed=sha(b"log key 2"))
    later, old = Log(log.entries, new), Log(log.entries[:600], log.signer)
    note, proof = tmp_path / "note", tmp_path / "proof"
    note.write_bytes(later.checkpoint)
    lines = ["old 600", *(b64(each) for each in consistency(log.hashes, 600))]
    proof.write_bytes("\n".join(lines).encode() + b"\n\n" + later.checkpoint)
    continued = ("--with", str(note), str(proof))

    def seen(signer: Signer, line: str) -> Any:
        pack = old.range() | {"checkpoint": old.checkpoint + line.encode()}
        return verify(pack, *continued, "--witness", signer.vkey, key=new.vkey)

    right = old.cosigned(1764288000, WITNESS).removeprefix(old.checkpoint).decode()
    holds(seen(WITNESS, right), "cosigned 2025-11-28 UTC by")
    future = old.cosigned(1 << 40, WITNESS).removeprefix(old.checkpoint).decode()
    refused(seen(WITNESS, future), "a cosignature is of the future")
    timeless = replace(WITNESS, type=1)
    refused(seen(timeless, timeless.line(old.text)), "Too few witnesses saw this checkpoint")


def test_a_stolen_key_counts_for_what_a_witness_saw_before(log: Log, verify: Verify) -> None:
    new, witness = Signer(ORIGIN, seed=sha(b"log key 2")), ("--witness", WITNESS.vkey)
    stolen = ("--stolen", log.signer.vkey, "2025-11-28")
    before = log.range() | {"checkpoint": log.cosigned(1764287999, WITNESS)}
    after = log.range() | {"checkpoint": log.cosigned(1764288000, WITNESS)}
    holds(verify(before, *stolen, *witness, key=new.vkey), "signed by key c285d06c")
    message = "checkpoint: its key was stolen, and no witness saw it before 2025-11-28"
    refused(verify(after, *stolen, *witness, key=new.vkey), message)
    refused(verify(log.range(), *stolen, key=new.vkey), message)
    refused(verify(after, *stolen, *witness), message)
    both = after["checkpoint"].replace(b"\n\n", b"\n\n" + new.line(log.text).encode())
    holds(verify(after | {"checkpoint": both}, *stolen, *witness, key=new.vkey))


def announcement(number: int, key: Signer, *signers: Signer) -> bytes:
    name = ORIGIN.rpartition("/")[0] + "/keys"
    text = f"{name}\n{number}\n{b64(key.public)}\n2026-01-0{number}\n"
    return (text + "\n" + "".join(replace(each, name=name).line(text) for each in signers)).encode()


def test_a_new_key_is_announced_by_the_old(log: Log, verify: Verify, tmp_path: Any) -> None:
    keys = [Signer(ORIGIN, seed=sha(f"log key {number}".encode())) for number in range(1, 4)]
    pack = Log(log.entries[:100], keys[2]).range()
    second, third = tmp_path / "2", tmp_path / "3"
    chain = ("--rotation", str(second), "--rotation", str(third))
    second.write_bytes(announcement(2, keys[1], keys[0], keys[1]))
    third.write_bytes(announcement(3, keys[2], keys[1], keys[2]))
    holds(verify(pack, *chain), f"signed by key {keys[2].id.hex()}")
    holds(verify(pack, *chain, key=keys[1].vkey))
    holds(verify(pack, *chain, key=keys[2].vkey))
    refused(verify(pack), "no key that is trusted for this log signed it")
    beside = pack | {
        "checkpoint": pack["checkpoint"] + keys[1].line(Log(log.entries[:100]).text).encode()
    }
    refused(verify(beside), "no key that is trusted for this log signed it")
    third.write_bytes(announcement(3, keys[2], keys[2]))
    refused(verify(pack, *chain), "key 3 is not signed by the one before it")
    third.write_bytes(announcement(4, keys[2], keys[1], keys[2]))
    refused(verify(pack, *chain), "key 4 does not follow key 2")


def test_a_new_key_only_beside_the_old_teaches_nothing(log: Log, verify: Verify) -> None:
    new = Signer(ORIGIN, seed=sha(b"log key 2"))
    both = log.checkpoint + new.line(log.text).encode()
    holds(verify(log.range() | {"checkpoint": both}), f"signed by key {log.signer.id.hex()}")
    refused(verify(log.range() | {"checkpoint": new.note(log.text)}), "no key that is trusted")


def test_a_fork_that_drops_entries(log: Log, verify: Verify) -> None:
    fork = Log(list(log.entries[:300]), replace(log.signer, name=f"{ORIGIN}/1"))
    common = Log(log.entries[:300]).checkpoint.decode()
    context = {"last": log.checkpoint.decode(), "common": common}
    fork.add("audit_log", "fork", type="audit_log", resource=None, context=context)
    key = fork.signer.vkey
    said = verify(fork.range(), key=key)
    refused(said, "400 entries that were signed are not in this log: it is fork 1.")
    holds(verify(fork.range(), "--fork", "1", key=key), "Entries 1 to 301 are all here")
    refused(verify(fork.range(), "--fork", "2", key=key), "This is not fork 2 of the log, but 1.")
    refused(verify(log.range(), "--fork", "1"), "This is not fork 1 of the log")
    forged = Log(list(log.entries[:300]), fork.signer)
    stranger = Signer(seed=sha(b"stranger")).note(log.text).decode()
    forged.add("audit_log", "fork", type="audit_log", context=context | {"last": stranger})
    said = verify(forged.range(), "--fork", "1", key=key)
    refused(said, "the entry of a fork, entry 301: no key that is trusted for this log signed it")


def test_two_heads_of_one_organization(log: Log, verify: Verify) -> None:
    """In a round of `heads` a log has one place, and what is in another is not its head."""
    holds(
        verify(log.range() | {"heads": log.head()}, "--witness", WITNESS.vkey),
        "It is the one head of this log in its round of dotenv.example.com/audit/heads.",
        f"cosigned 2025-11-28 14:00:00 UTC by {WITNESS.name}",
    )
    other = Log(log.entries[:650])
    for forged in (log.head(text=other.text), log.head(place=f"{ORIGIN}/1")):
        said = verify(log.range() | {"heads": forged})
        refused(said, "heads: this checkpoint is not in the place of its log")
    stranger = Log([], Signer(seed=sha(b"stranger"))).head(text=log.text)
    refused(verify(log.range() | {"heads": stranger}), "heads: no key that is trusted for this log")
    short = log.head().replace(b"index 1", b"index 0")
    refused(verify(log.range() | {"heads": short}), "heads: the proof does not lead to the root")


def test_two_checkpoints_of_one_size(log: Log, verify: Verify, tmp_path: Any) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(log.checkpoint)
    holds(verify(log.range(), "--seen", str(kept)), "Entries 1 to 700 are all here")
    forged = Log(list(log.entries[:699]), index_from=1 << 40)
    forged.add("my-app/forged")
    said = verify(forged.range(), "--seen", str(kept))
    refused(said, "the checkpoint seen before: it has another root for the same 700 entries")
    directory = tmp_path / ".config" / "dotenv-cloud" / "audit"
    directory.mkdir(parents=True)
    (directory / sha(ORIGIN.encode()).hex()).write_bytes(log.checkpoint)
    refused(verify(forged.range()), "the checkpoint seen before: it has another root")
    holds(verify(log.range()))


def test_packs_of_several_files(log: Log, verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by several processes, where there are several processors."""
    monkeypatch.setattr(packs, "FILE", 256)
    monkeypatch.setattr(making, "FILE", 256)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    whole = log.range()
    second = "entries/000000000256.ndjson"
    assert [name for name in whole if name > second and name.startswith("entries/")]
    holds(verify(whole, "--whole"), "Entries 1 to 700 are all here", "Every index is that of")
    holds(verify(log.range(100, 600)), "Entries 101 to 600 are all here")
    holds(verify(log.window(FROM, TO), *SINCE, *UNTIL, "--as-of"), "a time from 2025-11-02")
    deleted = [n for n, entry in enumerate(log.entries, 1) if "action\ndelete" in entry.keys]
    holds(verify(log.leaves(deleted), "--action", "delete"), "5 have the action delete")
    tampered = changed(whole, second, lambda data: data.replace(b"jane@", b"joan@", 1))
    refused(verify(tampered), f"{second}, entry 257: its parts are not those")
    moved = whole | {second: whole[FIRST], FIRST: whole[second]}
    refused(verify(moved), f"{FIRST}, entry 1: in its place stands entry 257")
    del whole[second]
    refused(verify(whole), f"{second}: it is missing")
