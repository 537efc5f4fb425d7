"""Makes logs, keys and packs for the tests of the verifier, by the formulas of docs/evidence.md.

It is written as plainly as possible and shares nothing with the verifier but the keys of an entry,
which the vectors check.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dotenv_cloud import verifier

FILE = 65_536
"""Entries of a file, at most."""
HOST = "dotenv.example.com"
ORIGIN = f"{HOST}/audit/01J5X1ABCDEFGHJKMNPQRSTVWX"
NOVEMBER = 1_761_955_200_000  # 2025-11-01
DAY = 86_400_000
JANE = "01HZX3J5C8M4Q2V7T9W0Y6B1DE"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PATHS = {"organization", "project", "target", "environment", "key_version", "secret"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def ulid(time: int, number: int) -> str:
    value, letters = time << 80 | number, ""
    for _ in range(26):
        letters, value = ALPHABET[value % 32] + letters, value // 32
    return letters


@dataclass(frozen=True)
class Signer:
    """A key of a log, or of a witness."""

    name: str = ORIGIN
    type: int = 1
    seed: bytes = hashlib.sha256(b"log key 1").digest()

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def public(self) -> bytes:
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return bytes([self.type]) + public

    @property
    def id(self) -> bytes:
        return sha(self.name.encode(), b"\n", self.public)[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64(self.public)}"

    @property
    def key(self) -> verifier.Key:
        return verifier.Key.parse(self.vkey)

    def line(self, text: str, time: int = 0) -> str:
        """The signature line under a note; a witness signs with a time, in seconds."""
        stamp, signed = b"", text
        if self.type == 4:
            stamp, signed = time.to_bytes(8, "big"), f"cosignature/v1\ntime {time}\n{text}"
        signature = self.private.sign(signed.encode())
        return f"— {self.name} {b64(self.id + stamp + signature)}\n"

    def note(self, text: str) -> bytes:
        return f"{text}\n{self.line(text)}".encode()


WITNESS = Signer("witness.example.org/w1", 4, sha(b"witness key"))


def root(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1, as it is written there."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha()
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    return sha(b"\x01", root(hashes[:k]), root(hashes[k:]))


def outer(hashes: Sequence[bytes], known: set[int], first: int = 0) -> list[bytes]:
    """The roots of the largest subtrees without a known leaf, left to right."""
    if not known:
        return [root(hashes)]
    if len(hashes) < 2:
        return []
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    left = {each for each in known if each < first + k}
    return outer(hashes[:k], left, first) + outer(hashes[k:], known - left, first + k)


def inclusion(hashes: Sequence[bytes], index: int) -> list[bytes]:
    if len(hashes) < 2:
        return []
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    if index < k:
        return [*inclusion(hashes[:k], index), root(hashes[k:])]
    return [*inclusion(hashes[k:], index - k), root(hashes[:k])]


def consistency(hashes: Sequence[bytes], size: int, whole: bool = True) -> list[bytes]:
    if size == len(hashes):
        return [] if whole else [root(hashes)]
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    if size <= k:
        return [*consistency(hashes[:k], size, whole), root(hashes[k:])]
    return [*consistency(hashes[k:], size - k, False), root(hashes[:k])]


@dataclass
class Made:
    """An entry of a test's log."""

    leaf: bytes
    line: bytes
    time: int
    keys: list[str]

    @cached_property
    def hash(self) -> bytes:
        return sha(b"\x00", self.leaf)

    def redacted(self, *which: int) -> bytes:
        head, *parts, salt = self.line.split(b"\t")
        stream = hashlib.sha512(
            b"dotenv-audit-salts/v1\n" + bytes.fromhex(salt[8:40].decode())
        ).digest()
        salts = [stream[16 * each : 16 * each + 16] for each in range(4)]
        for each in which:
            name, _, value = parts[each][:-1].partition(b":")
            commitment = sha(b"\x05", bytes([each]), salts[each], value)
            parts[each] = name + b':"sha256:' + commitment.hex().encode() + b'",'
        given = [None if each in which else salts[each].hex() for each in range(4)]
        return b"\t".join([head, *parts, b'"salts":' + canonical(given) + b"}"])

    @property
    def withheld(self) -> bytes:
        return b'{"leaf":"sha256:' + self.hash.hex().encode() + b'"}'


