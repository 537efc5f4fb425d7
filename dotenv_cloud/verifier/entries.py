"""An entry: leaf data, which stays, and four parts that can be erased; and its keys in the index.

Leaf data has one form and no other, so it is matched before anything reads it as JSON.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256, sha512
from typing import Any, NamedTuple

from dotenv_cloud.verifier.trees import LEAF, Refused, from_base64, from_json, require

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
REMOVED = rf'\{{{INDEX}"removed":true,"seq":({N}),"v":1\}}'
LEAF_DATA = re.compile(f"{ENTRY}|{REMOVED}".encode())
VALUES = ",\t".join(rf'"{name}":(\{{[^\t]*\}}|"sha256:[0-9a-f]{{64}}")' for name in PARTS)
SALTS = ",".join([f'(?:"({HEX})"|null)'] * 4)
PIECES = re.compile(rf'{VALUES},\t"salt(?:":"({HEX})"|s":\[{SALTS}\])\}}'.encode())
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


def read_leaf(
    data: bytes, parts: tuple[bytes, ...] = (), commits: bytes = b"", redacted: tuple[int, ...] = ()
) -> Entry:
    """Leaf data: its one form or none; perhaps with parts, and what it then has to commit to."""
    found = LEAF_DATA.fullmatch(data)
    if found is None:
        raise Refused("the leaf does not have the form of leaf data")
    action, by, ulid, root, size, own, kind, was, of, seq, root_, size_, gone = found.groups()
    if len(data) > 16_000 or (not data.isascii() and data.decode(errors="ignore").encode() != data):
        raise Refused("the leaf is not UTF-8 of at most 16,000 bytes")
    if parts and b64encode(commits) != (own or b"")[1:-1]:
        raise Refused("its parts are not those that the leaf commits to")
    number, index = int(gone or seq), b""
    if number >= 1 << 53 or (own and (int(by) >= 1 << 53 or int(of) >= 1 << 53)):
        raise Refused("a number of the leaf is above 2^53 - 1")
    if root or root_:
        right = number % BLOCK == 1 and int(size or size_) == number // BLOCK
        require(right, "the leaf has an index that does not belong there")
        index = from_base64((root or root_)[1:-1].decode(), 32)
    hashed = sha256(LEAF + data).digest()
    if gone:
        return Entry(number, hashed, data, removed=True, index_root=index)
    name = action[1:-1] if action != b'"rotate"' else b"rotate " + kind[1:-1]
    renames = was is not None
    return Entry(number, hashed, data, False, ulid[1:-1], name, renames, index, parts, redacted)


def read_line(line: bytes, number: int) -> Entry:
    """A line of entry `number`: with four parts, withheld, or of an entry removed before."""
    leaf, tab, rest = line.partition(b",\t")
    found = PIECES.fullmatch(rest) if leaf.startswith(b'{"leaf":') else None
    if found is None:
        if withheld := WITHHELD.fullmatch(line):
            return Entry(number, bytes.fromhex(withheld[1].decode()))
        entry = read_leaf(line[8:-1]) if not tab else None
        if entry is None or not entry.removed or line != b'{"leaf":' + entry.data + b"}":
            raise Refused("it is not a line with a leaf, four parts and their salt")
        return entry
    *parts, salt, salt0, salt1, salt2, salt3 = found.groups()
    if salt:
        s = sha512(b"dotenv-audit-salts/v1\n" + bytes.fromhex(salt.decode())).digest()
        salts: list[bytes | None] = [s[:16], s[16:32], s[32:48], s[48:]]
    else:
        salts = [each and bytes.fromhex(each.decode()) for each in (salt0, salt1, salt2, salt3)]
    commitments, redacted = b"", tuple[int, ...]()
    for place, part in enumerate(parts):
        own = salts[place]
        if (part[:1] == b'"') != (own is None):
            raise Refused("what is redacted is not what has no salt")
        if own is None:
            commitments += bytes.fromhex(part[8:-1].decode())
            redacted += (place,)
        else:
            commitments += sha256(bytes((5, place)) + own + part).digest()
    entry = read_leaf(leaf[8:], tuple(parts), sha256(b"\6" + commitments).digest(), redacted)
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
