"""Slugs: how they are made from names, which are reserved, and the fields that hold them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from organizations import ulid

RESERVED_ORGANIZATION = frozenset(
    ["organizations", "organization", "user", "plans", "cli", "oauth", "admin", "api", "audit"]
)
RESERVED_PROJECT = frozenset(
    ["projects", "secrets", "members", "api-keys", "encryption-key", "audit", "audit-events"]
)
RESERVED_TARGET = frozenset(["targets", "secrets", "encryption-key"])
RESERVED_ENVIRONMENT = frozenset(["environments", "secrets"])

PATTERN = re.compile(r"[a-z0-9-]{1,50}")
"""What a reference has to look like to be worth looking up."""

_PLAIN = RegexValidator(
    r"\A[a-z0-9](?:[a-z0-9]|-(?!-|\Z))*\Z",
    "Use lower-case letters, digits and single hyphens, not at either end.",
    code="invalid_slug",
)


def refuse_ulid(value: str) -> None:
    """A slug that reads as a ULID could not be distinguished from an id in a path."""
    if ulid.PATTERN.fullmatch(value):
        raise ValidationError("A slug must not look like a ULID.", code="invalid_slug")


def slugify(name: str) -> str:
    """The slug of a name: ASCII, lower case, words joined by hyphens; `default` when empty.

    Dots become hyphens too, unlike in some clients: paths forbid them.
    """
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    hyphened = re.sub(r"[\s_.]+", "-", ascii_only)
    kept = re.sub(r"[^a-z0-9-]", "", hyphened)
    return re.sub(r"-{2,}", "-", kept).strip("-")[:50].strip("-") or "default"


def free_slug(name: str, taken: Iterable[str], reserved: Iterable[str] = (), least: int = 1) -> str:
    """The first of `name`'s slug, `slug-2`, `slug-3`… that is neither taken nor reserved."""
    unavailable = {*taken, *reserved}
    base = slugify(name)
    if len(base) < least:
        base = f"{base}-org"
    for candidate in _candidates(base):
        if candidate not in unavailable and not ulid.PATTERN.fullmatch(candidate):
            return candidate
    raise AssertionError("unreachable: candidates never end")


def _candidates(base: str) -> Iterator[str]:
    yield base
    for number in count(2):
        suffix = f"-{number}"
        yield base[: 50 - len(suffix)].rstrip("-") + suffix


class Reserved:
    """Validator: the word is part of a route, so it cannot be a slug."""

    def __init__(self, words: frozenset[str]) -> None:
        self.words = words

    def __call__(self, value: str) -> None:
        if value in self.words:
            raise ValidationError(f"“{value}” is reserved; choose another slug.", code="reserved")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reserved) and other.words == self.words

    def __hash__(self) -> int:
        return hash(self.words)

    def deconstruct(self) -> tuple[str, tuple[list[str]], dict[str, Any]]:
        return "organizations.slugs.Reserved", (sorted(self.words),), {}  # type: ignore[return-value]


class NodeSlugField(models.CharField):  # type: ignore[type-arg]
    """A slug of a project, target or environment: unique under its parent, 1–50 characters."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 50)
        super().__init__(**kwargs)
        self.validators = [*self.validators, _PLAIN, refuse_ulid]


class OrganizationSlugField(models.CharField):  # type: ignore[type-arg]
    """A slug of an organization: unique everywhere, 3–50 characters."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 50)
        kwargs.setdefault("unique", True)
        super().__init__(**kwargs)
        self.validators = [*self.validators, _PLAIN, refuse_ulid, _at_least_three]


def _at_least_three(value: str) -> None:
    if len(value) < 3:
        raise ValidationError("Use at least 3 characters.", code="invalid_slug")
    Reserved(RESERVED_ORGANIZATION)(value)
