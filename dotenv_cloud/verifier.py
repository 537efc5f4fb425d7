"""Checks packs and proofs of an audit log, without the server that made them.

One file, so that it can be read in an afternoon and used alone; `cryptography` is all it needs.
Nothing is believed but what follows from a checkpoint signed by a key that the caller pinned. A
refusal says what is wrong, in which file, at which entry. The formats: docs/evidence.md; RFC 9162
§2.1 (trees), RFC 8785 (JSON), C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import struct
import time
import zipfile
import zlib
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256, sha512
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Refused(Exception):
    """Something is not as it was signed."""

    def __init__(self, message: str, file: str = "", number: int = 0) -> None:
        super().__init__(message, file, number)  # all three, to travel between processes
        self.message, self.file, self.number = message, file, number

    def __str__(self) -> str:
        entry = f"entry {self.number:,}" if self.number else ""
        return ": ".join(filter(None, (", ".join(filter(None, (self.file, entry))), self.message)))


DAMAGED = zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, OSError


@contextmanager
def located(file: str, number: int = 0) -> Iterator[None]:
    """Adds file and number to what is refused inside; what cannot be unpacked is refused too."""
    try:
        yield
    except Refused as error:
        raise Refused(error.message, error.file or file, error.number or number) from None
    except (*DAMAGED, TypeError, ValueError, LookupError, AttributeError):
        raise Refused("it is damaged or malformed", file, number) from None


def require(holds: object, message: str, file: str = "", number: int = 0) -> None:
    if not holds:
        raise Refused(message, file, number)


def from_base64(text: object, size: int | None = None) -> bytes:
    """RFC 4648 §4 with padding; other encodings of the same bytes are refused."""
    try:
        data = b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    require(b64encode(data).decode() == text and size in (None, len(data)), "it is not base64")
    return data


def hashes_of(texts: object) -> list[bytes]:
    require(isinstance(texts, list), "its hashes are not a list")
    return [from_base64(text, 32) for text in texts]  # type: ignore[attr-defined]


def decimal(text: str) -> int:
    plain = re.fullmatch(r"0|[1-9][0-9]{0,18}", text) and int(text) < 1 << 63
    require(plain, "a number is not a decimal without leading zeros below 2^63")
    return int(text)


def integer(value: object, least: int, most: int, what: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Refused(f"{what} is not a whole number from {least:,} to {most:,}")
    return value


def from_json(data: bytes) -> Any:
    """JSON with whole numbers only and no member twice."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        require(len(dict(pairs)) == len(pairs), "a member is given twice")
        return dict(pairs)

    try:
        text = data.decode()
        return json.loads(
            text, object_pairs_hook=members, parse_float=decimal, parse_constant=decimal
        )
    except (ValueError, RecursionError):
        raise Refused("it is not JSON") from None


def iso(time: int) -> str:
    """A time in ms: a date if it is the beginning of a day."""
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=min(time, 253402300799999))
    text = moment.isoformat(" ", "milliseconds")
    return text.removesuffix(".000").removesuffix(" 00:00:00")


# --- trees: RFC 6962; RFC 9162 §2.1.3.2 and §2.1.4.2 ----------------------------------------------

LEAF, NODE = b"\x00", b"\x01"
Hashes = Sequence[bytes]
Subtrees = dict[tuple[int, int], bytes]
"""Hashes of subtrees by the leaves they cover, [start, end), counted from 0."""


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


