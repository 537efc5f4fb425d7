"""A log's tree made at once, from nothing but the ledger's rows and their salts: what the worker
made in steps has to be the same."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections

from audit.entry.bulk_json import COLUMNS, Row
from audit.evidence import index, leaf, tree, writing
from audit.ledger import sealing

Connection = psycopg.Connection[Any]


def seal_all() -> None:
    while sealing.seal().is_behind:
        pass


def prove_all() -> writing.Worked:
    """Everything sealed, in trees and signed."""
    worker = writing.Worker()
    while (worked := worker.round()).is_behind:
        pass
    return worked


def size_and_root(connection: Connection, organization: uuid.UUID) -> tuple[int, bytes]:
    """What the worker wrote."""
    row = connection.execute(
        "SELECT size, edge FROM audit_head WHERE organization_id = %s", [organization]
    ).fetchone()
    return (row[0], tree.root(tree.split(row[1]))) if row else (0, tree.EMPTY)


def rows(connection: Connection, organization: uuid.UUID) -> dict[int, Row]:
    found = connection.execute(
        f"SELECT {', '.join(COLUMNS.values())} FROM audit_ledger WHERE organization_id = %s",  # type: ignore[arg-type]
        [organization],
    ).fetchall()
    return {int(row[16]): Row._make(row) for row in found}


def salts(connection: Connection, organization: uuid.UUID) -> bytes:
    return b"".join(
        run
        for (run,) in connection.execute(
            "SELECT salts FROM audit_salt WHERE organization_id = %s ORDER BY n, first",
            [organization],
        )
    )


def tiles(connection: Connection, organization: uuid.UUID, level: int = 0) -> list[bytes]:
    """All hashes of a level of tiles."""
    runs = connection.execute(
        "SELECT hashes FROM audit_tile WHERE organization_id = %s AND level = %s ORDER BY n, first",
        [organization, level],
    )
    return tree.split(b"".join(run for (run,) in runs))


def hashes_at_once(connection: Connection, organization: uuid.UUID, size: int) -> list[bytes]:
    """The leaf hashes of the first `size` numbers; of one that has no row, a removed leaf's."""
    found, salt = rows(connection, organization), salts(connection, organization)
    hashes: list[bytes] = []
    zones: list[index.Zone] = []
    subjects: list[leaf.Subjects | None] = []
    times: list[int] = []
    for place in range(size):
        commits = None
        if place and place % index.BLOCK == 0:
            block = index.block(place // index.BLOCK - 1, times, subjects)
            index.append(zones, block.number, block.zone())
            commits = leaf.Index(index.root(zones), block.number + 1)
            subjects, times = [], []
        row = found.get(place + 1)
        if row is None:
            subjects.append(None)
            hashes.append(tree.leaf_hash(leaf.removed(place + 1, commits)))
            continue
        [made] = leaf.from_rows([row])
        own = salt[16 * place : 16 * place + 16]
        subjects.append(made.subjects)
        times.append(made.time)
        hashes.append(tree.leaf_hash(made.data(leaf.digest(own, made.parts), commits)))
    return hashes


def assert_made_at_once(connection: Connection, organization: uuid.UUID) -> None:
    """The tree, all its tiles included, is the one that is made of the ledger at once."""
    size, root = size_and_root(connection, organization)
    hashes = hashes_at_once(connection, organization, size)
    assert tiles(connection, organization) == hashes
    assert tree.root_of(hashes) == root
    levels: dict[int, list[bytes]] = {}
    edge: list[bytes] = []
    for number, one in enumerate(hashes):
        for level, _, full in tree.append(edge, number, one):
            if level and level % 8 == 0:
                levels.setdefault(level // 8, []).append(full)
    for level, expected in levels.items():
        assert tiles(connection, organization, level) == expected
    assert len(salts(connection, organization)) == 16 * size


@contextmanager
def at_work() -> Iterator[None]:
    """A sealer and a worker of evidence, in a thread, for as long as this lasts."""
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                seal_all()
                prove_all()
                time.sleep(0.05)
        finally:
            connections["sealer"].close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
