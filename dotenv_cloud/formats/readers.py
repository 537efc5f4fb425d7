"""How other programs read a `.env` file, so that ours can be written for all of them.

Four public readers, each by its documented rules and observed behavior: the hosted
product's command line, npm dotenv 17, python-dotenv 1.2 (references left as they are) and a POSIX
shell that sources the file (IEEE 1003.1, 2.2 and 2.3). Nothing is run or expanded here. Each
takes the text of a file and returns its variables, or raises UnreadError if it refuses the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dotenv_cloud.formats import env


class UnreadError(ValueError):
    """This reader refuses the file."""


class NotText:
    """A value that a shell does not take literally: it expands or runs it."""

    def __init__(self, *, runs: bool) -> None:
        self.runs = runs

    def __repr__(self) -> str:
        return f"NotText(runs={self.runs})"


RUN = NotText(runs=True)
EXPANDED = NotText(runs=False)

Read = Mapping[str, "str | NotText"]
Reader = Callable[[str], Read]


def official(text: str) -> dict[str, str]:
    """The hosted product's command line: a quote after any backslash does not close, and escapes
    are undone one kind after the other, line breaks before backslashes."""
    variables: dict[str, str] = {}
    lines = text.replace("\r\n", "\n").split("\n")
    number = 0
    while number < len(lines):
        line = lines[number].strip(env.BLANKS)
        number += 1
        key, equals, value = line.partition("=")
        if not line or line.startswith("#") or not equals:
            continue
        key = key.strip(env.BLANKS).removeprefix("export ").strip(env.BLANKS)
        if not env.KEY.fullmatch(key):
            raise UnreadError
        value = value.strip(env.BLANKS)
        quote = value[:1]
        if quote not in ("'", '"') or not quote:
            variables[key] = _undo_in_turn(env.without_comment(value))
            continue
        rest, parts = value[1:], []
        while (end := _last_unless_behind_backslash(rest, quote)) < 0:
            if number == len(lines):
                raise UnreadError
            parts.append(rest)
            rest = lines[number]
            number += 1
        variables[key] = _undo_in_turn("\n".join([*parts, rest[:end]]))
    return variables


def _last_unless_behind_backslash(text: str, quote: str) -> int:
    end = text.rfind(quote)
    while end > 0 and text[end - 1] == "\\":
        end = text.rfind(quote, 0, end)
    return end


def _undo_in_turn(value: str) -> str:
    for escape, character in (
        (r"\n", "\n"),
        (r"\r", "\r"),
        (r"\t", "\t"),
        (r"\\", "\\"),
        (r"\"", '"'),
        (r"\'", "'"),
    ):
        value = value.replace(escape, character)
    return value


_NPM_BLANKS = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""White space to JavaScript (ECMA-262, 12.2 and 12.3)."""
_NPM_LINE = re.compile(
    r"^{s}*(?:export{s}+)?([A-Za-z0-9_.-]+)(?:{s}*=|:{s}+?)"
    r"({s}*'(?:\\'|[^'])*'|{s}*\"(?:\\\"|[^\"])*\"|{s}*`(?:\\`|[^`])*`|[^#\n]+)?"
    r"{s}*(?:#.*)?$".replace("{s}", f"[{_NPM_BLANKS}]"),
    re.MULTILINE,
)


def npm_dotenv(text: str) -> dict[str, str]:
    """npm dotenv: three kinds of quotes; only in double quotes are `\\n` and `\\r` undone."""
    variables: dict[str, str] = {}
    for match in _NPM_LINE.finditer(text.replace("\r\n", "\n").replace("\r", "\n")):
        key, value = match[1], (match[2] or "").strip(_NPM_BLANKS)
        quote = value[:1]
        if quote in ("'", '"', "`") and quote and len(value) > 1 and value.endswith(quote):
            value = value[1:-1]
        if quote == '"':
            value = value.replace(r"\n", "\n").replace(r"\r", "\r")
        variables[key] = value
    return variables