def split(start: int, end: int) -> int:
    """Where the left subtree ends: it holds the largest power of two below the number of leaves."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def fold(first: int, hashes: Hashes) -> Subtrees:
    """The largest subtrees that consecutive leaves fill, of which the first is leaf `first`."""
    found: Subtrees = {}
    level, position, width = list(hashes), first, 1
    while level:
        if position % 2:
            found[position * width, (position + 1) * width] = level.pop(0)
            position += 1
        if len(level) % 2:
            last = position + len(level) - 1
            found[last * width, (last + 1) * width] = level.pop()
        level = [node_hash(*pair) for pair in zip(level[::2], level[1::2], strict=True)]
        position, width = position // 2, width * 2
    return found


def root_of(size: int, known: Mapping[tuple[int, int], bytes], proof: Iterable[bytes]) -> bytes:
    """The root of a tree of `size` leaves from `known` subtrees and a hash of the proof for each
    largest subtree without a known leaf, left to right."""
    starts, hashes = sorted(known), iter(proof)

    def at(start: int, end: int) -> bytes:
        if (start, end) in known:
            return known[start, end]
        nearest = bisect_left(starts, (start, 0))
        if nearest == len(starts) or starts[nearest][0] >= end:
            found = next(hashes, b"")
            require(len(found) == 32, "the proof lacks a hash")
            return found
        middle = split(start, end)
        return node_hash(at(start, middle), at(middle, end))

    most = max((end for _, end in starts), default=0)
    require(most <= size, f"there are more leaves than the {size:,} of the tree")
    root = at(0, size) if size else sha256().digest()
    require(next(hashes, None) is None, "the proof has a hash more than needed")
    return root


def climb(position: int, last: int, start: bytes, proof: Hashes) -> tuple[bytes, bytes]:
    """The roots that a proof leads to: of the tree that ends at `position`, and of all of it."""
    old = new = start
    for each in proof:
        require(last and len(each) == 32, "the proof has a hash too many, or not of 32 bytes")
        if position % 2 or position == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while position % 2 == 0 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, each)
        position, last = position >> 1, last >> 1
    require(last == 0, "the proof lacks a hash")
    return old, new


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Hashes, root: bytes) -> None:
    """That the leaf of this hash is number `index`, from 0, of the tree of `size` leaves."""
    require(0 <= index < size, f"index {index:,} is not in a log of {size:,} entries")
    right = climb(index, size - 1, leaf, proof)[1] == root
    require(right, "the proof does not lead to the root of the checkpoint")


def verify_consistency(size1: int, size2: int, root1: bytes, root2: bytes, proof: Hashes) -> None:
    """That the log of `size2` entries begins with the one of `size1`, unaltered."""
    require(1 <= size1 <= size2, f"a log of {size2:,} entries cannot continue one of {size1:,}")
    if size1 == size2:
        same = root1 == root2 and not proof
        return require(same, f"two checkpoints of {size1:,} entries have different roots")
    first, *others = (proof if size1 & (size1 - 1) else [root1, *proof]) or [b""]
    position, last = size1 - 1, size2 - 1
    while position % 2:
        position, last = position >> 1, last >> 1
    right = climb(position, last, first, others) == (root1, root2)
    return require(right, f"the log of {size2:,} entries does not continue that of {size1:,}")


# --- notes, keys, checkpoints ---------------------------------------------------------------------

ED25519, COSIGNATURE, ML_DSA_44 = 0x01, 0x04, 0x06
KEY_SIZES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
CLOCKS_DIFFER = 300  # seconds by which a witness's clock may be ahead of ours


class Key(NamedTuple):
    name: str
    type: int
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Key:
        """`<name>+<id>+<base64 of type and public key>`."""
        name, identity, encoded = (*vkey.strip().split("+", 2), "", "")[:3]
        data = from_base64(encoded) or b"\0"
        key = cls(name, data[0], data[1:])
        known = NAME.fullmatch(name) and len(key.public) == KEY_SIZES.get(key.type)
        require(known, "a key is not <name>+<id>+<base64>, or of an unknown type")
        require(key.id.hex() == identity, f"the id of the key of {name} is not that of its bytes")
        return key

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    def verify(self, text: str, signature: bytes) -> int:
        """Returns the time that is signed, in seconds, or 0; raises InvalidSignature."""
        signed, at = text.encode(), 0
        if self.type != ED25519:
            at, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            signed = f"cosignature/v1\ntime {at}\n".encode() + signed
        if self.type != ML_DSA_44:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, signed)
            return at
        log, size, root = three_lines(text)
        names = [bytes([len(name) % 256]) + name for name in (self.name.encode(), log.encode())]
        signed = b"subtree/v1\n\0" + names[0] + struct.pack(">Q", at) + names[1]
        try:
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

            public = MLDSA44PublicKey.from_public_bytes(self.public)
            public.verify(signature, signed + struct.pack(">QQ", 0, size) + root)
        except (ImportError, UnsupportedAlgorithm):
            raise Refused("`cryptography` is too old here for a key of type ML-DSA-44") from None
        return at


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes
    text: str
    signed_by: tuple[Key, ...] = ()
    cosigned: tuple[tuple[str, int], ...] = ()  # witnesses, and when each saw it, in seconds


def three_lines(text: str) -> tuple[str, int, bytes]:
    lines = text.split("\n")
    exact = len(lines) == 4 and lines[0] and not lines[3]
    require(exact, "it does not have exactly three lines: origin, size, root")
    return lines[0], decimal(lines[1]), from_base64(lines[2], 32)


def verify_note(note: bytes, keys: Iterable[Key]) -> tuple[str, list[tuple[Key, int]]]:
    """The text, and which of these keys signed it when. A wrong signature by one spoils it all."""
    whole = note.decode(errors="ignore") if len(note) <= 1 << 20 else ""
    require(whole.encode() == note, "it is not UTF-8 of at most 1 MiB")
    require(not re.search(r"[\x00-\x09\x0b-\x1f]", whole), "it has a control character")
    text, _, below = whole.rpartition("\n\n")
    *lines, end = below.split("\n")
    signed = text and not end and 1 <= len(lines) <= 100
    require(signed, "it is not a text, an empty line, and 1 to 100 signatures")
    known, found = {(key.name, key.id): key for key in keys}, []
    for line in lines:
        name, encoded = (*line.split(" "), "", "")[1:3]
        data = from_base64(encoded)
        right = line == f"— {name} {encoded}" and NAME.fullmatch(name) and len(data) > 4
        require(right, "a signature is malformed or cut off")
        if key := known.get((name, data[:4])):
            try:
                found.append((key, key.verify(text + "\n", data[4:])))
            except (InvalidSignature, ValueError):
                raise Refused(f"the signature of {name} is wrong") from None
    return text + "\n", found


def read_checkpoint(
    note: bytes, keys: Sequence[Key], witnesses: Sequence[Key] = (), now: float | None = None
) -> Checkpoint:
    """A checkpoint that one of the log's keys signed. No key is learnt from what is read."""
    text, signed = verify_note(note, [*keys, *witnesses])
    origin, size, root = three_lines(text)
    mine = [key for key in keys if key.name == origin and key.type != COSIGNATURE]
    require(mine, "it is a checkpoint of another log than that of the given keys")
    logs = tuple(key for key, _ in signed if key in mine)
    require(logs, "no key that is trusted for this log signed it")
    others = ((key, at) for key, at in signed if key in witnesses and key not in keys)
    seen = tuple((key.name, at) for key, at in others if key.type != ED25519 and at)
    latest = (time.time() if now is None else now) + CLOCKS_DIFFER
    require(all(at <= latest for _, at in seen), "a cosignature is of the future")
    return Checkpoint(origin, size, root, text, logs, seen)


# --- entries: leaf data, which stays, and four parts that can be erased ---------------------------

BLOCK, FILE = 256, 65_536
END_OF_TIME = 1 << 48
PARTS = ("actor", "origin", "resource", "detail")
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KINDS = "erase", "evidence_began", "fork", "export", "remove", "rotate signing_key"
KEPT_DETAIL = frozenset(kind.encode() for kind in KINDS)
"""Entries about the log itself: their part `detail` is neither erased nor redacted."""

