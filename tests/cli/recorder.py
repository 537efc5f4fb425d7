"""A server for the tests of the command: it answers as the API does and keeps what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

REPOSITORY = Path(__file__).parents[2]
ACME = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
TOKEN = f"dotenv_{ACME}_Zq3vT8yLw1KpX5nR7bD2cF9hJ4mG6sA0eUiOaWtB"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang_up_early: bool = False
    """Announce more than is sent, then close."""

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


class Server:
    """Answers each path with what a test said, in turn; the last answer stays. That commands which
    read the log ask for its checkpoint first is kept only where a test has one to answer."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def answer(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        hang_up_early: bool = False,
    ) -> None:
        answer = Answer(body, status, headers or {}, hang_up_early)
        self._answers.setdefault((method, path), []).append(answer)

    @property
    def last(self) -> Request:
        return self.requests[-1]

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def _next(self, request: Request) -> Answer:
        answers = self._answers.get((request.method, request.path))
        if answers or not request.path.endswith("/audit/checkpoint"):
            self.requests.append(request)
        if not answers:
            return Answer({"error": "not_found", "message": "There is no such thing."}, 404)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                parts = urlsplit(self.path)
                size = int(self.headers.get("Content-Length", 0))
                request = Request(
                    self.command,
                    parts.path,
                    parse_qsl(parts.query, keep_blank_values=True),
                    dict(self.headers),
                    self.rfile.read(size),
                )
                answer = server._next(request)
                self.send_response(answer.status)
                headers = {"Content-Type": "application/json", **answer.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                extra = 100 if answer.hang_up_early else 0
                self.send_header("Content-Length", str(len(answer.content) + extra))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Result]