_PYTHON_KEY = re.compile(r"(?:export[^\S\r\n]+)?+(?:'([^']+)'|(?!')([^=#\s]+))[^\S\r\n]*")
_PYTHON_QUOTED = {
    "'": re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL),
    '"': re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL),
}
_PYTHON_ESCAPED = {"'": re.compile(r"\\([\\'])"), '"': re.compile(r"\\([\\'\"abfnrtv])")}
_PYTHON_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_PYTHON_END = re.compile(r"(?:[^\S\r\n]*#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r|\Z)")
_PYTHON_BLANK = re.compile(r"[^\S\r\n]*")
_PYTHON_SPACE = re.compile(r"\s*")
_PYTHON_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)?")
_PYTHON_UNQUOTED = re.compile(r"[^\r\n]*")
_PYTHON_COMMENT = re.compile(r"\s+#.*")


def python_dotenv(text: str) -> dict[str, str]:
    """python-dotenv: a line that it cannot read is skipped."""
    variables: dict[str, str] = {}
    place = _skip(_PYTHON_SPACE, text.removeprefix("\ufeff"), 0)
    text = text.removeprefix("\ufeff")
    while place < len(text):
        found = None if text[place] == "#" else _python_assignment(text, place)
        if found is not None:
            key, value, place = found
            if value is None:
                variables.pop(key, None)
            else:
                variables[key] = value
        else:
            place = _skip(_PYTHON_LINE, text, place)
        place = _skip(_PYTHON_SPACE, text, place)
    return variables


def _python_assignment(text: str, place: int) -> tuple[str, str | None, int] | None:
    """Key, value and where the next line starts; None for a line that cannot be read."""
    key = _PYTHON_KEY.match(text, place)
    if key is None:
        return None
    place, value = key.end(), None
    if text.startswith("=", place):
        equals, place = place, _skip(_PYTHON_BLANK, text, place + 1)
        quote = text[place : place + 1]
        if quote == "#" and place > equals + 1:
            value = ""
        elif quote in _PYTHON_QUOTED:
            quoted = _PYTHON_QUOTED[quote].match(text, place)
            if quoted is None:
                return None
            value = _PYTHON_ESCAPED[quote].sub(
                lambda match: _PYTHON_ESCAPES.get(match[1], match[1]), quoted[1]
            )
            place = quoted.end()
        else:
            plain = _PYTHON_UNQUOTED.match(text, place)
            assert plain is not None
            value, place = _PYTHON_COMMENT.sub("", plain[0]).rstrip(), plain.end()
    end = _PYTHON_END.match(text, place)
    return None if end is None else (key[1] or key[2], value, end.end())