S = r'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00(?:0[0-7bef]|1[0-9a-f]))*"'
U, N, HEX = r'"[0-7][0-9A-HJKMNP-TV-Z]{25}"', r"[1-9][0-9]{0,15}", r"[0-9a-f]{32}"
ID, B = rf"(?:{U}|null)", r'"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="'
INDEX = rf'(?:"index":\{{"root":({B}),"size":({N})\}},)?'
ENTRY = (
    rf'\{{"action":({S}),"actor":\{{"id":{ID},"type":{S}\}},"actor_seq":({N}),"id":({U}),{INDEX}'
    rf'"interface":{S},"parts":({B}),"resource":\{{"id":{ID},(?:"label":{S},)?"type":({S})'
    rf'(?:,"was":({S}))?\}},"resource_seq":({N}),"result":{S},"seq":({N}),"v":1\}}'
)
REMOVED = re.compile(rf'\{{{INDEX}"removed":true,"seq":({N}),"v":1\}}'.encode())
LEAF_DATA = re.compile(ENTRY.encode())
VALUES = ",\t".join(rf'"{name}":(\{{[^\t]*\}}|"sha256:[0-9a-f]{{64}}")' for name in PARTS)
SALTS = ",".join([f'(?:"({HEX})"|null)'] * 4)
LINE_DATA = re.compile(
    rf'\{{"leaf":({ENTRY}),\t{VALUES},\t"salt(?:":"({HEX})"|s":\[{SALTS}\])\}}'.encode()
)
ROUND = re.compile(rf'\{{"root":"([A-Za-z0-9+/=]{{44}})","time":{N},"v":1\}}')
WITHHELD = re.compile(rb'\{"leaf":"sha256:([0-9a-f]{64})"\}')


class Entry(NamedTuple):
    """Entry `seq`, of which the form and the parts were checked."""

    seq: int
    hash: bytes
    data: bytes = b""  # of the leaf; none if it is withheld
    removed: bool = False
    ulid: bytes = b""
    kind: bytes = b""  # its action; of a rotation also of what
    renames: bool = False
    index_root: bytes = b""  # that to which it commits, as the first entry after a block
    parts: tuple[bytes, ...] = ()
    redacted: tuple[int, ...] = ()

    @property
    def time(self) -> int:
        """Milliseconds since 1970."""
        value = 0
        for letter in self.ulid[:10].decode():
            value = value << 5 | CROCKFORD.index(letter)
        return value

    @property
    def leaf(self) -> dict[str, Any]:
        return from_json(self.data) if self.data else {}

    def part(self, number: int) -> dict[str, Any] | None:
        """A part's values, if they are given."""
        return None if not self.parts or number in self.redacted else from_json(self.parts[number])


def index_root(root: bytes | None, size: bytes, number: int) -> bytes:
    if root is None:
        return b""
    right = number % BLOCK == 1 and int(size) == number // BLOCK
    require(right, "the leaf has an index that does not belong there")
    return from_base64(root[1:-1].decode(), 32)


def read_leaf(data: bytes) -> Entry:
    """Leaf data: its one form or none."""
    if found := LEAF_DATA.fullmatch(data):
        return made(data, found.groups(), (), ())
    gone = REMOVED.fullmatch(data)
    if gone is None:
        raise Refused("the leaf does not have the form of leaf data")
    number = int(gone[3])
    require(number < 1 << 53, "a number of the leaf is above 2^53 - 1")
    hashed, index = sha256(LEAF + data).digest(), index_root(gone[1], gone[2], number)
    return Entry(number, hashed, data, removed=True, index_root=index)


def made(
    data: bytes, found: Sequence[Any], parts: tuple[bytes, ...], redacted: tuple[int, ...]
) -> Entry:
    action, by, ulid, root, size, _, kind, was, of, seq = found
    if len(data) > 16_000 or (not data.isascii() and data.decode(errors="ignore").encode() != data):
        raise Refused("the leaf is not UTF-8 of at most 16,000 bytes")
    number = int(seq)
    if len(seq) + len(by) + len(of) > 15:
        most = max(number, int(by), int(of))
        require(most < 1 << 53, "a number of the leaf is above 2^53 - 1")
    action = action[1:-1] if action != b'"rotate"' else b"rotate " + kind[1:-1]
    index = index_root(root, size, number) if root else b""
    hashed = sha256(LEAF + data).digest()
    return Entry(
        number, hashed, data, False, ulid[1:-1], action, was is not None, index, parts, redacted
    )


def read_line(line: bytes, number: int) -> Entry:
    """A line of entry `number`: with four parts, withheld, or of an entry removed before."""
    found = LINE_DATA.fullmatch(line)
    if found is None:
        if withheld := WITHHELD.fullmatch(line):
            return Entry(number, bytes.fromhex(withheld[1].decode()))
        leaf, *parts = line.split(b",\t")
        entry = read_leaf(leaf[8:] if parts else leaf[8:-1])
        alone = entry.removed and line == b'{"leaf":' + entry.data + b"}"
        require(alone, "it is not a line with a leaf, four parts and their salt")
        return entry
    data, *leaf_data = found.groups()
    actor, origin, resource, detail, salt, *salts = leaf_data[10:]
    given = "{{{{" if salt else "".join("{" if each else '"' for each in salts)
    if actor[:1] + origin[:1] + resource[:1] + detail[:1] != given.encode():
        raise Refused("what is redacted is not what has no salt")
    redacted = tuple(part for part in range(4) if given[part] == '"') if not salt else ()
    if salt:
        s = sha512(b"dotenv-audit-salts/v1\n" + bytes.fromhex(salt.decode())).digest()
        commitments = sha256(b"\5\0" + s[:16] + actor).digest()
        commitments += sha256(b"\5\1" + s[16:32] + origin).digest()
        commitments += sha256(b"\5\2" + s[32:48] + resource).digest()
        commitments += sha256(b"\5\3" + s[48:] + detail).digest()
    else:
        commitments = b""
        for part, value in enumerate((actor, origin, resource, detail)):
            own = bytes((5, part)) + bytes.fromhex((salts[part] or b"").decode()) + value
            hidden = bytes.fromhex(value[8:-1].decode()) if part in redacted else b""
            commitments += hidden or sha256(own).digest()
    if b64encode(sha256(b"\6" + commitments).digest()) != leaf_data[5][1:-1]:
        raise Refused("its parts are not those that the leaf commits to")
    entry = made(data, leaf_data[:10], (actor, origin, resource, detail), redacted)
    kept = 3 in redacted and entry.kind in KEPT_DETAIL
    require(not kept, "the detail of an entry about the log itself is redacted")
    return entry


