"""The HTTP client: headers, retries, pages, and errors turned into failures a user can act on."""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import importlib.metadata
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from dotenv_cloud.cli import output
from dotenv_cloud.cli.errors import Exit, Failure

Query = Sequence[tuple[str, str]]

_SECONDS_TO_ANSWER = 30
_TRIES = 4
_LONGEST_WAIT = 90
"""Seconds that a command waits in total because the server asked it to."""
_BUSY = frozenset({429, 502, 503, 504})

_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")

_KEY_ERRORS = frozenset(
    {
        "client_managed_encryption",
        "content_not_encrypted",
        "content_required_for_old_key",
        "content_undecryptable",
        "insecure_client_key",
        "key_proof_mismatch",
        "key_proof_required",
        "key_version_conflict",
        "no_active_encryption_key",
    }
)
_EXIT_BY_STATUS = {
    401: Exit.ACCESS,
    403: Exit.ACCESS,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    413: Exit.USAGE,
    422: Exit.USAGE,
    429: Exit.CONFLICT,
}


def version() -> str:
    try:
        return importlib.metadata.version("dotenv-cloud")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # run from a source tree that was not installed


class Api:
    """One server, as one principal. Use it as a context manager."""

    def __init__(
        self,
        *,
        url: str,
        url_source: str,
        token: str,
        token_source: str,
        organization: str | None,
        command: str,
        check_certificate: bool = True,
    ) -> None:
        self.url = url
        self._url_source = url_source
        self._token_source = token_source
        self._organization = organization
        self._http = httpx.Client(
            base_url=url,
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "User-Agent": f"dotenv-cli/{version()}",
                "X-Client-Command": command,
            },
            timeout=_SECONDS_TO_ANSWER,
            verify=check_certificate,
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    # --- paths ---

    @property
    def organization_or_none(self) -> str | None:
        return self._organization

    @property
    def organization(self) -> str:
        if self._organization is None:
            raise Failure(
                "No organization is selected.",
                Exit.USAGE,
                "Set DOTENV_ORGANIZATION, or give --organization.",
            )
        return self._organization

    def node(self, *segments: str) -> str:
        """The short path of a project, target or environment and what belongs to it."""
        return _path(self.organization, *segments)

    def of_organization(self, *segments: str) -> str:
        """The long path, of what belongs to the organization itself."""
        return _path("organizations", self.organization, *segments)

    # --- requests ---

    def get(self, path: str, query: Query = ()) -> dict[str, Any]:
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        return self._call("POST", path, body=body)

    def put(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        return self._call("PUT", path, body=body)

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def collection(self, path: str) -> list[dict[str, Any]]:
        """All rows of a list. Servers send it whole; if one sends pages, they are followed."""
        answer = self.get(path)
        rows = list(answer["data"])
        last_page = (answer.get("meta") or {}).get("last_page") or 1
        for page in range(2, last_page + 1):
            rows += self.get(path, [("page", str(page))])["data"]
        return rows

    @contextlib.contextmanager
    def stream(
        self, path: str, query: Query = (), seconds: float = _SECONDS_TO_ANSWER
    ) -> Iterator[httpx.Response]:
        """A successful response whose body has not been read yet. seconds: how long the server may
        be silent."""
        response = self._send("GET", path, query=query, seconds=seconds)
        try:
            with self._network_failures("GET"):
                self._refuse_errors(response)
                yield response
        finally:
            response.close()

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        response = self._send(method, path, query=query, body=body)
        with contextlib.closing(response), self._network_failures(method):
            self._refuse_errors(response)
            response.read()
        if response.status_code == httpx.codes.NO_CONTENT:
            return {}
        content = _json(response)
        if content is None:
            raise self._not_our_server(response)
        return content

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Mapping[str, object] | None = None,
        seconds: float = _SECONDS_TO_ANSWER,
    ) -> httpx.Response:
        waited = 0.0
        for attempt in range(1, _TRIES + 1):
            request = self._http.build_request(
                method, path, params=list(query) or None, json=body, timeout=seconds
            )
            started = time.monotonic()
            with self._network_failures(method):
                response = self._http.send(request, stream=True)
            output.detail(_trace(response, time.monotonic() - started))
            # A request that changes something is sent once: the first attempt may have succeeded.
            if method != "GET" or response.status_code not in _BUSY or attempt == _TRIES:
                break
            pause = _pause(response, attempt)
            if waited + pause > _LONGEST_WAIT:
                break
            response.close()
            output.note(f"The server is busy; trying again in {pause:.0f} s.")
            time.sleep(pause)
            waited += pause
        return response

    # --- failures ---

    @contextlib.contextmanager
    def _network_failures(self, method: str) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise self._unreachable("no answer") from error
        except httpx.ConnectError as error:
            raise self._unreachable(str(error)) from error
        except httpx.TimeoutException as error:
            raise Failure(
                f"{self.url} did not answer within {_SECONDS_TO_ANSWER} s.",
                hint=_doubt(method) or "Try again later.",
            ) from error
        except httpx.TransportError as error:
            raise Failure(
                f"The connection to {self.url} failed: {error}.",
                hint=_doubt(method) or "Try again.",
            ) from error

    def _unreachable(self, reason: str) -> Failure:
        hint = f"Is the server running? The address comes from {self._url_source}."
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            hint = "For a private certificate authority, set SSL_CERT_FILE to its certificate."
        if "WRONG_VERSION_NUMBER" in reason:
            return Failure(
                f"{self.url} does not speak TLS.",
                hint=f"Use http:// if that is intended. The address comes from {self._url_source}.",
            )
        said = _ERROR_NUMBER.sub("", reason)
        return Failure(f"Cannot connect to {self.url}: {said}.", hint=hint)

    def _refuse_errors(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        response.read()
        content = _json(response)
        if content is None or not isinstance(content.get("error"), str):
            raise self._not_our_server(response)
        status, name = response.status_code, content["error"]
        code = Exit.KEY if name in _KEY_ERRORS else _EXIT_BY_STATUS.get(status, Exit.ERROR)
        message = content.get("message") or f"The server refused: {name}."
        raise Failure(str(message), code, self._hint(response, str(message)), name)

    def _hint(self, response: httpx.Response, message: str) -> str:
        status = response.status_code
        if status == httpx.codes.UNAUTHORIZED:
            return (
                f"The key comes from {self._token_source}. Create a new one in the web "
                "interface, then run `dotenv login`."
            )
        if status == httpx.codes.FORBIDDEN:
            return f"The key comes from {self._token_source}; it lacks the permission for this."
        if status == httpx.codes.TOO_MANY_REQUESTS:
            seconds = f"{_retry_after(response) or 60:.0f}"
            return "" if seconds in message else f"Try again in {seconds} s."
        if status >= 500:
            request = response.headers.get("X-Request-Id")
            return f"Give the administrator the request id {request}." if request else ""
        return ""

    def _not_our_server(self, response: httpx.Response) -> Failure:
        if response.has_redirect_location:
            return Failure(
                f"{self.url} redirects to {response.headers['Location']}.",
                hint=f"Correct the address. It comes from {self._url_source}.",
            )
        kind = response.headers.get("Content-Type", "").partition(";")[0] or "no content type"
        return Failure(
            f"{self.url} does not answer like a dotEnv Cloud server "
            f"({response.status_code}, {kind}).",
            hint=f"Is the address right? It comes from {self._url_source}.",
        )


def _path(*segments: str) -> str:
    return "/api/v1/" + "/".join(quote(segment, safe="") for segment in segments)


def _json(response: httpx.Response) -> dict[str, Any] | None:
    try:
        content = response.json()
    except ValueError:  # UnicodeDecodeError is a ValueError too
        return None
    return content if isinstance(content, dict) else None


def _trace(response: httpx.Response, seconds: float) -> str:
    request = response.request
    return (
        f"{request.method} {request.url} → {response.status_code} in {seconds * 1000:.0f} ms, "
        f"request id {response.headers.get('X-Request-Id', '-')}"
    )


def _doubt(method: str) -> str:
    return "" if method == "GET" else "It may have been done anyway: check before you repeat it."


def _pause(response: httpx.Response, attempt: int) -> float:
    asked = _retry_after(response)
    if asked is not None:
        return asked
    return float(2 ** (attempt - 1)) * (1 + random.random() / 4)  # noqa: S311 - spreads clients


def _retry_after(response: httpx.Response) -> float | None:
    """What Retry-After says, in seconds: it holds a number or a date."""
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - dt.datetime.now(dt.UTC)).total_seconds())
