"""What a user sees: data on standard output, everything else on standard error.

Names and labels come from other people and must not control the terminal, so every control and
direction character is shown as an escape instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click
import yaml
from tabulate import tabulate

from dotenv_cloud.cli.errors import Cancelled, Exit, Failure
from dotenv_cloud.cli.options import current_options

# C0, DEL and C1 control terminals; the rest reorder, hide or break text (CVE-2021-42574).
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
_UNSAFE_EXCEPT_NEWLINE = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))

GAP = "  "


def safe(value: object) -> str:
    """`value` as text that is safe to print on a terminal."""
    return _UNSAFE.sub(_escape, str(value))


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def note(message: str) -> None:
    _say("ℹ", "blue", message)


def success(message: str) -> None:
    _say("✓", "green", message)


def warn(message: str) -> None:
    _say("!", "yellow", message)


def detail(message: str) -> None:
    """One line of --debug."""
    if current_options().debug:
        click.secho(safe(message), err=True, dim=True, color=color_of(sys.stderr))


def failure(error: Failure, *, no_color: bool) -> None:
    """Prints a failure. No command is running any more, so its option is passed in."""
    mark = click.style("✗", fg="red", bold=True)
    color = False if no_color else color_of(sys.stderr)
    click.echo(f"{mark} {safe(error.message)}", err=True, color=color)
    if error.hint:
        click.echo(f"  {safe(error.hint)}", err=True)


def _say(mark: str, color: str, message: str) -> None:
    if current_options().quiet:
        return
    click.echo(
        f"{click.style(mark, fg=color)} {safe(message)}", err=True, color=color_of(sys.stderr)
    )


def color_of(stream: Any) -> bool | None:
    if current_options().no_color or os.environ.get("NO_COLOR"):
        return False
    return bool(stream.isatty())


def confirm(question: str, *, force: bool) -> None:
    """Returns if the user says yes. Without a terminal there is nobody to ask."""
    if force:
        return
    require_terminal("This needs confirmation", "Add --force to skip it.")
    if not click.confirm(safe(question), default=False, err=True):
        raise Cancelled


def require_terminal(what: str, remedy: str) -> None:
    if not sys.stdin.isatty():
        raise Failure(f"{what}, but standard input is not a terminal.", Exit.USAGE, remedy)


@contextlib.contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error for `total` steps, if that is a terminal. The block calls
    the yielded function with the number of steps just done."""
    is_watched = sys.stderr.isatty() and not current_options().quiet and total > 1
    if not is_watched:
        yield lambda steps: None
        return
    with click.progressbar(
        length=total, label=what, file=sys.stderr, color=color_of(sys.stderr)
    ) as bar:
        yield bar.update


# --- data ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    title: str
    least: int | None = None
    """How far the column may shrink on a narrow terminal; None: not at all."""
    most: int | None = None
    """Longer values are cut, however wide the terminal."""


Columns = dict[str | Column, Callable[[Any], object]]
"""The columns of a listing, each with its value of an item; one that is a text cannot shrink."""


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns; one block of lines per row where the terminal is too narrow for them."""
    cells = [
        [cut(safe(value), column.most) for column, value in zip(columns, row, strict=True)]
        for row in rows
    ]
    widths = fit(columns, cells)
    if widths is None:
        blocks = (
            [(column.title, value) for column, value in zip(columns, row, strict=True)]
            for row in cells
        )
        click.echo("\n\n".join(_block(block) for block in blocks))
        return
    aligned = [
        [cut(value, width) for value, width in zip(row, widths, strict=True)] for row in cells
    ]
    click.echo(align([column.title for column in columns], aligned))


def align(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # Titles go in as a row: tabulate makes columns wider than their titles, and lines overlong.
    text = tabulate([titles, *rows], tablefmt="plain", disable_numparse=True)
    return "\n".join(line.rstrip() for line in text.splitlines())


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one below the other."""
    click.echo(_block([(name, safe(value)) for name, value in pairs]))


def _block(pairs: Sequence[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{name:<{width}}{GAP}{value}".rstrip() for name, value in pairs)


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int] | None:
    """The width of each column, or None when the terminal cannot hold them side by side."""
    widths = [
        max([len(column.title), *(len(row[place]) for row in rows)])
        for place, column in enumerate(columns)
    ]
    available = line_width()
    if available is None:
        return widths
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - available
    while excess > 0:
        shrinkable = [
            place
            for place, column in enumerate(columns)
            if column.least is not None and widths[place] > max(column.least, len(column.title))
        ]
        if not shrinkable:
            return None
        widths[max(shrinkable, key=lambda place: widths[place])] -= 1
        excess -= 1
    return widths


def line_width() -> int | None:
    """How many characters fit on a line; None if lines are not wrapped (a pipe, a file)."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return None
    return shutil.get_terminal_size().columns


def cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else f"{text[: width - 1]}…"


def as_json(value: object) -> None:
    click.echo(json_text(value, indent=2))


def as_json_line(value: object) -> None:
    click.echo(json_text(value, indent=None))


def json_text(value: object, indent: int | None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    # Outside strings JSON has none of these characters but the newline; inside, escapes are valid.
    return _UNSAFE_EXCEPT_NEWLINE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def as_yaml(value: object) -> None:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    if _UNSAFE_EXCEPT_NEWLINE.search(text):
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=False)
    click.echo(text, nl=False)


def for_display(line: str) -> str:
    """A line from the server, made safe to print on a terminal."""
    return _UNSAFE_EXCEPT_NEWLINE.sub(_escape, line)


def as_data(format_: str, value: object) -> None:
    """`value` in the machine-readable format the user chose."""
    if format_ == "json":
        as_json(value)
    else:
        as_yaml(value)


def listing(
    format_: str,
    items: Sequence[Any],
    columns: Columns,
    *,
    empty: str,
) -> None:
    """`items` as the user chose: as data, or as a table with a value for each column. `empty`:
    what to say instead of a table without rows."""
    if format_ != "table":
        as_data(format_, items)
    elif not items:
        note(empty)
    else:
        table(
            [Column(each) if isinstance(each, str) else each for each in columns],
            [[value(item) for value in columns.values()] for item in items],
        )


def tick(value: object) -> str:
    return "✓" if value else ""