def keys_of(leaf: dict[str, Any]) -> list[str]:
    """The keys under which the index has an entry, each once."""
    if "actor" not in leaf:
        return []
    actor, resource, action = leaf["actor"], leaf["resource"], leaf["action"]
    who, what = f"{actor['type']}\n{actor['id'] or '-'}", resource["type"]
    keys = [f"actor\n{who}", f"resource\n{what}\n{resource['id'] or '-'}", f"action\n{action}"]
    keys += [f"type\n{what}", f"actor-action\n{who}\n{action}"]
    for label in (resource.get("label", ""), resource.get("was", "")):
        cuts = [place for place, letter in enumerate(label) if letter in "/#"][:8]
        keys += [f"path\n{path}" for path in (*(label[:cut] for cut in cuts), label) if path]
    keys += [f"renamed\n{resource['was']}"] if "was" in resource else []
    keys += [f"result\n{leaf['result']}"] if leaf["result"] != "success" else []
    shown = leaf["interface"] in ("admin", "command", "database")
    return list(dict.fromkeys([*keys, *([f"interface\n{leaf['interface']}"] if shown else [])]))


def renamings(keys: Iterable[str]) -> list[str]:
    """The keys of renamings of what these paths name, and of what they lie below."""
    found = []
    for kind, _, path in (key.partition("\n") for key in keys):
        while kind == "path" and path:
            found.append(f"renamed\n{path}")
            path = path[: max(path.rfind("/"), path.rfind("#"), 0)]
    return list(dict.fromkeys(found))


# --- the index of a block, in a tree of blocks that knows time ------------------------------------


class Zone(NamedTuple):
    """A subtree of blocks: its hash, and the earliest and latest time, in ms, of its entries."""

    hash: bytes
    since: int
    until: int

    def packed(self) -> bytes:
        return self.since.to_bytes(6, "big") + self.until.to_bytes(6, "big") + self.hash

    def joined(self, right: Zone) -> Zone:
        hashed = sha256(b"\x04" + self.packed() + right.packed()).digest()
        return Zone(hashed, min(self.since, right.since), max(self.until, right.until))

    def root(self) -> bytes:
        return sha256(b"\x04" + self.packed()).digest()


def block_zone(block: int, entries: int, since: int, until: int, keys: int, root: bytes) -> Zone:
    last = Zone(keys.to_bytes(4, "big") + root, since, until).packed()
    return Zone(sha256(b"\x03" + struct.pack(">QI", block, entries) + last).digest(), since, until)


def index_block(block: int, entries: Sequence[Entry]) -> Zone:
    """Of one block, from leaf data of all its entries."""
    postings: dict[bytes, list[int]] = {}
    for offset, entry in enumerate(entries):
        require(entry.data, "it is withheld, so its block cannot be indexed", "", entry.seq)
        for key in keys_of(entry.leaf):
            postings.setdefault(sha256(key.encode()).digest(), []).append(offset)
    table = [key + struct.pack(f">{len(at)}H", *at) for key, at in sorted(postings.items())]
    root = root_of(len(table), fold(0, [sha256(b"\x02" + each).digest() for each in table]), ())
    kept = [entry.time for entry in entries if not entry.removed]
    since, until = (min(kept), max(kept)) if len(kept) == BLOCK else (0, END_OF_TIME - 1)
    return block_zone(block, len(kept), since, until, len(table), root)


def index_roots(zones: Iterable[Zone]) -> Iterator[bytes]:
    """Of the first block, of the first two, and so on."""
    stack: list[tuple[int, Zone]] = []
    for zone in zones:
        width = 1
        while stack and stack[-1][0] == width:
            zone, width = stack.pop()[1].joined(zone), width * 2
        stack.append((width, zone))
        for _, left in reversed(stack[:-1]):
            zone = left.joined(zone)
        yield zone.root()


