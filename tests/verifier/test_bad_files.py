"""Files made to hurt whoever verifies them: refused within a second and 100 MB."""

from __future__ import annotations

import io
import json
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dotenv_cloud import verifier
from tests.verifier.conftest import FROM, TO, Verify, refused
from tests.verifier.making import Log, canonical, zipped

GIGABYTE = 1 << 30
Files = dict[str, bytes]


def stored(path: Path, name: str, start: bytes, size: int, claimed: int | None = None) -> None:
    """A zip with one stored file: `start`, and zeros that take no place on the disk."""
    encoded = name.encode()
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 0, 0, size, size, len(encoded), 0)
    with path.open("wb") as file:
        file.write(local + encoded + start)
        file.truncate(len(local) + len(encoded) + size)
        file.seek(0, 2)
        place = file.tell()
        central = struct.pack(
            "<IHHHHHHIIIHHHHHII",
            0x02014B50, 20, 20, 0, 0, 0, 0, 0, size, size, len(encoded), 0, 0, 0, 0, 0, 0,
        )  # fmt: skip
        file.write(central + encoded)
        length = len(central) + len(encoded) if claimed is None else claimed
        at = place if claimed is None else max(place - claimed, 0)
        file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, length, at, 0))


def zeros(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(8 * GIGABYTE)


def zeros_like_a_zip(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(8 * GIGABYTE)


def bomb(path: Path) -> None:
    """Zeros, deflated to a thousandth."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("checkpoint", b"\0" * (64 << 20))


def bomb_that_lies(path: Path) -> None:
    bomb(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 64 << 20), struct.pack("<I", 1000)))


def many_files(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(11_000):
            archive.writestr(f"entries/{number:012}.ndjson", b"")


def overlapping(path: Path) -> None:
    """Many names for the same megabytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("entries/000000000000.ndjson", random.Random(1).randbytes(1 << 12) * 100)
    whole = data.getvalue()
    end = whole.index(b"PK\1\2")
    entry = whole[end : whole.index(b"PK\5\6")]
    names = [entry.replace(b"000000000000", b"%012d" % number) for number in range(9_000)]
    directory = b"".join(names)
    last = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 9_000, 9_000, len(directory), end, 0)
    path.write_bytes(whole[:end] + directory + last)


HUGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "zeros": (zeros, "it is neither a pack nor a tlog-proof"),
    "zeros like a zip": (zeros_like_a_zip, "the pack: it is damaged or malformed"),
    "a checkpoint of 2 GB": (
        lambda path: stored(path, "checkpoint", b"", 2 * GIGABYTE),
        "checkpoint: it is larger than 1,048,576 bytes",
    ),
    "a directory of 1 GB": (
        lambda path: stored(path, "checkpoint", b"", 2 * GIGABYTE, claimed=GIGABYTE),
        "the pack: its directory is too large",
    ),
    "a bomb": (bomb, "checkpoint: it is too large or packed too tightly"),
    "a bomb that lies": (bomb_that_lies, "checkpoint"),
    "too many files": (many_files, "the pack: "),
    "overlapping files": (overlapping, "the pack: "),
}

ASK = """
import json, re, sys, time
from pathlib import Path
from dotenv_cloud import verifier
for path in sys.argv[2:]:
    begun = time.process_time()
    try:
        key = verifier.Key.parse(sys.argv[1])
        verifier.verify(Path(path), lambda note: verifier.read_checkpoint(note, [key]))
        said = "OK"
    except verifier.Refused as error:
        said = str(error)
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    print(json.dumps([said, time.process_time() - begun, peak // 1024]), flush=True)
"""


