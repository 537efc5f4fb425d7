"""What was made of a log, out of the database: checkpoints, hashes of the tree, leaves and lines.

A leaf is made anew of its entry and compared with the hash in its tile before it leaves: what does
not match is never shown, and never "repaired". Everything here is within the tenant scope of the
caller's transaction.
"""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connections

from audit.entry import bulk_json
from audit.evidence import index, leaf, notes, tiles, tree
from audit.evidence.leaf import Subjects
from audit.ledger.sealing import FIELD_BLOCK
from audit.models import Entry
from audit.policy import keeps_detail

NOTHING: Mapping[int, bytes] = {}
CHUNK = 2_048
"""Entries that are read at once, at most; a multiple of a tile."""


class MismatchError(RuntimeError):
    """An entry does not give the hash that its tile has."""

    def __init__(self, organization: uuid.UUID, seq: int) -> None:
        super().__init__(
            f"entry {seq} does not give the hash in its tile: it, or the tile, was changed after it"
            " was sealed"
        )
        self.organization, self.seq = organization, seq


class MissingHashesError(RuntimeError):
    """A tile lacks hashes that the log's size says are there."""


class Checkpoint(NamedTuple):
    """A signed head."""

    organization: uuid.UUID
    size: int
    note: str
    signed_at: dt.datetime | None = None

    @property
    def origin(self) -> str:
        return self.note.split("\n", 1)[0]

    @property
    def root(self) -> bytes:
        return base64.b64decode(self.note.split("\n", 3)[2])


class Leaf(NamedTuple):
    """A leaf of a log's tree. data: None if its entry left under retention, or it is withheld, and
    its hash alone is known; parts: None of one that was removed before evidence began, too.

    salt: None where a part was erased; then salts has those of the parts that stay, and erased what
    the leaf commits to of the others. keeps_detail: see `policy.keeps_detail`. is_withheld: it was
    erased as a whole, so that an archive that has it still must not give it back.
    """

    seq: int
    hash: bytes
    data: bytes | None
    parts: tuple[bytes, bytes, bytes, bytes] | None
    salt: bytes | None
    salts: Mapping[int, bytes] = NOTHING
    erased: Mapping[int, bytes] = NOTHING
    keeps_detail: bool = False
    is_withheld: bool = False

    def subjects(self) -> Subjects | None:
        """What the index finds it by; None of one that was removed before evidence began."""
        if self.data is None or self.is_removed:
            return None
        return leaf.subjects_of(self.data)[1]

    def time(self) -> int:
        """Of an entry with leaf data, in milliseconds since 1970."""
        assert self.data is not None
        return leaf.subjects_of(self.data)[0]

    @property
    def is_removed(self) -> bool:
        return self.parts is None and self.data is not None and leaf.is_removed(self.data)

    def line(self, redacted: Collection[int] = ()) -> bytes:
        """As packs have it, without the end of the line. redacted: parts of which only what the
        leaf commits to is given; what was erased is so in any case."""
        if self.is_removed and self.data is not None:
            return leaf.bare(self.data)
        if self.data is None or self.parts is None:
            return leaf.withheld(self.hash)
        if self.keeps_detail:
            redacted = [number for number in redacted if number != leaf.DETAIL]
        if self.salt is not None:
            return leaf.line(self.data, self.parts, self.salt, redacted)
        hidden = {number: self.commitment(number) for number in {*self.erased, *redacted}}
        salts = [self.salts.get(number) for number in range(4)]
        return leaf.redacted_line(self.data, self.parts, salts, hidden)

    def part_salts(self) -> Mapping[int, bytes]:
        """The salts of its parts, those that were erased aside."""
        return dict(enumerate(leaf.salt_of_each(self.salt))) if self.salt else self.salts

    def commitment(self, number: int) -> bytes:
        """What the leaf commits to of a part."""
        assert self.parts is not None
        known = self.erased.get(number)
        return known or leaf.commitment(number, self.part_salts()[number], self.parts[number])


class SigningKey(NamedTuple):
    number: int
    public: bytes
    announcement: str
    since: Any