@dataclass
class Walk:
    """What a walk of the zone tree of so many blocks shows, for these keys and times."""

    blocks: int
    keys: Sequence[str]
    since: int
    until: int
    here: list[int] = field(default_factory=list)  # blocks of which all entries are in the pack
    gaps: list[tuple[int, int, int, int]] = field(default_factory=list)  # entries, times
    named: dict[int, set[str]] = field(default_factory=dict)  # entries, with keys they stand under

    def root(self, items: object, present: Mapping[int, Zone] | None = None) -> bytes:
        """The index root that the items lead to; they are in pre-order.

        present: the zones of the blocks that are here, once their entries were read.
        """
        rest = iter(items if isinstance(items, list) else ())

        def at(start: int, end: int) -> Zone:
            item: Any = next(rest, None)
            fits = "the walk does not have the shape of the tree"
            if item == 1 and type(item) is int and end - start > 1:
                return at(start, split(start, end)).joined(at(split(start, end), end))
            with located("", start * BLOCK + 1):
                if item == 2 and type(item) is int and end - start == 1 and not self.keys:
                    self.here.append(start)
                    return present[start] if present else Zone(bytes(32), 0, 0)
                require(isinstance(item, list) and len(item) > 2, fits)
                if item[3:] in ([], ["gap"]):
                    return self.skipped(start, end, item)
                wanted = end - start == 1 and self.keys and len(item) == 4 + 3 * len(self.keys)
                require(wanted, fits)
                return self.opened(start, item)

        found = at(0, self.blocks).root() if self.blocks else b""
        require(next(rest, None) is None, "the walk has more than the tree")
        return found

    def skipped(self, start: int, end: int, item: list[Any]) -> Zone:
        since, until = (integer(each, 0, END_OF_TIME - 1, "a time") for each in item[1:3])
        if item[3:]:
            self.gaps.append((start * BLOCK + 1, end * BLOCK, since, until))
        outside = item[3:] or until < self.since or since >= self.until
        require(outside, f"a part of the window is skipped, to entry {end * BLOCK:,}")
        return Zone(from_base64(item[0], 32), since, until)

    def opened(self, block: int, item: list[Any]) -> Zone:
        """A block, with what it has, or has not, under each key that is looked up."""
        entries, size = (integer(each, 0, 1 << 31, "a count") for each in (item[0], item[3]))
        since, until = (integer(each, 0, END_OF_TIME - 1, "a time") for each in item[1:3])
        roots = set()
        for number, key in enumerate(self.keys):
            place, given, hashes = item[4 + 3 * number : 7 + 3 * number]
            place = integer(place, 0, size, "a position")
            require(isinstance(given, list) and len(given) < 3, "more keys are given than needed")
            table = [(from_base64(key, 32), from_base64(at)) for key, at in given]
            leaves = [sha256(b"\x02" + key + at).digest() for key, at in table]
            known = {(place + n, place + n + 1): leaf for n, leaf in enumerate(leaves)}
            roots.add(root_of(size, known, hashes_of(hashes)))
            wanted = sha256(key.encode()).digest()
            if [wanted] == [key for key, _ in table]:
                offsets = [at for (at,) in struct.iter_unpack(">H", table[0][1])]
                ascending = offsets and offsets == sorted({*offsets}) and offsets[-1] < BLOCK
                require(ascending, "postings are not ascending numbers below 256")
                for offset in offsets:
                    self.named.setdefault(block * BLOCK + offset + 1, set()).add(key)
                continue
            lower, upper = (
                [key for key, _ in table if (key < wanted) is side] for side in (True, False)
            )
            one = (
                len(lower) < 2 and len(upper) < 2 and wanted not in upper and table == sorted(table)
            )
            ends = (lower or place == 0) and (upper or place + len(table) == size)
            require(one and ends, "neither the key is given nor both neighbours of its place")
        require(len(roots) == 1, "the keys of a block lead to different roots")
        return block_zone(block, entries, since, until, size, roots.pop())


# --- packs: the files of a zip --------------------------------------------------------------------

READ, LINE = 1 << 20, 64 << 20
UNREAD = {"README.txt", "checkpoint.tsr", "checkpoint.ots"}
MEMBER = re.compile(
    r"checkpoint(\.text|\.tsr|\.ots)?|(pack|index|zones|removed)\.json|README\.txt|heads|proof"
    r"|(entries|tail|entries/[0-9]{12})\.ndjson"
)


class Bounded(FileIO):
    """Of which nothing large is read at once, such as a directory that would fill memory."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(min(size, READ) if size and size > 0 else READ) or b""
        require(len(data) < READ, "its directory is too large")
        return data


class Pack:
    """Nothing is unpacked to a disk, and what nobody has read in the end is too much."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with located("the pack"):
            self.zip = zipfile.ZipFile(Bounded(path))
            members = self.zip.infolist()
            self.sizes = {each.filename: each.file_size for each in members}
            self.unread = {*self.sizes} - UNREAD
            require(len(members) == len(self.sizes) < 10_000, "a file is twice in it, or too many")
            for each in members:
                name = re.sub(r"[^a-z0-9._/-]", "?", each.filename[:80])
                require(MEMBER.fullmatch(each.filename), "it is not a file of a pack", name)
                most = min(4 << 30, 4096 + 200 * each.compress_size)
                require(each.file_size <= most, "it is too large or packed too tightly", name)
                plain = each.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                require(plain, "it is packed in another way than packs are", name)
            most = 4096 * len(members) + 200 * path.stat().st_size
            require(sum(self.sizes.values()) <= most, "its files overlap")

    def chunks(self, name: str) -> Iterator[bytes]:
        require(name in self.sizes, "it is missing", name)
        self.unread.discard(name)
        with located(name), self.zip.open(name) as file:
            yield from iter(lambda: file.read(READ - 1), b"")

    def read(self, name: str, most: int = READ) -> bytes:
        require(self.sizes.get(name, 0) <= most, f"it is larger than {most:,} bytes", name)
        return b"".join(self.chunks(name))

    def json(self, name: str, most: int = READ) -> Any:
        with located(name):
            return from_json(self.read(name, most))

    def lines(self, name: str) -> Iterator[bytes]:
        """Split at 0x0A and nowhere else."""
        pending: list[bytes] = []
        held = 0
        for chunk in self.chunks(name):
            first, *lines = chunk.split(b"\n")
            pending.append(first)
            held += len(first)
            text = b"\0" not in first and (held < 20_000 or b"\t" in pending[0])
            require(text and held <= LINE, "a line is too long, or not text", name)
            if lines:
                yield b"".join(pending)
                yield from lines[:-1]
                pending, held = [lines[-1]], len(lines[-1])
        require(held == 0, "its last line does not end", name)


