"""The question bar: what people type, compiled to the parameters of `audit.filters`.

    actor:jane action:delete type:environment production since:"last tuesday" -interface:admin
    who deleted the production environment last tuesday?

`name:value` is a parameter, `-name:value` its exclusion; bare words are verbs, times, `by`
somebody, or else text to look for. What was not understood is said.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError

from audit import periods
from audit.filters import ELSEWHERE, POSITION, EntryFilter
from audit.parameters import join, split, suggest
from organizations import clock

KEYWORDS: dict[str, str] = {
    name: name
    for name in EntryFilter.base_filters
    if name not in (*POSITION, "tz") and not name.startswith("exclude_")
} | {
    "by": "actor",
    "who": "actor",
    "user": "actor",
    "did": "action",
    "kind": "actor_type",
    "path": "resource",
    "from": "ip",
    "via": "interface",
    "changed": "field",
    "during": "when",
}
"""What may stand before a colon, and the parameter that it means."""

CHANGES = (
    "create",
    "update",
    "delete",
    "grant",
    "revoke",
    "rotate",
    "rewrap",
    "re_encrypt",
    "switch_custody",
    "restore",
    "purge",
    "change_password",
    "invite",
    "join",
    "leave",
    "hold",
    "lift_hold",
    "remove",
    "drop",
)
"""What "what changed?" asks for: everything that is more than looking."""

PHRASES: dict[str, tuple[str, Sequence[str]]] = {
    "created": ("action", ["create"]),
    "made": ("action", ["create"]),
    "updated": ("action", ["update"]),
    "edited": ("action", ["update"]),
    "deleted": ("action", ["delete"]),
    "removed": ("action", ["delete"]),
    "changed": ("action", CHANGES),
    "granted": ("action", ["grant"]),
    "revoked": ("action", ["revoke"]),
    "rotated": ("action", ["rotate"]),
    "retrieved": ("action", ["retrieve"]),
    "invited": ("action", ["invite"]),
    "joined": ("action", ["join"]),
    "left": ("action", ["leave"]),
    "viewed": ("action", ["view"]),
    "exported": ("action", ["export"]),
    "signed in": ("action", ["sign_in"]),
    "signed out": ("action", ["sign_out"]),
    "failed": ("result", ["failed"]),
    "denied": ("result", ["denied"]),
    "refused": ("result", ["denied"]),
    "project": ("type", ["project"]),
    "projects": ("type", ["project"]),
    "target": ("type", ["target"]),
    "targets": ("type", ["target"]),
    "environment": ("type", ["environment"]),
    "environments": ("type", ["environment"]),
    "invitation": ("type", ["invitation"]),
    "invitations": ("type", ["invitation"]),
    "member": ("type", ["membership"]),
    "members": ("type", ["membership"]),
    "api key": ("type", ["api_key"]),
    "api keys": ("type", ["api_key"]),
    "access token": ("type", ["access_token"]),
    "access tokens": ("type", ["access_token"]),
    "encryption key": ("type", ["key_version"]),
    "encryption keys": ("type", ["key_version"]),
}
"""Words that mean one thing only."""

FILLERS = frozenset(
    [
        "a",
        "all",
        "an",
        "any",
        "anybody",
        "anyone",
        "anything",
        "are",
        "at",
        "been",
        "did",
        "do",
        "does",
        "everything",
        "had",
        "has",
        "have",
        "i",
        "in",
        "is",
        "me",
        "of",
        "on",
        "show",
        "somebody",
        "someone",
        "something",
        "that",
        "the",
        "there",
        "these",
        "those",
        "to",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "with",
    ]
)
"""Words of a spoken question that say nothing to a filter. In quotes they are text like others."""

LABELS = {
    "actor": "by",
    "actor_type": "kind of actor",
    "action": "action",
    "type": "type",
    "resource": "resource",
    "result": "result",
    "ip": "from",
    "request": "request",
    "interface": "via",
    "field": "changed field",
    "q": "name contains",
}
"""How a parameter is called in what was understood."""

TIMES = ("since", "until", "when")

LONGEST_QUESTION = 1000
_LONGEST_TIME = 3  # words, such as "last 7 days"


@dataclass(frozen=True)
class Question:
    """params: for `EntryFilter` and the query string; understood: one phrase each, times as exact
    instants; unknown: what was left out, with why."""

    params: dict[str, list[str]]
    understood: list[str]
    unknown: list[str]


@dataclass(frozen=True)
class _Token:
    """`-name:"value"`; a bare word has no name."""

    text: str
    name: str = ""
    value: str = ""
    is_quoted: bool = False
    is_excluded: bool = False


@dataclass
class _Compilation:
    now: dt.datetime
    zone: dt.tzinfo
    params: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    understood: list[str] = field(default_factory=list)

    def add(self, name: str, values: Sequence[str]) -> None:
        known = self.params.setdefault(name, [])
        known += [value for value in values if value not in known]


def compile(text: str, tz: str | dt.tzinfo = "UTC", now: dt.datetime | None = None) -> Question:
    """The parameters that `text` asks for, seen from the time zone `tz`.

    Raises ValueError for a time zone that does not exist.
    """
    zone = periods.time_zone(tz) if isinstance(tz, str) else tz
    made = _Compilation(now or clock.now(), zone)
    if len(text) > LONGEST_QUESTION:
        made.unknown.append(f"everything after {LONGEST_QUESTION} characters")
    tokens = list(_tokens(text[:LONGEST_QUESTION]))
    while tokens:
        del tokens[: _take(made, tokens)]
    if made.words:
        made.add("q", [" ".join(made.words)])
    _check(made)
    if any(name in made.params for name in TIMES) and isinstance(zone, ZoneInfo):
        made.params["tz"] = [zone.key]
    return Question(made.params, made.understood, made.unknown)


def as_text(params: Mapping[str, Sequence[str]]) -> str:
    """The question that compiles to `params`; what only says where one is, is left out."""
    parts = []
    for name, values in params.items():
        if name in (*POSITION, *ELSEWHERE, "tz"):
            continue
        bare = name.removeprefix("exclude_")
        minus = "-" if bare != name else ""
        if name == "q" or name in TIMES:
            parts += [f"{bare}:{_quoted(value)}" for value in values if value.strip()]
        else:
            each = [value for text in values for value in split(text)]
            simple = [value for value in each if value == _quoted(value) and "," not in value]
            parts += [f"{minus}{bare}:{','.join(simple)}"] if simple else []
            parts += [f"{minus}{bare}:{_in_quotes(value)}" for value in each if value not in simple]
    return " ".join(parts)


# -- Reading


_TOKEN = re.compile(
    r"""(?P<minus>-?)(?:(?P<name>[A-Za-z_]+):)?"(?P<quoted>(?:\\.|[^"\\])*)"(?=\s|$)"""
    r"""|(?P<minus2>-?)(?P<name2>[A-Za-z_]+):(?P<value>\S+)"""
    r"""|(?P<word>\S+)"""
)


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        quoted = match["quoted"]
        if quoted is not None:
            value = re.sub(r"\\(.)", r"\1", quoted)
            yield _Token(match[0], (match["name"] or "").lower(), value, True, bool(match["minus"]))
        elif match["name2"] is not None:
            value = match["value"]
            yield _Token(match[0], match["name2"].lower(), value, False, bool(match["minus2"]))
        elif word := match["word"].rstrip("?!,;"):
            yield _Token(match[0], value=word)