_CHECKPOINT = """
    SELECT c.size, c.note || COALESCE(w.lines, '') AS note, c.signed_at
    FROM audit_checkpoint c
    LEFT JOIN LATERAL (
        SELECT string_agg(line || E'\\n' || CASE WHEN first_line = line THEN ''
            ELSE first_line || E'\\n' END, '' ORDER BY first_at, vkey) AS lines
        FROM audit_cosignature
        WHERE organization_id = c.organization_id AND size = c.size
    ) AS w ON true
    WHERE c.organization_id = %s AND c.size >= %s
"""
"""A checkpoint with its cosignatures: of each witness the last, and the first if that differs."""


def newest(
    organization: uuid.UUID, using: str = "default", *, at_least: int = 0
) -> Checkpoint | None:
    """The checkpoint that was signed last; None if there is none, or none of this size."""
    found = _rows(
        using,
        f"{_CHECKPOINT} ORDER BY c.size DESC LIMIT 1",
        [organization, at_least],
    )
    return Checkpoint(organization, *found[0]) if found else None


def first(organization: uuid.UUID, *, at_least: int, using: str = "default") -> Checkpoint | None:
    """The smallest checkpoint of this size or a larger one."""
    found = _rows(
        using,
        f"{_CHECKPOINT} ORDER BY c.size LIMIT 1",
        [organization, at_least],
    )
    return Checkpoint(organization, *found[0]) if found else None


def of_size(organization: uuid.UUID, size: int, using: str = "default") -> Checkpoint | None:
    """The checkpoint of exactly this size."""
    found = first(organization, at_least=size, using=using)
    return found if found and found.size == size else None


def continues(organization: uuid.UUID, old: int, root: bytes, using: str = "default") -> bool:
    """Whether the log's tree had this root when it had this size."""
    if not old:
        return root == tree.EMPTY
    if old > size(organization, using):
        return False
    return tree.subtree(Tree(organization, using), 0, old) == root


def keep(checkpoint: Checkpoint, using: str = "default") -> None:
    """Keep it for good: somebody gets it."""
    _rows(
        using,
        "SELECT audit_keep_checkpoint(%s, %s)",
        [checkpoint.organization, checkpoint.size],
    )


def signing_keys(using: str = "default") -> list[SigningKey]:
    """Every key that checkpoints were signed with, the oldest first."""
    rows = _rows(
        using,
        "SELECT number, public_key, announcement, since FROM audit_signing_key ORDER BY number",
        [],
    )
    return [SigningKey(number, bytes(public), note, since) for number, public, note, since in rows]


def vkeys(origin: str, using: str = "default") -> list[str]:
    """The public keys of the service under the name of a log, as C2SP signed-note has them."""
    return [notes.vkey(origin, key.public) for key in signing_keys(using)]


def fork(organization: uuid.UUID, using: str = "default") -> int:
    """The number of the log's last fork; 0 if it has none."""
    [(number,)] = _rows(
        using, "SELECT max(number) FROM audit_fork WHERE organization_id = %s", [organization]
    )
    return number or 0


def size(organization: uuid.UUID, using: str = "default") -> int:
    """How many leaves the log's tree has, signed or not."""
    found = _rows(using, "SELECT size FROM audit_head WHERE organization_id = %s", [organization])
    return int(found[0][0]) if found else 0


class Tree:
    """The hashes of a log's tree, looked up as they are asked for."""

    def __init__(self, organization: uuid.UUID, using: str = "default") -> None:
        self._organization, self._using = organization, using
        self._tiles: dict[tuple[int, int], bytes] = {}

    def __call__(self, level: int, place: int) -> bytes:
        """The root of a full subtree, as `tree.Nodes`."""
        tile_level, above = divmod(level, tiles.BITS)
        first = place << above
        number, offset = divmod(first, tiles.WIDTH)
        past = offset + (1 << above)
        hashes = self.tile(tile_level, number)[offset * tree.HASH : past * tree.HASH]
        if len(hashes) != tree.HASH << above:
            raise MissingHashesError(f"tile {tile_level}/{number} is not as full as the log says")
        return tree.root_of(tree.split(hashes))

    def tile(self, level: int, number: int) -> bytes:
        """The hashes that are there of a tile."""
        known = self._tiles.get((level, number))
        if known is None:
            rows = _rows(
                self._using,
                "SELECT hashes FROM audit_tile WHERE organization_id = %s AND level = %s AND n = %s"
                " ORDER BY first",
                [self._organization, level, number],
            )
            known = self._tiles[level, number] = b"".join(bytes(run) for (run,) in rows)
        return known


