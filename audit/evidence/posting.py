"""Requests to services of others, which may be slow, or mean harm: one attempt, no redirect, and a
bound on the time of the whole and on the size of the answer.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

SECONDS = 10.0
"""That a request may take once it is connected, and that connecting may take."""


class PostError(RuntimeError):
    """There is no answer; the message says why."""


class Answer(NamedTuple):
    status: int
    data: bytes


def post(url: str, content: bytes, kind: str, longest: int) -> Answer:
    """Raises PostError, too if the answer has more than `longest` bytes."""
    headers = {"Content-Type": kind, "Accept-Encoding": "identity"}
    data = b""
    with (
        _Deadline() as deadline,
        httpx.Client(timeout=SECONDS, follow_redirects=False, trust_env=False) as client,
    ):
        try:
            request = client.build_request(
                "POST", url, content=content, headers=headers, extensions={"trace": deadline.traced}
            )
            response = client.send(request, stream=True)
            for part in response.iter_raw():
                data += part
                if len(data) > longest:
                    raise PostError("its answer is longer than any can be")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if deadline.is_over:
                raise PostError(f"it took longer than {SECONDS:.0f} s") from None
            raise PostError(f"it cannot be reached: {error}") from None
        if deadline.is_over:
            raise PostError(f"it took longer than {SECONDS:.0f} s")
        return Answer(response.status_code, data)


class _Deadline:
    """Ends connections. A timeout of httpx is that of one read, so an answer of a byte every nine
    seconds would take days."""

    def __init__(self) -> None:
        self.is_over = False
        self._open = contextlib.ExitStack()
        self._timers: list[threading.Timer] = []

    def __enter__(self) -> _Deadline:
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()
            timer.join()
        self._open.close()

    def traced(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            # A second handle: that of the connection is another one once it is encrypted.
            own = info["return_value"].get_extra_info("socket").dup()
            timer = threading.Timer(SECONDS, self._cut, [self._open.enter_context(own)])
            timer.daemon = True
            timer.start()
            self._timers.append(timer)

    def _cut(self, connection: socket.socket) -> None:
        self.is_over = True
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
