"""The site's URL map: each route with the methods that its view takes.

Read from the resolver and from the views themselves, so that a route cannot be forgotten.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

ANY = "*"
"""Stands for every method that is not named: of a view that does not say which it takes."""

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, order=True)
class Route:
    """path: such as `/api/v1/{organization}/projects`."""

    path: str
    methods: tuple[str, ...]


_CONVERTER = re.compile(r"(?<!P)<(?:[a-z]+:)?([a-z_0-9]+)>")


def readable(path: str) -> str:
    """A path of the URL map as people write it: `/{organization}/projects`."""
    return _CONVERTER.sub(r"{\1}", path)


def all_routes() -> list[Route]:
    """Every route of the site, by path. Several views at one path make one route."""
    found: dict[str, set[str]] = {}
    for path, view in _walk(get_resolver().url_patterns, "/"):
        found.setdefault(readable(path), set()).update(methods_of(view))
    return sorted(Route(path, tuple(sorted(methods))) for path, methods in found.items())


def _walk(
    patterns: list[URLPattern | URLResolver], prefix: str
) -> Iterator[tuple[str, Callable[..., Any]]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
        else:
            assert pattern.callback is not None
            yield path, pattern.callback


def methods_of(view: Callable[..., Any]) -> set[str]:
    """The methods that change or answer something; `*` for a view that takes any method."""
    view_class = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if view_class is not None:
        given = getattr(view, "initkwargs", None) or getattr(view, "view_initkwargs", {})
        allowed = given.get("http_method_names", view_class.http_method_names)
        return {
            method.upper()
            for method in _METHODS
            if method in allowed and hasattr(view_class, method)
        }
    return _restricted(view) or {ANY}


def _restricted(view: Callable[..., Any]) -> set[str]:
    """What `require_GET`, `require_http_methods` and their like let through."""
    step: Any = view
    while step is not None:
        methods = inspect.getclosurevars(step).nonlocals.get("request_method_list")
        if methods:
            return {str(method) for method in methods} - {"HEAD", "OPTIONS"}
        step = getattr(step, "__wrapped__", None)
    return set()
