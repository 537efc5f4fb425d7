"""docs/api.md keeps up with the routes, what they need, and the errors there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.urls import get_resolver

from audit.coverage.routes import readable
from audit.questions.filters import EntryFilter
from dotenv_cloud.api.base import ApiView

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
CALL = re.compile(r"^\| `(\w+) (\S+)` \| (.+) \|$", re.MULTILINE)


def views(patterns: list[Any], prefix: str = "/") -> Iterator[tuple[str, type[ApiView]]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from views(pattern.url_patterns, path)
            continue
        view = getattr(pattern.callback, "cls", None)
        if view and issubclass(view, ApiView) and not pattern.callback.initkwargs.get("legacy"):
            name = readable(path.removeprefix("/api/v1"))
            yield name, view


def test_every_call_is_there_with_the_ability_it_needs() -> None:
    needed = {
        (method, path): ability
        for path, view in views(get_resolver().url_patterns)
        for method, ability in view.abilities.items()
        if method != "PUT"  # the same as PATCH, as the page says
    }
    documented = {(method, path): ability for method, path, ability in CALL.findall(PAGE)}
    assert documented.keys() == needed.keys()
    for call, ability in needed.items():
        assert documented[call].startswith(f"`{ability}`" if ability else "none"), call


def test_every_error_is_there() -> None:
    source = (ROOT / "dotenv_cloud" / "api").glob("*.py")
    codes = {
        code
        for module in source
        for code in re.findall(
            r"""ApiError\(\s*\d+,\s*"(\w+)\"""", module.read_text(encoding="utf-8")
        )
    }
    assert len(codes) > 10
    # The API answers JSON to whoever, so nobody meets this one.
    assert {code for code in codes if f"`{code}`" not in PAGE} <= {"not_acceptable"}


def test_every_question_to_the_log_is_there() -> None:
    for name in EntryFilter.base_filters:
        assert f"`{name}`" in PAGE or name.startswith("exclude_"), name
