"""Verifying packs: `python -m benchmarks.verifying`.

A pack of all entries of a log, verified by one process and by as many as there are processors, and
the memory of the largest. It needs no database: the pack is made here, by the formulas of
docs/evidence.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256, sha512
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.report import Report
from dotenv_cloud import verifier
from dotenv_cloud.cli import evidence_verify

BUDGET = 10
"""Seconds for a million entries."""
ORIGIN = "dotenv.example.com/audit/01J5X1ABCDEFGHJKMNPQRSTVWX"
_LEAF = (
    '{"action":"update","actor":{"id":"01HZX3J5C8M4Q2V7T9W0Y6B1DE","type":"user"},"actor_seq":%d,'
    '"id":"01KBKQ0ZG0ABCDEFGHJKMNPQRS","interface":"web","parts":"%s","resource":{"id":'
    '"01J0A2B3C4D5E6F7G8H9J0K1M2","label":"storefront/backend/production","type":"environment"},'
    '"resource_seq":%d,"result":"success","seq":%d,"v":1}'
)
_PARTS = (
    b'{"label":"jane@acme.example"}',
    b'{"ip":"192.0.2.7","request_id":"01KBKQ0ZFZ0123456789ABCDEF","user_agent":"Mozilla/5.0"}',
    b'{"label":null}',
    b'{"changes":{"name":["production","live"]},"context":{}}',
)


def lines(entries: int) -> Iterator[tuple[bytes, bytes]]:
    """Each line, with the hash of its leaf."""
    names = ("actor", "origin", "resource", "detail")
    values = zip(names, _PARTS, strict=True)
    given = b"".join(b'\t"%s":%s,' % (name.encode(), part) for name, part in values)
    for number in range(1, entries + 1):
        salt = sha256(b"%d" % number).digest()[:16]
        salts = sha512(b"dotenv-audit-salts/v1\n" + salt).digest()
        committed = b"".join(
            sha256(bytes((5, place)) + salts[16 * place : 16 * place + 16] + part).digest()
            for place, part in enumerate(_PARTS)
        )
        parts = b64encode(sha256(b"\x06" + committed).digest()).decode()
        leaf = (_LEAF % (number, parts, number, number)).encode()
        line = b'{"leaf":%s,%s\t"salt":"%s"}\n' % (leaf, given, salt.hex().encode())
        yield line, sha256(b"\x00" + leaf).digest()


def make(path: Path, entries: int) -> verifier.Key:
    """The pack; returns the key of its log."""
    private = Ed25519PrivateKey.from_private_bytes(sha256(b"benchmark").digest())
    key = verifier.Key(ORIGIN, verifier.ED25519, private.public_key().public_bytes_raw())
    hashes: list[bytes] = []
    made = lines(entries)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for first in range(0, entries, verifier.FILE):
            with archive.open(verifier.file_name(first), "w") as file:
                for _ in range(min(verifier.FILE, entries - first)):
                    line, hashed = next(made)
                    hashes.append(hashed)
                    file.write(line)
        root = verifier.root_of(entries, verifier.fold(0, hashes), ())
        text = f"{ORIGIN}\n{entries}\n{b64encode(root).decode()}\n"
        signature = b64encode(key.id + private.sign(text.encode())).decode()
        archive.writestr("checkpoint", f"{text}\n— {ORIGIN} {signature}\n")
        said = {"v": 1, "kind": "range", "first": 0, "entries": entries, "edge": []}
        archive.writestr("pack.json", json.dumps(said))
    return key


def verifying(entries: int, report: Report) -> None:
    report.heading(f"A pack of {entries:,} entries, verified")
    with TemporaryDirectory(prefix="dotenv-pack-") as directory:
        path = Path(directory) / "pack.zip"
        key = make(path, entries)
        report.ratio("bytes an entry, zipped", path.stat().st_size / entries, None)
        for processes in sorted({1, os.cpu_count() or 1}):
            started, before = time.perf_counter(), _processor()
            found = verifier.verify(
                path,
                lambda note: verifier.read_checkpoint(note, [key]),
                run=evidence_verify.parallel if processes > 1 else map,
            )
            seconds = time.perf_counter() - started
            assert len(found.matches) == entries and not found.missing
            budget = BUDGET * entries / 1e6 if processes > 1 else None
            report.ratio(f"seconds, {processes} processes", seconds, budget)
            used = (_processor() - before) / entries * 1e6
            report.ratio(f"of the processor, µs an entry, {processes} processes", used, None)
        peak = max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        report.ratio("MB of memory, at most", peak / 1024, None)


def _processor() -> float:
    return sum(os.times()[:4])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    report = Report()
    verifying(parser.parse_args().entries, report)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())