# --- verifying ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """What the auditor asks for: entries with one key of each set, a time in [since, until), in ms,
    and whatever `also` demands, which returns None where it cannot tell."""

    keys: tuple[frozenset[str], ...] = ()
    since: int = 0
    until: int = END_OF_TIME
    also: Callable[[Entry, dict[str, Any]], bool | None] | None = None

    @cached_property
    def windowed(self) -> bool:
        return self.since > 0 or self.until < END_OF_TIME

    @cached_property
    def asks(self) -> bool:
        return bool(self.keys or self.also or self.windowed)

    def matches(self, entry: Entry) -> bool | None:
        if entry.removed or not entry.data:
            return False if entry.removed else None
        if not self.asks:
            return True
        if self.windowed and not self.since <= entry.time < self.until:
            return False
        if not self.keys and not self.also:
            return True
        leaf = entry.leaf
        has = [*keys_of(leaf), *(f"{each}\n{leaf.get(each)}" for each in ("result", "interface"))]
        if any(keys.isdisjoint(has) for keys in self.keys):
            return False
        return self.also(entry, leaf) if self.also else True


@dataclass
class Report:
    """What is proved, of entries first + 1 to end; with anything `missing`, less than was asked."""

    checkpoint: Checkpoint
    kind: str
    question: Question
    first: int
    end: int
    matches: list[int] = field(default_factory=list)
    undecided: int = 0
    withheld: int = 0
    removed: list[int] = field(default_factory=list)
    redacted: list[tuple[int, ...]] = field(default_factory=list)  # parts, of each such answer
    special: list[Entry] = field(default_factory=list)  # KEPT_DETAIL, and those that rename
    indexes: list[Entry] = field(default_factory=list)  # the first entries after blocks
    reached: int = 0  # the latest time in the tail, ms
    gaps: list[tuple[int, int, int, int]] = field(default_factory=list)  # entries, times
    entry: Entry | None = None  # of a proof of one
    request: Entry | None = None
    heads: Checkpoint | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def seen(self) -> tuple[tuple[str, int], ...]:
        """Witnesses of the checkpoint and of its round of `heads`, and when, in seconds."""
        return self.checkpoint.cosigned + (self.heads.cosigned if self.heads else ())

    @cached_property
    def tail(self) -> int:
        """Entries above this number are the tail."""
        return max(self.checkpoint.size - 1, 0) // BLOCK * BLOCK

    def add(self, entry: Entry) -> None:
        number, match = entry.seq, self.question.matches(entry)
        if match:
            self.matches.append(number)
            if entry.redacted:
                self.redacted.append(entry.redacted)
        elif entry.removed:
            self.removed.append(number)
        elif not entry.data:
            self.withheld += 1
        elif match is None:
            self.undecided += 1
        if number > self.tail:
            self.reached = max(self.reached, entry.time)
        if number % BLOCK == 1 and number > 1:
            self.indexes.append(entry)
        if entry.renames or entry.kind in KEPT_DETAIL:
            self.special.append(entry)

    def merge(self, other: Report) -> None:
        for name in ("matches", "removed", "redacted", "special", "indexes"):
            getattr(self, name).extend(getattr(other, name))
        self.undecided += other.undecided
        self.withheld += other.withheld
        self.reached = max(self.reached, other.reached)


def shown(line: bytes, number: int, question: Question, bare: bool = True) -> Entry:
    """Entry `number`, by a line or, if `bare`, by leaf data alone; an answer needs its line."""
    whole = not bare or b"\t" in line or line.startswith(b'{"leaf":')
    entry = read_line(line, number) if whole else read_leaf(line)
    if entry.seq != number:
        raise Refused(f"in its place stands entry {entry.seq:,}")
    fits = whole or not question.asks or question.matches(entry) is False
    require(fits, "it matches, but its line is not given")
    return entry


def read_file(
    path: Path, first: int, end: int, indexed: bool, report: Report
) -> tuple[Subtrees, dict[int, Zone], Report]:
    """The file of entries first + 1 to end, perhaps in a process of its own."""
    hashes: list[bytes] = []
    block: list[Entry] = []
    zones, number, name = {}, first, file_name(first)
    try:
        for number, line in enumerate(Pack(path).lines(name), first + 1):
            require(number <= end, "it is more than the pack says")
            entry = shown(line, number, report.question, report.kind == "leaves")
            report.add(entry)
            hashes.append(entry.hash)
            block = [entry] if number % BLOCK == 1 else [*block, entry] if indexed else []
            if indexed and number % BLOCK == 0 and len(block) == BLOCK:
                zones[number // BLOCK - 1] = index_block(number // BLOCK - 1, block)
    except Refused as error:
        where = error.number or (number if number > first else 0)
        raise Refused(error.message, name, where) from None
    require(number == end, "it is missing", name, number + 1)
    return fold(first, hashes), zones, report


def file_name(first: int) -> str:
    return f"entries/{first:012}.ndjson"


class Reading(NamedTuple):
    """A pack while it is read."""

    pack: Pack
    manifest: dict[str, Any]
    report: Report
    processes: int
    known: Subtrees

    def files(self, runs: Iterable[tuple[int, int]], indexed: bool) -> dict[int, Zone]:
        """Read the files of entries; each ends at a multiple of 65,536 at the latest."""
        report, tasks, zones = self.report, [], {}
        for first, end in runs:
            while first < end:
                self.pack.unread.discard(file_name(first))
                stop = min(end, (first // FILE + 1) * FILE)
                empty = Report(report.checkpoint, report.kind, report.question, 0, 0)
                tasks.append((self.pack.path, first, stop, indexed, empty))
                first = stop
        workers = min(self.processes, len(tasks))
        pool = ProcessPoolExecutor(workers) if workers > 1 else None
        with pool or nullcontext():
            columns = list(zip(*tasks, strict=True)) or [()]
            for done in (pool.map if pool else map)(read_file, *columns):
                self.known.update(done[0])
                zones.update(done[1])
                report.merge(done[2])
        return zones

    def root(self, proof: Hashes, name: str) -> None:
        checkpoint = self.report.checkpoint
        with located(name):
            right = root_of(checkpoint.size, self.known, proof) == checkpoint.root
            require(right, "the entries do not lead to the root of the checkpoint")

    def range(self, whole: bool) -> None:
        report, size = self.report, self.report.checkpoint.size
        with located("pack.json"):
            report.first = integer(self.manifest.get("first"), 0, size - 1, "first")
            count = integer(self.manifest.get("entries"), 1, size - report.first, "entries")
            edge = hashes_of(self.manifest.get("edge"))
        report.end = report.first + count
        zones = self.files([(report.first, report.end)], whole)
        self.root(edge, "entries")
        require(not whole or report.first == 0, "only a pack from entry 1 on shows every index")
        roots, begun = dict(enumerate(index_roots(zones[each] for each in sorted(zones)), 1)), False
        for entry in report.indexes:
            lost = begun and entry.data and not entry.index_root
            require(not lost, "it has no index, though an earlier one has", "entries", entry.seq)
            begun = begun or bool(entry.index_root)
            right = not whole or entry.index_root in (b"", roots[entry.seq // BLOCK])
            require(right, "its index is not that of the entries before", "entries", entry.seq)

    def indexed(self, name: str, keys: Sequence[str]) -> None:
        """A walk of the index, the entries that it names or that are here, and the tail."""
        report, size = self.report, self.report.checkpoint.size
        question, blocks = report.question, max(size - 1, 0) // BLOCK
        full, closed = blocks * BLOCK, self.manifest.get("closed") is True and bool(keys)
        report.end, stop = (full, full + 1) if closed else (size, size)
        require(blocks or not closed, "a closed pack has a full block", "pack.json")
        items = self.pack.json(name, min(LINE, 4096 + blocks * (256 + 4096 * len(keys))))
        walk = Walk(blocks, keys, question.since, question.until)
        with located(name):
            root = walk.root(items)
        tail = self.named(walk, full) if keys else {}
        if not keys:
            zones = self.files(
                joined((each * BLOCK, (each + 1) * BLOCK) for each in walk.here), True
            )
            root = Walk(blocks, keys, question.since, question.until).root(items, zones)
        lines = self.pack.lines("tail.ndjson")
        for number in range(full + 1, stop + 1):
            if number not in tail:
                line = next(lines, None)
                require(line is not None, "it is missing", "tail.ndjson", number)
                with located("tail.ndjson", number):
                    asked = question if number <= report.end else Question(until=0)
                    tail[number] = shown(line or b"", number, asked)
            self.known[number - 1, number] = tail[number].hash
            if number <= report.end:
                report.add(tail[number])
        over = next(lines, None) is None and max(tail, default=0) <= stop
        require(over, "there is more than the tail", "tail.ndjson")
        index = tail[full + 1].index_root if blocks else b""
        require(index == root, f"it does not lead to the index in entry {full + 1:,}", name)
        proof = self.pack.read("proof", LINE)
        self.root([proof[at : at + 32] for at in range(0, len(proof), 32)], "proof")
        report.gaps = walk.gaps
        for first, end, since, until in walk.gaps:
            times = f"between {iso(since)} and {iso(until)} UTC"
            report.missing.append(f"Not complete {times}, entries {first:,} … {end:,}.")

    def named(self, walk: Walk, full: int) -> dict[int, Entry]:
        """The entries that the index names; returns those of the tail with one of the keys."""
        tail: dict[int, Entry] = {}
        numbers, last = iter(sorted(walk.named)), full
        for line in self.pack.lines("entries.ndjson"):
            number = next(numbers, 0)
            with located("entries.ndjson", number):
                entry = read_line(line, number)
                has = {*keys_of(entry.leaf)}
                if number:
                    right = entry.seq == number and (not entry.data or walk.named[number] <= has)
                    require(right, "the index names another entry here")
                    self.known[number - 1, number] = entry.hash
                    self.report.add(entry)
                else:
                    right = entry.seq > last and not has.isdisjoint(walk.keys)
                    require(right, "the index does not name it", "", entry.seq)
                    tail[entry.seq], last = entry, entry.seq
        left = next(numbers, 0)
        require(not left, "the index names it, and it is missing", "entries.ndjson", left)
        return tail


def joined(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in runs:
        found.append((found.pop()[0] if found and found[-1][1] == start else start, end))
    return found


Trust = Callable[[bytes], Checkpoint]


def open_proof(data: bytes) -> tuple[bytes | None, int, list[bytes], bytes]:
    """Extra data, index, hashes and note of a tlog-proof."""
    head, _, note = data.partition(b"\n\n")
    lines = [*head.decode("ascii", "replace").split("\n"), "", ""]
    require(lines.pop(0) == "c2sp.org/tlog-proof@v1", "it is not a tlog-proof")
    extra = from_base64(lines.pop(0)[6:]) if lines[0].startswith("extra ") else None
    require(lines[0].startswith("index "), "it has no index")
    return extra, decimal(lines[0][6:]), hashes_of([line for line in lines[1:] if line]), note


def verify_proof(data: bytes, line: bytes | None, trust: Trust) -> Report:
    """A tlog-proof of one entry. Its line is the extra data, or given."""
    with located("the proof"):
        extra, index, proof, note = open_proof(data)
    with located("checkpoint"):
        checkpoint = trust(note)
    with located("the line", index + 1):
        entry = read_line(extra or line or b"", index + 1)
        require(entry.seq == index + 1, f"it is of entry {entry.seq:,}")
    with located("the proof", index + 1):
        verify_inclusion(index, checkpoint.size, entry.hash, proof, checkpoint.root)
    report = Report(checkpoint, "proof", Question(), index, index + 1, entry=entry)
    report.add(entry)
    return report


def verify_head(data: bytes, checkpoint: Checkpoint, witnesses: Sequence[Key]) -> Checkpoint:
    """That the log `heads` has this checkpoint, and in that round no other, of its organization;
    returns the checkpoint of `heads`. The place of an organization follows from its origin."""
    extra, index, proof, note = open_proof(data)
    name = checkpoint.origin.rpartition("/audit/")[0] + "/audit/heads"
    said: dict[str, Any] = from_json(extra or b"")
    keys = [Key(name, key.type, key.public) for key in checkpoint.signed_by]
    heads = read_checkpoint(note, keys, witnesses)
    leaf, path = ROUND.fullmatch(said["leaf"]), hashes_of(said["path"])
    require(leaf and 24 <= len(path) <= 256, "it does not have the form of a round and a path")
    hashed = sha256(LEAF + said["leaf"].encode()).digest()
    verify_inclusion(index, heads.size, hashed, proof, heads.root)
    salt = re.fullmatch(HEX, said["salt"]) and bytes.fromhex(said["salt"])
    value = sha256(b"\x08" + (salt or b"") + checkpoint.text.encode()).digest()
    place = int.from_bytes(sha256(b"\x07" + checkpoint.origin.encode()).digest(), "big")
    for height, beside in enumerate(path):
        right = place >> (256 - len(path) + height) & 1
        value = node_hash(beside, value) if right else node_hash(value, beside)
    found = bool(salt and leaf and b64encode(value).decode() == leaf[1])
    require(found, "this checkpoint is not in the place of its log")
    return heads


def verify_pack(
    path: Path,
    trust: Trust,
    question: Question | None = None,
    whole: bool = False,
    processes: int = 1,
    witnesses: Sequence[Key] = (),
) -> Report:
    """question: what it has to answer; without one it is what the pack says that it answers.
    whole: recompute every index."""
    pack = Pack(path)
    with located("checkpoint"):
        checkpoint = trust(pack.read("checkpoint"))
    manifest, windowed = pack.json("pack.json"), "zones.json" in pack.sizes
    with located("pack.json"):
        kind = str(manifest.get("kind")) if isinstance(manifest, dict) else ""
        version = kind in ("range", "leaves", "filter") and integer(manifest.get("v"), 1, 1, "v")
        require(version, "it is not that of a pack of version 1")
        key = manifest.get("key") if kind == "filter" else []
        keys: list[str] = key if isinstance(key, list) else [key]
        texts = all(isinstance(each, str) and each for each in keys)
        require(texts and bool(keys) == (kind == "filter"), "its key is not a text, or several")
        if kind == "filter" or windowed:
            since, until = (integer(manifest.get(n), 0, END_OF_TIME, n) for n in ("since", "until"))
            question = question or Question((frozenset(keys),) if keys else (), since, until)
            same = (since, until) == (question.since, question.until)
            require(same, f"it answers another window, from {iso(since)} to {iso(until)}")
            asked = kind != "filter" or frozenset(keys) in question.keys
            require(asked, "it answers another key than was asked")
    report = Report(checkpoint, kind, question or Question(), 0, checkpoint.size)
    reading = Reading(pack, manifest, report, processes, {})
    if kind == "filter":
        reading.indexed("index.json", [*dict.fromkeys([*keys, *renamings(keys)])])
    elif windowed:
        reading.indexed("zones.json", [])
    else:
        reading.range(whole)
        if question and report.end - report.first < checkpoint.size:
            report.missing.append(f"Only entries {report.first + 1:,} to {report.end:,} are in it.")
    if kind != "filter" and question and report.withheld:
        report.missing.append(f"Whether {report.withheld:,} withheld entries match is not shown.")
    if whole and (kind == "filter" or windowed):
        report.missing.append("Every index can be recomputed from a pack of all entries only.")
    check_log(pack, manifest, report)
    if "heads" in pack.sizes:
        with located("heads"):
            report.heads = verify_head(pack.read("heads"), checkpoint, witnesses)
    text = checkpoint.text.encode()
    same = "checkpoint.text" not in pack.sizes or pack.read("checkpoint.text") == text
    require(same, "it is not the text of the checkpoint", "checkpoint.text")
    require(not pack.unread, "it is not part of what is proved", min(pack.unread, default=""))
    return report


def check_log(pack: Pack, manifest: dict[str, Any], report: Report) -> None:
    """What entries about the log itself have to say: of removed ones, and of the request."""
    size, root = report.checkpoint.size, report.checkpoint.root
    with located("removed.json"):
        for each in pack.json("removed.json") if "removed.json" in pack.sizes else []:
            entry = read_line(each["line"].encode(), 0)
            verify_inclusion(entry.seq - 1, size, entry.hash, hashes_of(each["proof"]), root)
            report.special.append(entry)
    began = [each.seq for each in report.special if each.kind == b"evidence_began"]
    for number in report.removed:
        before = began and number < min(began)
        require(before, "it was removed, and not before evidence began", "", number)
    if manifest.get("request") is not None:
        with located("pack.json"):
            number = integer(manifest["request"], 1, report.end, "the number of the request")
            exports = {each.seq: each for each in report.special if each.kind == b"export"}
            report.request = exports.get(number)
            require(report.request, "its request is not an export that is in the pack")


def verify(
    path: Path,
    trust: Trust,
    question: Question | None = None,
    *,
    line: bytes | None = None,
    whole: bool = False,
    as_of: bool = False,
    witnesses: Sequence[Key] = (),
    at_least: int | None = None,
    processes: int = 1,
) -> Report:
    """A pack or a tlog-proof; raises Refused.

    trust: reads a checkpoint, as `read_checkpoint` does with the keys that are pinned. as_of: the
    answer as of the checkpoint is enough. witnesses: those that have to have seen it, or its round
    of `heads`: all, or `at_least` so many.
    """
    with path.open("rb") as file:
        start = file.read(READ)
        if start.startswith(b"c2sp.org/tlog-proof@v1\n"):
            report = verify_proof(start + file.read(LINE), line, trust)
        else:
            require(start.startswith(b"PK\3\4"), "it is neither a pack nor a tlog-proof")
            report = verify_pack(path, trust, question, whole, processes, witnesses)
    wanted, seen = {key.name for key in witnesses}, {name for name, _ in report.seen}
    if len(wanted & seen) < (len(wanted) if at_least is None else at_least):
        lacking = ", ".join(sorted(wanted - seen)) or "no others are known"
        report.missing.append(f"Too few witnesses saw this checkpoint; missing: {lacking}.")
    until, over = report.question.until, report.request.time if report.request else 0
    if not as_of and over < until < END_OF_TIME:
        to = f"; the log had come to {iso(report.reached)} UTC" if report.reached else ""
        report.missing.append(f"It is not shown that the window was over{to}.")
    return report