def _skip(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    assert found is not None
    return found.end()


_SHELL_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=")
_SHELL_RUNS = re.compile(r"\$\(|`")
_SHELL_EXPANDS = re.compile(r"\$[A-Za-z0-9_{@*#?$!'\"-]")
_SHELL_PLAIN = re.compile(r"[^\s\\'\"$`;&|<>()]+")


def shell(text: str) -> dict[str, str | NotText]:
    """A POSIX shell that sources the file. A value is NotText if the shell expands it, and RUN if
    the line would run a command. Lines that assign nothing are ignored."""
    variables: dict[str, str | NotText] = {}
    place = 0
    while place < len(text):
        start = _skip(_SHELL_BLANK, text, place)
        name = _SHELL_NAME.match(text, start)
        if name is None:
            place = _end_of_line(text, start)
            continue
        value, place = _shell_word(text, name.end())
        variables[name[1]] = value
    return variables


_SHELL_BLANK = re.compile(r"[ \t\n]*")
_SHELL_REST = re.compile(r"[ \t]*(?:[ \t]#[^\n]*)?(?:\n|\Z)")


def _end_of_line(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end + 1


def _shell_word(text: str, place: int) -> tuple[str | NotText, int]:
    """The value that the word starting here assigns, and where the next line starts."""
    start, parts = place, list[str]()
    special: NotText | None = EXPANDED if text.startswith("~", place) else None
    while place < len(text):
        character = text[place]
        if plain := _SHELL_PLAIN.match(text, place):
            parts.append(plain[0])
            place = plain.end()
            if ":~" in plain[0]:
                special = special or EXPANDED
        elif character == "'":
            end = text.find("'", place + 1)
            if end < 0:
                return RUN, len(text)
            parts.append(text[place + 1 : end])
            place = end + 1
        elif character == '"':
            quoted = _double_quoted(text, place + 1)
            if quoted is None:
                return RUN, len(text)
            inner, expands, place = quoted
            parts.append(inner)
            special = _stronger(special, expands)
        elif character == "\\":
            # A backslash at the end of a line joins it to the next one.
            parts.append("" if text.startswith("\n", place + 1) else text[place + 1 : place + 2])
            place += 2
        elif character in "$`":
            special = _stronger(special, _expansion(text, place))
            parts.append(character)
            place += 1
        else:
            break
    rest = _SHELL_REST.match(text, place)
    if rest is None:
        # A second word makes it a command with a variable of its own.
        return RUN, _end_of_line(text, max(start, place))
    value = "".join(parts)
    # A shell drops NULs from variables.
    return special or (EXPANDED if "\0" in value else value), rest.end()


def _expansion(text: str, place: int) -> NotText | None:
    if _SHELL_RUNS.match(text, place):
        return RUN
    return EXPANDED if _SHELL_EXPANDS.match(text, place) else None


def _stronger(one: NotText | None, other: NotText | None) -> NotText | None:
    return RUN if RUN in (one, other) else one or other


_DOUBLE_QUOTED = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_DOUBLE_ESCAPED = re.compile(r"\\([$`\"\\\n])")


def _double_quoted(text: str, place: int) -> tuple[str, NotText | None, int] | None:
    """Text in double quotes, what the shell expands in it, and its end; None if it never ends."""
    found = _DOUBLE_QUOTED.match(text, place)
    assert found is not None
    if not text.startswith('"', found.end()):
        return None
    bare = _DOUBLE_ESCAPED.sub("", found[0])
    special: NotText | None = None
    if _SHELL_RUNS.search(bare):
        special = RUN
    elif _SHELL_EXPANDS.search(bare):
        special = EXPANDED
    inner = _DOUBLE_ESCAPED.sub(lambda match: match[1].replace("\n", ""), found[0])
    return inner, special, found.end() + 1


READERS: dict[str, Reader] = {
    "the hosted product's command line": official,
    "npm dotenv": npm_dotenv,
    "python-dotenv": python_dotenv,
    "a shell": shell,
}
"""By the names used in messages."""


@dataclass(frozen=True)
class Difference:
    """A variable that other readers read differently. readings: reader → its reading, described
    without quoting it."""

    line: int
    key: str
    ours: str
    readings: dict[str, str]

    def __str__(self) -> str:
        groups: dict[str, list[str]] = {}
        for reader, what in self.readings.items():
            groups.setdefault(what, []).append(reader)
        others = "; ".join(f"{' and '.join(who)}: {what}" for what, who in groups.items())
        return f"line {self.line}: {self.key} is {self.ours} here. Others differ: {others}"


_REFERENCE = re.compile(r"\$(?:[A-Za-z_]|\{)")


def differences(text: str) -> list[Difference]:
    """The variables of a file that another reader reads differently from `env.parse`, by line.

    References (`$NAME`, `${NAME}`), which a shell expands and `--resolve` does too, do not count.
    Raises FormatError like `env.parse`.
    """
    ours = {one.key: one for one in env.read(text) if isinstance(one, env.Assignment)}
    readings = {name: _reading(reader, text) for name, reader in READERS.items()}
    found = []
    for key, one in ours.items():
        differing = {
            name: _described(read, key, one.value)
            for name, read in readings.items()
            if not _is_same(read, key, one.value)
        }
        if differing:
            found.append(Difference(one.line, key, _size(one.value), differing))
    return sorted(found, key=lambda each: each.line)


def _reading(reader: Reader, text: str) -> Read | None:
    try:
        return reader(text)
    except UnreadError:
        return None


def _is_same(read: Read | None, key: str, value: str) -> bool:
    if read is None:
        return False
    what = read.get(key)
    if what is EXPANDED and _REFERENCE.search(value):
        return True
    return what == value


def _described(read: Read | None, key: str, value: str) -> str:
    if read is None:
        return "refuses the file"
    what = read.get(key)
    if what is None:
        return "does not see it"
    if isinstance(what, NotText):
        return "would run part of it" if what.runs else "would expand part of it"
    return _size(what) if len(what) != len(value) else "other characters, as many"


def _size(value: str) -> str:
    return "empty" if not value else f"{len(value):,} character{'s' * (len(value) != 1)}"
