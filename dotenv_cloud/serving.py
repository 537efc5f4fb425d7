"""A gunicorn worker in which slow clients do not occupy threads that others need.

gunicorn manages the processes; waitress handles the connections: one thread reads whole requests
and sends responses for all of them, so the application's threads never wait for half a header or a
slow reader. At most 16 MiB of a response are buffered (mostly in a temporary file); beyond that its
thread waits too. Only exports get there, and `audit.export.download` limits those.

Health checks, sign-in and requests that wait have threads of their own. Clients that barely send or
read are cut off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer, UnixWSGIServer
from waitress.task import ThreadedTaskDispatcher

from audit.questions import waiting

LANES = {"/health": 1, "/metrics": 1, "/sign-in": 2}
"""Prefixes of paths that have threads of their own, and how many."""
WAITING = waiting.MOST_AT_ONCE + 2
"""Threads for requests with `wait=`: as many as may wait, and some to refuse further ones."""

PATIENCE = 30
"""Seconds over which a client's speed is measured while something waits for it."""
SLOWEST = 1024
"""Bytes a second below which it is cut off."""


class Channel(HTTPChannel):
    """A connection that knows whether its client makes progress."""

    moved = 0
    _looked_at: tuple[float, int] | None = None

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close=do_close)
        self.moved += sent
        return sent

    def received(self, data: bytes) -> bool:
        self.moved += len(data)
        received: bool = super().received(data)
        return received

    def is_stalled(self, now: float) -> bool:
        """Whether the client reads its response, or sends its request, slower than SLOWEST."""
        is_waiting = self.total_outbufs_len > 0 or (self.request is not None and not self.requests)
        if not is_waiting:
            self._looked_at = None
            return False
        if self._looked_at is None:
            self._looked_at = now, self.moved
            return False
        since, moved = self._looked_at
        if now - since < PATIENCE:
            return False
        self._looked_at = now, self.moved
        return self.moved - moved < SLOWEST * (now - since)


class _Server:
    """A listening socket that checks its connections now and then."""

    channel_class = Channel
    active_channels: dict[int, Channel]

    def maintenance(self, now: float) -> None:
        super().maintenance(now)  # type: ignore[misc]
        for channel in list(self.active_channels.values()):
            if channel.is_stalled(now):
                channel.handle_close()


class TcpServer(_Server, TcpWSGIServer):
    pass


class UnixServer(_Server, UnixWSGIServer):
    pass


class Lanes:
    """Threads for the application, and some for requests that must not wait behind others."""

    def __init__(self, threads: int) -> None:
        self._ordinary = _dispatcher(threads)
        self._own = {path: _dispatcher(count) for path, count in LANES.items()}
        self._waiting = _dispatcher(WAITING)

    def add_task(self, channel: Channel) -> None:
        self._lane(channel.requests[0]).add_task(channel)

    def _lane(self, request: Any) -> ThreadedTaskDispatcher:
        path = request.path or ""
        for start, lane in self._own.items():
            if path.startswith(start):
                return lane
        if "/audit/entries" in path and "wait=" in (request.query or ""):
            return self._waiting
        return self._ordinary

    def shutdown(self) -> None:
        for lane in (*self._own.values(), self._waiting, self._ordinary):
            lane.shutdown(timeout=1)


def _dispatcher(threads: int) -> ThreadedTaskDispatcher:
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(threads)
    return dispatcher


class BufferingWorker(Worker):
    """`worker_class` of dotenv_cloud.gunicorn_config. Of gunicorn's settings it uses `threads`,
    `worker_connections`, `max_requests`, `timeout` and `graceful_timeout`."""

    def run(self) -> None:
        connections: dict[int, Any] = {}
        lanes = Lanes(self.cfg.threads)
        adjustments = self._adjustments()
        servers = [
            self._listen(listener.sock, connections, lanes, adjustments)
            for listener in self.sockets
        ]
        while self.alive:
            self.notify()
            wasyncore.loop(timeout=1, use_poll=True, map=connections, count=1)
            if self.ppid != os.getppid():
                self.log.info("The parent process has ended; stopping.")
                break
        for server in servers:
            server.accepting = False
            server.del_channel()
            server.socket.close()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < deadline and any(map(_is_at_work, servers)):
            self.notify()
            wasyncore.loop(timeout=0.1, use_poll=True, map=connections, count=1)
        lanes.shutdown()

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.nr += 1
        if self.nr >= self.max_requests:
            self.alive = False  # the master starts another
        answer: Iterable[bytes] = self.wsgi(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD":
            return answer
        if close := getattr(answer, "close", None):
            close()
        return [b""]

    def _adjustments(self) -> Adjustments:
        return Adjustments(
            ident=None,
            connection_limit=self.cfg.worker_connections,
            channel_timeout=60,
            cleanup_interval=5,
            max_request_header_size=32 * 1024,
            # The application has its own limits and messages; this is for bodies that it does not
            # even begin to read.
            max_request_body_size=settings.CLIENT_ROTATION_MAX_BYTES + 1024 * 1024,
            inbuf_overflow=128 * 1024,
            outbuf_overflow=128 * 1024,
            # TrustedProxyMiddleware decides what to believe, for every server alike.
            clear_untrusted_proxy_headers=False,
            asyncore_use_poll=True,
            log_socket_errors=False,
        )

    def _listen(
        self, listener: Any, connections: dict[int, Any], lanes: Lanes, adjustments: Adjustments
    ) -> Any:
        is_unix = isinstance(listener.getsockname(), str | bytes)
        return (UnixServer if is_unix else TcpServer)(
            self.answer,
            connections,
            _sock=listener,
            dispatcher=lanes,
            adj=adjustments,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )


def _is_at_work(server: Any) -> bool:
    """Whether a response is still to be sent."""
    return any(
        channel.requests or channel.total_outbufs_len for channel in server.active_channels.values()
    )
