"""A leaf: what the tree keeps of an entry, and what anybody needs to check it.

An entry is split into its leaf data, which is hashed as it is and never erased, and four parts,
each of which the leaf commits to with a salt of its own, so that one can be erased or withheld and
the leaf still holds. A line is the leaf data and its parts. All of it is canonical JSON (RFC 8785).

Making a leaf never fails: what readers could not take goes in as the text that it is in the
database.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as string
from typing import Any, NamedTuple

from audit import policy
from audit.entry.bulk_json import Row
from audit.entry.recorded_json import DEEPEST, LARGEST
from organizations import ulid

PART = b"\x05"
PARTS = b"\x06"
SALTS = b"dotenv-audit-salts/v1\n"
SALT = 16
"""Bytes of one."""
PART_NAMES = policy.PART_NAMES
DETAIL = PART_NAMES.index("detail")
WITHHELD = len(PART_NAMES)
"""In place of a part: the leaf itself."""
LONGEST_DETAIL = 1_048_576
"""Bytes of `changes`, and of `context`."""
LONGEST_LABEL = 2_000
LONGEST_WORD = 100
"""Bytes; the inbox takes nothing longer."""
LONGEST = 16_000
"""Bytes of leaf data, for which these two are enough."""

_KEPT = 16_384
_NO_ID = "0" * 32
_STRING = r'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00(?:0[0-7bef]|1[0-9a-f]))*"'
_ID = r'"[0-7][0-9A-HJKMNP-TV-Z]{25}"'
_NUMBER = "[1-9][0-9]{0,15}"
_HASH = '"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="'
_INDEX = rf'(?:"index":\{{"root":{_HASH},"size":{_NUMBER}\}},)?'
PATTERN = re.compile(
    rf'\{{"action":{_STRING},"actor":\{{"id":(?:{_ID}|null),"type":{_STRING}\}},'
    rf'"actor_seq":{_NUMBER},"id":{_ID},{_INDEX}"interface":{_STRING},"parts":{_HASH},'
    rf'"resource":\{{"id":(?:{_ID}|null),(?:"label":{_STRING},)?"type":{_STRING}'
    rf'(?:,"was":{_STRING})?\}},"resource_seq":{_NUMBER},"result":{_STRING},"seq":{_NUMBER},"v":1\}}'
    rf'|\{{{_INDEX}"removed":true,"seq":{_NUMBER},"v":1\}}'
)
"""Exactly what leaf data may be."""


class Index(NamedTuple):
    """What the first leaf after a full block commits to: the index of all full blocks before."""

    root: bytes
    size: int

    def member(self) -> str:
        return f'"index":{{"root":"{_base64(self.root)}","size":{self.size}}},'


class Leaf(NamedTuple):
    """An entry as the tree takes it. The leaf data is `before`, the index if there is one,
    `middle`, the parts' digest, `after`. subjects: what the block index finds it by; time:
    milliseconds."""

    seq: int
    before: str
    middle: str
    after: str
    parts: tuple[bytes, bytes, bytes, bytes]
    subjects: Subjects
    time: int

    def data(self, digest: bytes, index: Index | None) -> bytes:
        member = index.member() if index else ""
        return f"{self.before}{member}{self.middle}{_base64(digest)}{self.after}".encode()


class Subjects(NamedTuple):
    """What the index keys of an entry are made of: texts of its leaf data. hashes: of the keys, all
    that is left once the leaf is withheld."""

    actor_type: str
    actor_id: str
    action: str
    resource_type: str
    resource_id: str
    label: str | None
    was: str | None
    result: str
    interface: str
    hashes: tuple[bytes, ...] | None = None


def from_rows(rows: Sequence[Row]) -> Iterator[Leaf]:
    """The leaf of each row, which has a number."""
    keys = ulid.to_texts([row.id for row in rows])
    requests = ulid.to_texts([row.request_id or _NO_ID for row in rows])
    others = list({key for row in rows for key in (row.actor_id, row.resource_id) if key})
    texts: dict[str | None, str] = dict(zip(others, ulid.to_texts(others), strict=True))
    for row, key, request in zip(rows, keys, requests, strict=True):
        leaf = _from_row(
            row,
            key,
            texts.get(row.actor_id),
            texts.get(row.resource_id),
            request if row.request_id else None,
        )
        too_long = len(leaf.before) + len(leaf.after) > LONGEST // 4 and _is_too_long(leaf)
        yield next(from_rows([_cut(row)]))._replace(parts=leaf.parts) if too_long else leaf


def _from_row(
    row: Row, key: str, actor: str | None, resource: str | None, request: str | None
) -> Leaf:
    label = row.resource_label if row.resource_type in policy.PATH_TYPES else None
    was = _was(row) if '"slug"' in row.changes else None
    return Leaf(
        int(row.seq or 0),
        f'{_who(row.action, row.actor_type, actor)}{row.actor_seq},"id":"{key}",',
        _by(row.interface),
        f'","resource":{_about(row.resource_type, resource, label, was)},'
        f'"resource_seq":{row.resource_seq},"result":{string(row.result)},"seq":{row.seq},"v":1}}',
        (
            _labelled(row.actor_label),
            _origin(row.ip, request, row.user_agent),
            _labelled(None if label is not None else row.resource_label),
            detail(row.changes, row.context),
        ),
        Subjects(
            row.actor_type,
            actor or "-",
            row.action,
            row.resource_type,
            resource or "-",
            label,
            was,
            row.result,
            row.interface,
        ),
        int(row.id[:12], 16),
    )


def removed(seq: int, index: Index | None = None) -> bytes:
    """The leaf data of a number whose entry had left before evidence began."""
    return f'{{{index.member() if index else ""}"removed":true,"seq":{seq},"v":1}}'.encode()


def is_removed(data: bytes) -> bool:
    return b'"removed":true' in data and "removed" in json.loads(data)


def withheld_subjects(hashes: Iterable[bytes]) -> Subjects:
    """Of a leaf of which only the hashes of its keys are left."""
    return Subjects("", "", "", "", "", None, None, "", "", tuple(hashes))


def subjects_of(data: bytes) -> tuple[int, Subjects]:
    """The time of an entry, in milliseconds, and what the index finds it by, of its leaf data."""
    shown = json.loads(data)
    resource, actor = shown["resource"], shown["actor"]
    return ulid.parse(shown["id"]).int >> 80, Subjects(
        actor["type"],
        actor["id"] or "-",
        shown["action"],
        resource["type"],
        resource["id"] or "-",
        resource.get("label"),
        resource.get("was"),
        shown["result"],
        shown["interface"],
    )


# -- Commitments


def new_salts(count: int) -> bytes:
    return os.urandom(SALT * count)


def part_salts(salt: bytes) -> bytes:
    """The four salts of the parts, one after the other."""
    return hashlib.sha512(SALTS + salt).digest()


def salt_of_each(salt: bytes) -> list[bytes]:
    salts = part_salts(salt)
    return [salts[SALT * number : SALT * (number + 1)] for number in range(4)]


def digest_of(commitments: Iterable[bytes]) -> bytes:
    """What the leaf has of its parts, by what it commits to of each."""
    return hashlib.sha256(PARTS + b"".join(commitments)).digest()


def commitment(number: int, salt: bytes, part: bytes) -> bytes:
    return hashlib.sha256(PART + bytes((number,)) + salt + part).digest()


def digest(salt: bytes, parts: tuple[bytes, bytes, bytes, bytes]) -> bytes:
    """What the leaf has of its parts."""
    sha256 = hashlib.sha256
    k = hashlib.sha512(SALTS + salt).digest()
    return sha256(
        PARTS
        + sha256(b"\x05\x00" + k[:16] + parts[0]).digest()
        + sha256(b"\x05\x01" + k[16:32] + parts[1]).digest()
        + sha256(b"\x05\x02" + k[32:48] + parts[2]).digest()
        + sha256(b"\x05\x03" + k[48:] + parts[3]).digest()
    ).digest()


# -- Lines


def line(data: bytes, parts: Sequence[bytes], salt: bytes, redacted: Iterable[int] = ()) -> bytes:
    """Leaf data and parts, as packs have them, without the end of the line. Of `redacted` parts
    only what the leaf commits to is given."""
    salts = salt_of_each(salt)
    hidden = {number: commitment(number, salts[number], parts[number]) for number in redacted}
    if hidden:
        return redacted_line(data, parts, salts, hidden)
    pieces = [b'{"leaf":' + data, *_named_parts(parts), f'\t"salt":"{salt.hex()}"}}'.encode()]
    return b",".join(pieces)


def redacted_line(
    data: bytes,
    parts: Sequence[bytes],
    salts: Sequence[bytes | None],
    hidden: Mapping[int, bytes],
) -> bytes:
    """A line in which the `hidden` parts are given by their commitments; salts: of each part, none
    of a hidden one."""
    shown = [
        f'"sha256:{hidden[number].hex()}"'.encode() if number in hidden else part
        for number, part in enumerate(parts)
    ]
    given = (
        "null" if number in hidden or salt is None else f'"{salt.hex()}"'
        for number, salt in enumerate(salts)
    )
    ending = f'\t"salts":[{",".join(given)}]}}'.encode()
    return b",".join([b'{"leaf":' + data, *_named_parts(shown), ending])


def _named_parts(parts: Sequence[bytes]) -> list[bytes]:
    named = zip(PART_NAMES, parts, strict=True)
    return [f'\t"{name}":'.encode() + part for name, part in named]


def bare(data: bytes) -> bytes:
    """The line of a leaf that has no parts: one that was removed."""
    return b'{"leaf":' + data + b"}"


def withheld(leaf_hash: bytes) -> bytes:
    """The line of a leaf that is proved to be there and not shown."""
    return f'{{"leaf":"sha256:{leaf_hash.hex()}"}}'.encode()


# -- Pieces


@lru_cache(64)
def _by(interface: str) -> str:
    return f'"interface":{string(interface)},"parts":"'


@lru_cache(_KEPT)
def _who(action: str, type_name: str, key: str | None) -> str:
    return (
        f'{{"action":{string(action)},"actor":{{"id":{_quoted(key)},"type":{string(type_name)}}},'
        '"actor_seq":'
    )


@lru_cache(_KEPT)
def _about(type_name: str, key: str | None, label: str | None, was: str | None) -> str:
    named = f'"label":{string(label)},' if label is not None else ""
    before = f',"was":{string(was)}' if was is not None else ""
    return f'{{"id":{_quoted(key)},{named}"type":{string(type_name)}{before}}}'


@lru_cache(_KEPT)
def _labelled(label: str | None) -> bytes:
    return f'{{"label":{"null" if label is None else string(label)}}}'.encode()


def _origin(ip: str | None, request: str | None, user_agent: str) -> bytes:
    return (
        f'{{"ip":{string(ip) if ip else "null"},"request_id":{_quoted(request)},'
        f'"user_agent":{string(user_agent)}}}'
    ).encode()


def detail(changes: str, context: str) -> bytes:
    """Part 3, of two columns as the database writes them."""
    if changes == context == "{}":
        return b'{"changes":{},"context":{}}'
    is_short = max(len(changes), len(context)) <= LONGEST_DETAIL // 4
    cut = "" if is_short else _cut_member(changes, context)
    return f'{{"changes":{_canonical(changes)},"context":{_canonical(context)}{cut}}}'.encode()


def _quoted(key: str | None) -> str:
    return f'"{key}"' if key else "null"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -- Canonical JSON of what a column holds

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_encode_in_order = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _canonical(text: str) -> str:
    """The JSON that a column holds in canonical form, or else as one string."""
    if text == "{}":
        return text
    return _canonical_of_short(text) if len(text) < 200 else _canonical_of(text)


@lru_cache(4_096)
def _canonical_of_short(text: str) -> str:
    return _canonical_of(text)


def _canonical_of(text: str) -> str:
    if _is_longer(text, LONGEST_DETAIL):
        return string(_shortened(text, LONGEST_DETAIL))
    if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
        return string(text)
    try:
        value = _decoder.decode(text)
    except ValueError:
        return string(text)
    if text.isascii() or max(text) < "\ue000":
        return _encode(value)
    return _encode_in_order(_in_order(value))


def _cut_member(changes: str, context: str) -> str:
    is_cut = _is_longer(changes, LONGEST_DETAIL) or _is_longer(context, LONGEST_DETAIL)
    return ',"cut":true' if is_cut else ""


def _is_longer(text: str, most: int) -> bool:
    return len(text) > most // 4 and len(text.encode()) > most


def _shortened(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


def _depth(text: str) -> int:
    """How deep its brackets are nested, those in strings aside; of any text, without recursion."""
    depth = deepest = 0
    for piece in _BRACKETS_AND_STRINGS.findall(text):
        if piece in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif piece in ("]", "}"):
            depth -= 1
    return deepest


_BRACKETS_AND_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def _in_order(value: Any) -> Any:
    """With members sorted as RFC 8785 wants: by UTF-16, which differs from the order of code points
    once there are some beyond 0xFFFF."""
    if isinstance(value, dict):
        return {
            name: _in_order(value[name])
            for name in sorted(value, key=lambda name: name.encode("utf-16-be"))
        }
    return [_in_order(each) for each in value] if isinstance(value, list) else value


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(number := int(digits)) > LARGEST:
        raise ValueError("not a safe integer")
    return number


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is not an integer")


_decoder = json.JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)


# -- What it was called before

_RENAMED = frozenset({"organization", "project", "target", "environment"})


def _was(row: Row) -> str | None:
    """The label before this entry's update renamed what it is about; None if it did not."""
    if row.action != "update" or row.resource_type not in _RENAMED:
        return None
    try:
        changes = json.loads(row.changes)
        [former, _now] = changes["slug"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(former, str):
        return None
    above, slash, _own = row.resource_label.rpartition("/")
    return f"{above}{slash}{former}"


# -- What no inbox would have taken


def _is_too_long(leaf: Leaf) -> bool:
    return len(leaf.data(bytes(32), Index(bytes(32), LARGEST))) > LONGEST


def _cut(row: Row) -> Row:
    """With labels and words as long as the inbox takes them: somebody got around it."""
    words = ("actor_type", "action", "resource_type", "result", "interface")
    shorter = {name: _shortened(getattr(row, name), LONGEST_WORD) for name in words}
    return row._replace(
        **shorter,
        resource_label=_shortened(row.resource_label, LONGEST_LABEL),
        changes=row.changes if len(row.changes) < LONGEST // 8 else "{}",
    )