def _quoted(value: str) -> str:
    """`value` as one word, in quotes if it needs them."""
    return value if re.fullmatch(r'[^\s"\\]+', value) else _in_quotes(value)


def _in_quotes(value: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _take(made: _Compilation, tokens: Sequence[_Token]) -> int:
    """Understand the first token, or several at once; returns how many were taken."""
    first = tokens[0]
    if first.name:
        return _take_named(made, tokens)
    if first.is_quoted:
        if first.is_excluded:
            made.unknown.append(f"{first.text}: {_SAY_WHAT}")
        else:
            made.words.append(first.value)
        return 1
    if first.value.startswith("-") and len(first.value) > 1:
        made.unknown.append(f"{first.text}: {_SAY_WHAT}")
        return 1
    return _take_words(made, tokens)


_SAY_WHAT = "say what to leave out, such as -action:view"


def _take_named(made: _Compilation, tokens: Sequence[_Token]) -> int:
    token = tokens[0]
    name = KEYWORDS.get(token.name)
    if name is None:
        made.unknown.append(f"{token.text}: {suggest(token.name, sorted(KEYWORDS))}")
        return 1
    if token.is_excluded:
        if f"exclude_{name}" not in EntryFilter.base_filters:
            made.unknown.append(f"{token.text}: {name} cannot be left out, only asked for")
            return 1
        name = f"exclude_{name}"
    taken = 1
    if name in TIMES:
        if not token.is_quoted:
            taken = _words_of_time(made, name, tokens) or 1
        made.add(name, [" ".join(part.value for part in tokens[:taken])])
    elif name == "q":
        made.words.append(token.value)
    else:
        made.add(name, [join([token.value])] if token.is_quoted else split(token.value))
    return taken


def _take_words(made: _Compilation, tokens: Sequence[_Token]) -> int:
    word = tokens[0].value.lower()
    rest = tokens[1:]
    if word in ("since", "until") and (taken := _words_of_time(made, word, rest)):
        made.add(word, [" ".join(part.value for part in rest[:taken])])
        return 1 + taken
    if word == "by" and rest and not rest[0].name:
        made.add("actor", [join([rest[0].value])])
        return 2
    # A lone number is rather part of a name than a year.
    taken = 0 if word.isdigit() or word == "now" else _words_of_time(made, "when", tokens)
    if taken:
        made.add("when", [" ".join(part.value for part in tokens[:taken])])
        return taken
    for length in (2, 1):
        phrase = " ".join(part.value.lower() for part in _bare(tokens[:length]))
        if phrase in PHRASES:
            name, values = PHRASES[phrase]
            made.add(name, values)
            return phrase.count(" ") + 1
    if word not in FILLERS:
        made.words.append(tokens[0].value)
    return 1


def _words_of_time(made: _Compilation, name: str, tokens: Sequence[_Token]) -> int:
    """How many of the first tokens together are a time; 0 if none are."""
    bare = _bare(tokens[1:_LONGEST_TIME])
    for length in range(1 + len(bare), 0, -1):
        text = " ".join(part.value for part in tokens[:length])
        if text and _resolve(made, name, text) is not None:
            return length
    return 0


def _bare(tokens: Sequence[_Token]) -> list[_Token]:
    """The tokens up to the first that is quoted or named."""
    bare = []
    for token in tokens:
        if token.name or token.is_quoted:
            break
        bare.append(token)
    return bare


def _resolve(made: _Compilation, name: str, text: str) -> periods.Period | None:
    try:
        if name == "since":
            return periods.Period(periods.resolve_since(text, made.now, made.zone), None)
        if name == "until":
            return periods.Period(None, periods.resolve_until(text, made.now, made.zone))
        return periods.resolve(text, made.now, made.zone)
    except periods.UnknownPeriodError:
        return None


# -- Checking and telling


def _check(made: _Compilation) -> None:
    """Keep what `EntryFilter` takes, and tell it; move the rest to what is unknown."""
    for name, values in list(made.params.items()):
        if name in TIMES:
            kept = _check_time(made, name, values)
        else:
            kept = [value for value in values if _is_valid(made, name, value)]
            if kept:
                made.understood.append(_tell(name, kept))
        if kept:
            made.params[name] = kept
        else:
            del made.params[name]


def _check_time(made: _Compilation, name: str, values: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for value in values:
        period = _resolve(made, name, value)
        if period is None:
            made.unknown.append(f"{name}:{_quoted(value)}: try {periods.EXAMPLES}")
        elif kept:
            made.unknown.append(f"{name}:{_quoted(value)}: give one {name} only")
        else:
            kept.append(value)
            made.understood.append(_tell_period(period, made.zone))
    return kept


def _is_valid(made: _Compilation, name: str, value: str) -> bool:
    try:
        EntryFilter.base_filters[name].field.clean([value])
    except ValidationError as error:
        made.unknown.append(f"{name}:{_quoted(value)}: {' '.join(error.messages)}")
        return False
    return True


def _tell(name: str, values: Sequence[str]) -> str:
    bare = name.removeprefix("exclude_")
    return f"{'not ' if bare != name else ''}{LABELS[bare]} {' or '.join(values)}"


def _tell_period(period: periods.Period, zone: dt.tzinfo) -> str:
    def tell(moment: dt.datetime) -> str:
        local = moment.astimezone(zone)
        offset = local.strftime("%z")
        return f"{local:%a %d %b %Y %H:%M:%S} {offset[:3]}:{offset[3:5]}"

    parts = [f"from {tell(period.since)}"] if period.since else []
    parts += [f"to before {tell(period.until)}"] if period.until else []
    return f"{' '.join(parts)} ({zone})"
