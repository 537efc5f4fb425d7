"""Logs are JSON with the request's id, and carry no secret that passes through them."""

from __future__ import annotations

import json
import logging
from typing import Any

import psycopg
import pytest
from django.template import Context, Template, VariableDoesNotExist
from django.urls import Resolver404, resolve

from audit import context
from audit.policy import Interface
from dotenv_cloud.observability.logging import Formatter, configuration
from organizations import ulid

TOKEN = "dotenv_01HZXK5M8N9P0Q1R2S3T4V5W6X_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4gH6jK8mN0pQ"


def written(message: str, *args: object, name: str = "test", **more: Any) -> dict[str, Any]:
    logger = logging.getLogger(name)
    record = logger.makeRecord(
        name,
        logging.ERROR,
        "file.py",
        1,
        message,
        args,
        more.get("exc_info"),
        None,
        more.get("extra"),
    )
    line = Formatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def raised(error: BaseException) -> tuple[Any, Any, Any]:
    try:
        raise error
    except type(error) as caught:
        return type(caught), caught, caught.__traceback__


def test_a_line_says_when_where_and_what() -> None:
    line = written("%s rows", 3)
    assert line.items() >= {"level": "ERROR", "logger": "test", "message": "3 rows"}.items()
    assert line["time"].endswith("Z")


def test_a_line_written_during_a_request_has_its_id() -> None:
    request_id = ulid.new()
    with context.acting_from(context.Origin(Interface.API, request_id=request_id)):
        assert written("inside")["request_id"] == ulid.to_text(request_id)
    assert "request_id" not in written("outside")


@pytest.mark.parametrize(
    ("message", "extra"),
    [
        (f"tried with {TOKEN}", None),
        (f"Authorization: Bearer {TOKEN}", None),
        ("Authorization: Bearer opaque-but-secret-0123456789", None),
        ("plain", {"header": f"Bearer {TOKEN}"}),
        ("plain", {"request": {"token": TOKEN}}),
    ],
)
def test_a_token_is_not_written(message: str, extra: dict[str, Any] | None) -> None:
    text = json.dumps(written(message, extra=extra))
    assert TOKEN not in text
    assert "opaque-but-secret" not in text


def test_an_exception_is_written_without_the_row_that_it_quotes() -> None:
    said = 'duplicate key violates "x"\nDETAIL:  Key (email)=(canary@example.com) already exists.'
    try:
        raise RuntimeError("saving failed") from psycopg.errors.UniqueViolation(said)
    except RuntimeError as error:
        line = written("failed", exc_info=(type(error), error, error.__traceback__))
    assert 'UniqueViolation: duplicate key violates "x"' in line["exc_info"]
    assert "RuntimeError: saving failed" in line["exc_info"]
    assert "test_logging.py" in line["exc_info"]
    assert "canary" not in line["exc_info"]


def test_an_exception_that_holds_a_token_is_redacted() -> None:
    line = written("failed", exc_info=raised(ValueError(f"bad key {TOKEN}")))
    assert TOKEN not in json.dumps(line)


@pytest.mark.parametrize("text", ["{{ nowhere }}", "{{ one|default:nowhere }}"])
def test_what_a_page_is_made_from_is_not_written(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A page may show a key, once; Django's message about a variable quotes all of them."""
    configured = configuration("DEBUG", None)["loggers"]["django.template"]["level"]
    caplog.set_level(configured, "django.template")
    try:
        Template(text).render(Context({"key": "canary"}))
    except VariableDoesNotExist as error:
        line = written("failed", exc_info=(type(error), error, error.__traceback__))
        assert "nowhere" in line["exc_info"]
        assert "canary" not in json.dumps(line)
    assert "canary" not in caplog.text


def test_an_unknown_path_is_not_written() -> None:
    try:
        resolve("/password/reset/MQ/canary/")
    except Resolver404 as error:
        line = written("failed", exc_info=(type(error), error, error.__traceback__))
    assert "canary" not in json.dumps(line)


def test_a_server_error_is_written_without_its_path() -> None:
    line = written("Internal Server Error: %s", "/reset/MQ/canary/", name="django.request")
    assert "canary" not in json.dumps(line)
    assert line["message"] == "server error"


@pytest.mark.parametrize(
    "why",
    [
        "CSRF cookie not set.",
        "Referer checking failed - https://example.org/canary/ does not match any trusted origins.",
    ],
)
def test_a_cross_site_refusal_is_written_without_its_path_and_where_it_came_from(why: str) -> None:
    line = written("Forbidden (%s): %s", why, "/invitations/canary", name="django.security.csrf")
    assert "canary" not in json.dumps(line)
    assert line["message"].startswith("cross-site request refused: " + why[:12])