def leaves(
    organization: uuid.UUID, after: int, upto: int, using: str = "default"
) -> Iterator[Leaf]:
    """The leaves of the entries after a number up to another, which are in the tree. Raises
    MismatchError at the first that is not as it was sealed."""
    while after < upto:
        past = min(upto, (after // CHUNK + 1) * CHUNK)
        yield from _chunk(organization, after, past, using)
        after = past


class _Erased(NamedTuple):
    """What was erased of an entry, and the salts of what was not."""

    commitments: dict[int, bytes]
    salts: dict[int, bytes]

    @property
    def is_withheld(self) -> bool:
        return leaf.WITHHELD in self.commitments

    def digest(self, parts: Sequence[bytes]) -> bytes:
        return leaf.digest_of(
            self.commitments.get(number) or leaf.commitment(number, self.salts[number], part)
            for number, part in enumerate(parts)
        )


def _erased(organization: uuid.UUID, after: int, upto: int, using: str) -> dict[int, _Erased]:
    found: dict[int, _Erased] = {}
    for seq, part, commitment, salt in _rows(
        using,
        "SELECT seq, part, commitment, NULL::bytea FROM audit_erasure"
        " WHERE organization_id = %(log)s AND seq > %(after)s AND seq <= %(upto)s"
        " UNION ALL SELECT seq, part, NULL, salt FROM audit_salt_kept"
        " WHERE organization_id = %(log)s AND seq > %(after)s AND seq <= %(upto)s",
        {"log": organization, "after": after, "upto": upto},
    ):
        of_entry = found.setdefault(seq, _Erased({}, {}))
        if salt is None:
            of_entry.commitments[part] = bytes(commitment)
        else:
            of_entry.salts[part] = bytes(salt)
    return found


def _chunk(organization: uuid.UUID, after: int, upto: int, using: str) -> Iterator[Leaf]:
    hashes = _spread(organization, after, upto, using, "audit_tile", "hashes", tree.HASH)
    salts = _spread(organization, after, upto, using, "audit_salt", "salts", leaf.SALT)
    commits = _commitments(organization, after, upto, using)
    rows = _entries(organization, after, upto, using)
    made = {each.seq: each for each in leaf.from_rows(rows)}
    keeping = {int(row.seq or 0) for row in rows if keeps_detail(row.action, row.resource_type)}
    erased = _erased(organization, after, upto, using)
    kept: dict[int, bytes] = {}
    if len(made) < upto - after or erased:
        kept = {
            seq: bytes(data)
            for seq, data in _rows(
                using,
                "SELECT seq, leaf FROM audit_leaf_kept WHERE organization_id = %s"
                " AND seq > %s AND seq <= %s AND leaf IS NOT NULL",
                [organization, after, upto],
            )
        }
    for place, (known, salt) in enumerate(zip(hashes, salts, strict=True)):
        seq = after + place + 1
        entry, commit = made.get(seq), commits.get(seq)
        parts = entry.parts if entry else None
        gone = erased.get(seq)
        if gone is not None and gone.is_withheld:
            if gone.commitments[leaf.WITHHELD] != known:
                raise MismatchError(organization, seq)
            yield Leaf(seq, known, None, None, None, is_withheld=True)
            continue
        gone = gone if entry else None
        if gone is not None and entry is not None:
            digest = gone.digest(entry.parts)
            data = kept.get(seq) or entry.data(digest, commit)
        elif entry is not None:
            data = entry.data(leaf.digest(salt, entry.parts), commit)
        else:
            data = kept.get(seq) or leaf.removed(seq, commit)
        if tree.leaf_hash(data) == known:
            yield Leaf(
                seq,
                known,
                data,
                parts,
                salt if parts and gone is None else None,
                gone.salts if gone else NOTHING,
                gone.commitments if gone else NOTHING,
                seq in keeping,
            )
        elif entry is None and seq not in kept:
            yield Leaf(seq, known, None, None, None)
        else:
            raise MismatchError(organization, seq)


def kept_keys(organization: uuid.UUID, number: int, using: str = "default") -> index.Table | None:
    """The keys of a block not all of whose leaves are known any more, if they were kept."""
    found = _rows(
        using,
        "SELECT keys_kept FROM audit_block WHERE organization_id = %s AND n = %s"
        " AND keys_kept IS NOT NULL",
        [organization, number],
    )
    return index.read_table(bytes(found[0][0])) if found else None


def ids_between(
    organization: uuid.UUID, after: int, upto: int, using: str = "default"
) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Between which ids the entries after a number up to another are; None if none ever were."""
    ids = _rows(
        using,
        "SELECT first_id, last_id FROM audit_field WHERE organization_id = %s AND field = ''"
        " AND block BETWEEN %s AND %s",
        [organization, (after + 1) // FIELD_BLOCK, upto // FIELD_BLOCK],
    )
    return (min(row[0] for row in ids), max(row[1] for row in ids)) if ids else None


def _entries(organization: uuid.UUID, after: int, upto: int, using: str) -> Sequence[bulk_json.Row]:
    """The entries with these numbers that are in the ledger."""
    ids = ids_between(organization, after, upto, using)
    if ids is None:
        return []
    entries = Entry.objects.using(using).filter(
        organization_id=organization,
        is_sealed=True,
        id__range=ids,
        seq__gt=after,
        seq__lte=upto,
    )
    return bulk_json.read(entries)


def _spread(
    organization: uuid.UUID,
    after: int,
    upto: int,
    using: str,
    table: str,
    column: str,
    width: int,
) -> list[bytes]:
    """Hashes or salts of these numbers, one by one."""
    where = "AND level = 0" if column == "hashes" else ""
    first = after // tiles.WIDTH
    rows = _rows(
        using,
        f"SELECT n, first, {column} FROM {table} WHERE organization_id = %s {where}"
        " AND n BETWEEN %s AND %s ORDER BY n, first",
        [organization, first, (upto - 1) // tiles.WIDTH],
    )
    whole = b"".join(bytes(run) for _, _, run in rows)
    start = (after - first * tiles.WIDTH) * width
    wanted = whole[start : start + (upto - after) * width]
    if len(wanted) != (upto - after) * width:
        raise MissingHashesError(f"{table} lacks some of entries {after + 1} to {upto}")
    return [wanted[at : at + width] for at in range(0, len(wanted), width)]


def _commitments(
    organization: uuid.UUID, after: int, upto: int, using: str
) -> dict[int, leaf.Index]:
    """What the first leaves after full blocks commit to, by their numbers."""
    rows = _rows(
        using,
        "SELECT n, index_root FROM audit_block WHERE organization_id = %s AND n BETWEEN %s AND %s",
        [organization, (after - 1) // index.BLOCK - 1, (upto - 1) // index.BLOCK - 1],
    )
    return {
        (number + 1) * index.BLOCK + 1: leaf.Index(bytes(root), number + 1) for number, root in rows
    }


def _rows(
    using: str, sql: str, parameters: Sequence[Any] | Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


# -- What is answered


def proof_of(found: Leaf, checkpoint: Checkpoint, using: str = "default") -> str:
    """The tlog-proof of an entry, its line in it."""
    path = tree.inclusion(Tree(checkpoint.organization, using), found.seq - 1, checkpoint.size)
    return notes.proof(found.seq - 1, path, checkpoint.note, found.line())


def consistency(old: int, checkpoint: Checkpoint, using: str = "default") -> str:
    """That the log was of size `old` on its way to this checkpoint, as tlog-witness has it."""
    path = tree.consistency(Tree(checkpoint.organization, using), old, checkpoint.size)
    return notes.consistency(old, path, checkpoint.note)
