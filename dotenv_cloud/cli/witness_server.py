"""`dotenv audit witness --serve`: cosigns checkpoints that are sent to it (C2SP tlog-witness).

What was cosigned last of each log is on the disk before a cosignature leaves. Bodies, time and
connections are bounded, so that no client's slowness is another's.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click

from dotenv_cloud import verifier
from dotenv_cloud.cli import checkpoints, output
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.verifier import Checkpoint, Key, Refused

LONGEST = 64 * 1024
"""Bytes of a request's body: 63 hashes and a checkpoint come to 4 KB."""
SECONDS = 10.0
"""That a request may take from its connection on."""
CONNECTIONS = 64
FROM_ONE_ADDRESS = 16
SIZE = "text/x.tlog.size"


@dataclass(frozen=True)
class Answer:
    status: int
    body: str = ""
    kind: str = "text/plain; charset=utf-8"


@dataclass
class Witness:
    """The logs that are witnessed, by origin, and what was cosigned last of each."""

    keys: dict[str, list[Key]]
    line: Callable[[str, int], str]
    directory: Path
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._locks = {origin: threading.Lock() for origin in self.keys}

    def add_checkpoint(self, body: bytes) -> Answer:
        head, separator, note = body.partition(b"\n\n")
        first, *lines = head.decode(errors="replace").split("\n")
        given = re.fullmatch(r"old (0|[1-9][0-9]{0,18})", first)
        if not separator or given is None:
            return Answer(400, "The body is `old N`, hashes, an empty line and a checkpoint.\n")
        old = int(given[1])
        origin = note.split(b"\n", 1)[0].decode(errors="replace")
        keys = self.keys.get(origin)
        if keys is None:
            return Answer(404, "This log is not witnessed here.\n")
        try:
            text, _ = verifier.verify_note(note, ())
            verifier.three_lines(text)
            proof = verifier.hashes_of(lines)
            verifier.require(len(proof) <= 63, "the proof is too long")
        except Refused as error:
            return Answer(400, f"{error}\n")
        try:
            new = verifier.read_checkpoint(note, keys)
        except Refused as error:
            return Answer(403, f"{error}\n")
        if old > new.size:
            return Answer(400, "The old size is larger than that of the checkpoint.\n")
        with self._locks[origin]:
            return self._continued(old, new, note, proof)

    def _continued(self, old: int, new: Checkpoint, note: bytes, proof: Sequence[bytes]) -> Answer:
        path = self._file(new.origin)
        known = checkpoints.parsed(kept) if (kept := checkpoints.read(path)) else None
        size = known.size if known else 0
        is_other = known is not None and new.size == size and new.root != known.root
        if is_other and not checkpoints.read(other := path.with_suffix(".other")):
            # Both are signed: together with what was cosigned it proves that the log was forked.
            checkpoints.write(other, note)
        if old != size or is_other:
            return Answer(409, f"{size}\n", SIZE)
        try:
            if known is None or size == 0:
                verifier.require(not proof, "from size 0 on there is no proof")
            else:
                verifier.verify_consistency(size, new.size, known.root, new.root, proof)
        except Refused as error:
            checkpoints.write(path.with_suffix(".refused"), note)
            return Answer(422, f"{error}\n")
        if known is None or new.size > size:
            checkpoints.write(path, note)
        return Answer(200, self.line(new.text, int(time.time())))

    def _file(self, origin: str) -> Path:
        return self.directory / hashlib.sha256(origin.encode()).hexdigest()


def serve(address: str, logs: Sequence[Key], line: Callable[[str, int], str]) -> None:
    """Answer until stopped."""
    if not logs:
        raise Failure("Name the logs that are witnessed with --log.", Exit.USAGE)
    keys: dict[str, list[Key]] = {}
    for key in logs:
        keys.setdefault(key.name, []).append(key)
    witness = Witness(keys, line, checkpoints.directory() / "witnessed")
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise Failure("--serve takes HOST:PORT, such as 127.0.0.1:7380.", Exit.USAGE)
    try:
        server = _Server((host.strip("[]"), int(port)), witness)
    except OSError as error:
        raise Failure(f"Cannot listen on {address}: {error.strerror}.") from None
    with server:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        many = f"{len(keys)} {'log' if len(keys) == 1 else 'logs'}"
        click.echo(f"Witnessing {many} on {host}:{server.server_address[1]}; stop with Ctrl-C.")
        sys.stdout.flush()
        server.serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        self.witness = witness
        self._open: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._timers: dict[Any, threading.Timer] = {}
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        who = str(client_address[0])
        with self._counting:
            full = self._open.total() >= CONNECTIONS or self._open[who] >= FROM_ONE_ADDRESS
            if not full:
                self._open[who] += 1
        if full:
            self.shutdown_request(request)
            return
        # However slowly it sends or reads: then it is over.
        timer = threading.Timer(SECONDS, _cut, [request])
        timer.daemon = True
        timer.start()
        self._timers[request] = timer
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._timers.pop(request).cancel()
            who = str(client_address[0])
            with self._counting:
                self._open[who] -= 1
                if not self._open[who]:
                    del self._open[who]

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            output.warn(f"A request failed: {error!r}")


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SECONDS
    server_version, sys_version = "dotenv-witness", ""

    def do_POST(self) -> None:
        if self.path.partition("?")[0].rstrip("/").rpartition("/")[2] != "add-checkpoint":
            self._answer(Answer(404, "There is only add-checkpoint.\n"))
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or self.headers.get("Transfer-Encoding"):
            self._answer(Answer(411, "Send Content-Length.\n"))
        elif int(length) > LONGEST:
            self._answer(Answer(413, f"The body is larger than {LONGEST:,} bytes.\n"))
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self._answer(self._cosigned(body))

    def _cosigned(self, body: bytes) -> Answer:
        try:
            return self.server.witness.add_checkpoint(body)
        except Failure as failure:
            output.warn(failure.message)
            return Answer(500, "The witness cannot keep what it saw.\n")

    def _answer(self, answer: Answer) -> None:
        data = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        output.detail(f"{self.client_address[0]} {format % args}")