@dataclass
class Log:
    """A log, entry by entry; the first after each full block commits to the index."""

    entries: list[Made] = field(default_factory=list)
    signer: Signer = field(default_factory=Signer)
    index_from: int = 1
    """The first block after which a leaf commits to the index."""
    _tables: dict[int, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    _zones: dict[int, tuple[bytes, int, int]] = field(default_factory=dict)

    def add(
        self,
        path: str = "my-app/production",
        action: str = "update",
        time: int | None = None,
        *,
        type: str = "target",
        resource: str | None = "01J0A2B3C4D5E6F7G8H9J0K1M2",
        actor: str | None = JANE,
        was: str | None = None,
        result: str = "success",
        interface: str = "web",
        context: dict[str, Any] | None = None,
        label: str = "jane@acme.example",
    ) -> Made:
        number = len(self.entries) + 1
        when = NOVEMBER + number * 1000 if time is None else time
        detail = {"changes": {}, "context": context or {}}
        of_resource = {"label": None if type in PATHS else path}
        parts = [
            canonical(part)
            for part in (
                {"label": label},
                {"ip": "192.0.2.7", "request_id": None, "user_agent": "é\t"},
                of_resource,
                detail,
            )
        ]
        salt = hashlib.md5(str(number).encode(), usedforsecurity=False).digest()
        stream = hashlib.sha512(b"dotenv-audit-salts/v1\n" + salt).digest()
        committed = [
            sha(b"\x05", bytes([each]), stream[16 * each : 16 * each + 16], part)
            for each, part in enumerate(parts)
        ]
        leaf: dict[str, Any] = {
            "action": action,
            "actor": {"id": actor, "type": "user"},
            "actor_seq": number,
            "id": ulid(when, number),
            "interface": interface,
            "parts": b64(sha(b"\x06", *committed)),
            "resource": {"id": resource, "type": type},
            "resource_seq": number,
            "result": result,
            "seq": number,
            "v": 1,
        }
        if type in PATHS:
            leaf["resource"]["label"] = path
        if was is not None:
            leaf["resource"]["was"] = was
        return self._append(leaf, when, parts, salt)

    def remove(self) -> Made:
        """What a removed entry becomes when evidence begins."""
        return self._append({"removed": True, "seq": len(self.entries) + 1, "v": 1}, 0, [], b"")

    def _append(self, leaf: dict[str, Any], time: int, parts: Sequence[bytes], salt: bytes) -> Made:
        block, rest = divmod(len(self.entries), 256)
        if rest == 0 and block >= self.index_from:
            leaf["index"] = {"root": b64(self.index_root(block)), "size": block}
        data = canonical(leaf)
        line = b'{"leaf":' + data + b"}"
        if parts:
            names = ("actor", "origin", "resource", "detail")
            pieces = [
                f'"{name}":'.encode() + part + b"," for name, part in zip(names, parts, strict=True)
            ]
            salted = b'"salt":"' + salt.hex().encode() + b'"}'
            line = b"\t".join([b'{"leaf":' + data + b",", *pieces, salted])
        self.entries.append(Made(data, line, time, verifier.keys_of(leaf)))
        return self.entries[-1]

    def fill(self, count: int, **settings: Any) -> Log:
        for _ in range(count):
            self.add(**settings)
        return self

    # --- the index ---

    def table(self, block: int) -> list[tuple[bytes, bytes]]:
        if block in self._tables:
            return self._tables[block]
        postings: dict[bytes, list[int]] = {}
        for offset, entry in enumerate(self.entries[256 * block : 256 * block + 256]):
            for key in entry.keys:
                postings.setdefault(sha(key.encode()), []).append(offset)
        self._tables[block] = [
            (key, b"".join(struct.pack(">H", each) for each in offsets))
            for key, offsets in sorted(postings.items())
        ]
        return self._tables[block]

    def times(self, block: int) -> tuple[int, int, int]:
        entries = self.entries[256 * block : 256 * block + 256]
        kept = [entry.time for entry in entries if entry.keys]
        whole = len(kept) == 256
        return len(kept), min(kept) if whole else 0, max(kept) if whole else (1 << 48) - 1

    def zone(self, start: int, end: int) -> tuple[bytes, int, int]:
        if end - start > 1:
            middle = start + (1 << ((end - start - 1).bit_length() - 1))
            left, right = self.zone(start, middle), self.zone(middle, end)
            both = sha(b"\x04", packed(left), packed(right))
            return both, min(left[1], right[1]), max(left[2], right[2])
        if start in self._zones:
            return self._zones[start]
        entries, since, until = self.times(start)
        table = self.table(start)
        keys = root([sha(b"\x02", key, offsets) for key, offsets in table])
        times = since.to_bytes(6, "big") + until.to_bytes(6, "big")
        record = struct.pack(">QI", start, entries) + times + struct.pack(">I", len(table)) + keys
        self._zones[start] = sha(b"\x03", record), since, until
        return self._zones[start]

    def index_root(self, blocks: int) -> bytes:
        return sha(b"\x04", packed(self.zone(0, blocks)))

    def look_up(self, block: int, key: str) -> list[Any]:
        table, wanted = self.table(block), sha(key.encode())
        hashes = [sha(b"\x02", one, offsets) for one, offsets in table]
        places = [place for place, (one, _) in enumerate(table) if one == wanted]
        if not places:
            after = sum(one < wanted for one, _ in table)
            places = [place for place in (after - 1, after) if 0 <= place < len(table)]
        given = [[b64(table[place][0]), b64(table[place][1])] for place in places]
        around = outer(hashes, {*places}) if table else []
        return [places[0] if places else 0, given, [b64(each) for each in around]]

    def opened(self, block: int, keys: Sequence[str]) -> list[Any]:
        found = [part for key in keys for part in self.look_up(block, key)]
        return [*self.times(block), len(self.table(block)), *found]

    def walk(
        self, blocks: int, since: int, until: int, keys: Sequence[str] = (), start: int = 0
    ) -> list[Any]:
        """Pre-order; without keys a block inside is one whose entries are all given."""
        end = start + blocks
        hashed, first, last = self.zone(start, end)
        if last < since or first >= until:
            return [[b64(hashed), first, last]]
        if blocks == 1:
            return [self.opened(start, keys) if keys else 2]
        left = 1 << ((blocks - 1).bit_length() - 1)
        return [
            1,
            *self.walk(left, since, until, keys, start),
            *self.walk(blocks - left, since, until, keys, start + left),
        ]

    # --- checkpoints, proofs, packs ---

    def head(self, text: str | None = None, place: str | None = None) -> bytes:
        """The proof that a round of the log `heads` has this checkpoint in the place of its log."""
        text, signer = text or self.text, replace(self.signer, name=f"{HOST}/audit/heads")
        salt, beside = sha(b"salt")[:16], [sha(b"beside", bytes([n])) for n in range(24)]
        value = sha(b"\x08", salt, text.encode())
        bits = f"{int.from_bytes(sha(bytes([7]), (place or self.signer.name).encode())):0256b}"
        for bit, other in zip(reversed(bits[:24]), beside, strict=True):
            value = sha(b"\x01", other, value) if bit == "1" else sha(b"\x01", value, other)
        leaf = canonical({"root": b64(value), "time": NOVEMBER, "v": 1}).decode()
        rounds = [sha(b"\x00", b"another round"), sha(b"\x00", leaf.encode())]
        extra = canonical(
            {"leaf": leaf, "path": [b64(each) for each in beside], "salt": salt.hex()}
        )
        lines = [b"c2sp.org/tlog-proof@v1", b"extra " + b64(extra).encode(), b"index 1"]
        said = f"{signer.name}\n2\n{b64(root(rounds))}\n"
        note = signer.note(said) + WITNESS.line(said, 1764338400).encode()
        return b"\n".join([*lines, b64(rounds[0]).encode()]) + b"\n\n" + note

    @property
    def hashes(self) -> list[bytes]:
        return [entry.hash for entry in self.entries]

    @property
    def text(self) -> str:
        return f"{self.signer.name}\n{len(self.entries)}\n{b64(root(self.hashes))}\n"

    @property
    def checkpoint(self) -> bytes:
        return self.signer.note(self.text)

    def cosigned(self, time: int, *witnesses: Signer) -> bytes:
        lines = "".join(each.line(self.text, time) for each in witnesses or (WITNESS,))
        return self.checkpoint + lines.encode()

    def proof(self, number: int, *, extra: bool = True) -> bytes:
        lines = ["c2sp.org/tlog-proof@v1"]
        if extra:
            lines.append(f"extra {b64(self.entries[number - 1].line)}")
        lines.append(f"index {number - 1}")
        lines += [b64(each) for each in inclusion(self.hashes, number - 1)]
        return "\n".join(lines).encode() + b"\n\n" + self.checkpoint

    def proved(self, number: int) -> dict[str, Any]:
        proof = [b64(each) for each in inclusion(self.hashes, number - 1)]
        return {"line": self.entries[number - 1].line.decode(), "proof": proof}

    def range(self, first: int = 0, end: int | None = None, **manifest: Any) -> dict[str, bytes]:
        end = len(self.entries) if end is None else end
        edge = outer(self.hashes, {*range(first, end)})
        files = {"checkpoint": self.checkpoint}
        start = first
        while start < end:
            stop = min(end, (start // FILE + 1) * FILE)
            lines = [entry.line for entry in self.entries[start:stop]]
            files[f"entries/{start:012}.ndjson"] = joined(lines)
            start = stop
        said = {"v": 1, "kind": "range", "first": first, "entries": end - first}
        said |= {"edge": [b64(each) for each in edge], "vkeys": [self.signer.vkey], **manifest}
        return files | {"README.txt": b"dotenv audit verify", "pack.json": canonical(said)}

    def leaves(self, matches: Iterable[int], **manifest: Any) -> dict[str, bytes]:
        whole, wanted = self.range(kind="leaves", **manifest), {*matches}
        lines = [
            entry.line if number in wanted else entry.leaf
            for number, entry in enumerate(self.entries, 1)
        ]
        for name in [name for name in whole if name.startswith("entries/")]:
            first = int(name[8:20])
            whole[name] = joined(lines[first : first + FILE])
        return whole

    def window(
        self, since: int, until: int, kind: str = "range", **manifest: Any
    ) -> dict[str, bytes]:
        blocks = max(len(self.entries) - 1, 0) // 256
        zones = self.walk(blocks, since, until) if blocks else []
        times = [self.zone(block, block + 1)[1:] for block in range(blocks)]
        here = [n for n, (low, high) in enumerate(times) if high >= since and low < until]
        files, known = {"checkpoint": self.checkpoint}, {*range(blocks * 256, len(self.entries))}
        for block in here:
            if block - 1 not in here or block * 256 % FILE == 0:
                name = f"entries/{block * 256:012}.ndjson"
                files[name] = b""
            files[name] += joined([e.line for e in self.entries[block * 256 : block * 256 + 256]])
            known |= {*range(block * 256, block * 256 + 256)}
        tail = [
            entry.line if since <= entry.time < until or not entry.keys else entry.leaf
            for entry in self.entries[blocks * 256 :]
        ]
        said = {"v": 1, "kind": kind, "since": since, "until": until, "vkeys": [], **manifest}
        return files | {
            "zones.json": canonical(zones),
            "tail.ndjson": joined(tail),
            "proof": b"".join(outer(self.hashes, known)),
            "pack.json": canonical(said),
        }

    def filter(
        self, *keys: str, since: int = 0, until: int = 1 << 48, closed: bool = False,
        withheld: Iterable[int] = (), **manifest: Any,
    ) -> dict[str, bytes]:  # fmt: skip
        """Exactly the entries with one of the keys; until is not included."""
        blocks = max(len(self.entries) - 1, 0) // 256
        lookups = [*dict.fromkeys([*keys, *verifier.renamings(keys)])]
        walk = self.walk(blocks, since, until, lookups) if blocks else []
        named, hidden = set(), {*withheld}
        for block in range(blocks):
            _, first, last = self.times(block)
            if not (last < since or first >= until):
                for offset, entry in enumerate(self.entries[block * 256 : block * 256 + 256]):
                    if {*entry.keys} & {*lookups}:
                        named.add(block * 256 + offset)
        end = blocks * 256 + 1 if closed else len(self.entries)
        tail = [*range(blocks * 256, end)]
        shown = [] if closed else [each for each in tail if {*self.entries[each].keys} & {*lookups}]
        lines = [
            self.entries[each].withheld if each + 1 in hidden else self.entries[each].line
            for each in sorted(named)
        ] + [self.entries[each].line for each in shown]
        rest = [self.entries[each].leaf for each in tail if each not in shown]
        said = {"v": 1, "kind": "filter", "key": keys[0] if len(keys) == 1 else list(keys)}
        said |= {"since": since, "until": until, "vkeys": [self.signer.vkey], **manifest}
        said |= {"closed": True} if closed else {}
        return {
            "checkpoint": self.checkpoint,
            "entries.ndjson": joined(lines),
            "tail.ndjson": joined(rest),
            "index.json": canonical(walk),
            "proof": b"".join(outer(self.hashes, named | {*tail})),
            "README.txt": b"dotenv audit verify",
            "pack.json": canonical(said),
        }


def packed(zone: tuple[bytes, int, int]) -> bytes:
    return zone[1].to_bytes(6, "big") + zone[2].to_bytes(6, "big") + zone[0]


def joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()