def asked(key: str, *paths: Path) -> list[tuple[str, float, int]]:
    """What the verifier says of each, in how many seconds, and megabytes so far."""
    command = [sys.executable, "-c", ASK, key, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_huge_files_are_refused_at_once(tmp_path: Path) -> None:
    paths = []
    for name, (make, _) in HUGE.items():
        paths.append(tmp_path / name)
        make(paths[-1])
    said = asked(Log().signer.vkey, *paths)
    for (name, (_, message)), (text, seconds, megabytes) in zip(HUGE.items(), said, strict=True):
        assert message in text, name
        assert seconds < 1, (name, seconds)
        assert megabytes < 100, (name, megabytes)


def test_lines_without_end_are_refused_at_once(tmp_path: Path) -> None:
    """Behind a checkpoint and a manifest that are right."""
    log = Log().fill(3)
    files = log.range()
    starts = {
        "zeros": b"",
        "an object and zeros": b'{"leaf":',
        "blanks": b" " * (8 << 20),
        "empty lines": b"\n" * (8 << 20),
    }
    paths = []
    for name, start in starts.items():
        paths.append(tmp_path / name)
        entries = start + bytes((8 << 20) - len(start))
        content = files | {"entries/000000000000.ndjson": entries}
        paths[-1].write_bytes(zipped(content, zipfile.ZIP_STORED))
    for name, (text, seconds, megabytes) in zip(
        starts, asked(log.signer.vkey, *paths), strict=True
    ):
        assert text.startswith("entries/000000000000.ndjson"), (name, text)
        assert seconds < 1 and megabytes < 100, (name, seconds, megabytes)


@pytest.mark.parametrize(
    "name",
    ["../checkpoint", "/etc/passwd", "entries/../x.ndjson", "entries/1.ndjson", "OK", "a\\b"],
)
def test_paths_that_are_not_of_a_pack(name: str, verify: Verify) -> None:
    said = verify(Log().fill(3).range() | {name: b"OK"})
    refused(said, "it is not a file of a pack")


def test_files_given_twice(verify: Verify) -> None:
    data = io.BytesIO(zipped(Log().fill(3).range()))
    with zipfile.ZipFile(data, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("checkpoint", b"another")
    refused(verify(data.getvalue()), "the pack: a file is twice in it, or too many")


def test_files_left_over(verify: Verify) -> None:
    files = Log().fill(3).range()
    for name in ("tail.ndjson", "proof", "index.json", "entries/000000065536.ndjson"):
        refused(verify(files | {name: b""}), f"{name}: it is not part of what is proved")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing(method: int, verify: Verify) -> None:
    said = verify(zipped(Log().fill(3).range(), method))
    refused(said, "it is packed in another way than packs are")


@pytest.mark.parametrize("name", ["checkpoint", "pack.json", "entries/000000000000.ndjson"])
def test_files_that_are_missing(name: str, verify: Verify) -> None:
    files = Log().fill(3).range()
    del files[name]
    refused(verify(files), f"{name}: it is missing")


def test_a_zip_cut_anywhere(verify: Verify) -> None:
    data, draw = zipped(Log().fill(3).range()), random.Random(2)
    for _ in range(10):
        refused(verify(data[: draw.randrange(len(data))]))


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"v":1,"v":1}',
        b'{"v":1.0}',
        b'{"v":NaN}',
        b"9" * 100_000,
        b"\xff",
        b"null",
        b'{"v":1,"kind":"filter","key":[],"since":0,"until":1}',
        b'{"v":1,"kind":"filter","key":[1],"since":0,"until":1}',
        b'{"v":1,"kind":"range","first":true,"entries":3,"edge":[]}',
        b'{"v":1,"kind":"range","first":0,"entries":3,"edge":["AA=="]}',
        b'{"v":1,"kind":"range","first":0,"entries":3}',
        b'{"v":1,"kind":"range","first":0,"entries":3,"edge":[],"request":[]}',
    ],
)
def test_manifests_of_another_form(text: bytes, verify: Verify) -> None:
    refused(verify(Log().fill(3).range() | {"pack.json": text}), "pack.json: ")


@pytest.mark.parametrize(
    "text", [b"1", b"[1]", b"{}", b'[{"line":1,"proof":[]}]', b'[{"line":"x"}]']
)
def test_proofs_of_another_form(text: bytes, verify: Verify) -> None:
    files = Log().fill(3).range()
    if text != b"{}":
        refused(verify(files | {"removed.json": text}), "removed.json: ")
    refused(verify(files | {"heads": text}), "heads: ")


VALUES: list[Any] = [None, True, 0, 1, -1, 2**63, 1.5, "", "AA==", [], [[]], {}, {"a": 1}]


def mutated(value: Any, draw: random.Random) -> Any:
    """The value with something in it replaced, left out or doubled."""
    if isinstance(value, (list, dict)) and value and draw.random() < 0.85:
        keys = list(range(len(value))) if isinstance(value, list) else list(value)
        key, copied = draw.choice(keys), value.copy()
        if isinstance(copied, list) and draw.random() < 0.2:
            copied.insert(key, copied[key]) if draw.random() < 0.5 else copied.pop(key)
        else:
            copied[key] = mutated(value[key], draw)
        return copied
    return draw.choice(VALUES)


def verified(path: Path, log: Log, files: Files) -> verifier.Report | None:
    path.write_bytes(zipped(files))
    try:
        return verifier.verify(
            path, lambda note: verifier.read_checkpoint(note, [log.signer.key]), as_of=True
        )
    except verifier.Refused:
        return None


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_changed_is_refused_or_changes_nothing(
    seed: int, log: Log, asked: Files, tmp_path: Path
) -> None:
    """Never another exception, and never another answer."""
    draw, path = random.Random(seed), tmp_path / "pack.zip"
    packs = [log.range(), asked, log.window(FROM, TO), log.filter("action\ndelete", closed=True)]
    files = packs[seed]
    plain = verified(path, log, files)
    assert plain is not None
    for _ in range(60):
        name = draw.choice([name for name in files if name != "README.txt"])
        if name.endswith(".json") and draw.random() < 0.7:
            content = canonical(mutated(json.loads(files[name]), draw))
        else:
            data = bytearray(files[name] or b"\0")
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            content = bytes(data)
        report = verified(path, log, files | {name: content})
        if report is not None and name != "pack.json":
            assert (report.matches, report.end) == (plain.matches, plain.end), (name, content)
