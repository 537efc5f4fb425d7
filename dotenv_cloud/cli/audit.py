"""`dotenv audit`: queries of the audit log. The filters have the names of the API's."""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from dotenv_cloud.cli import (
    checkpoints,
    evidence,
    evidence_verify,
    files,
    following,
    output,
    times,
    witness,
)
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Group, format_option
from dotenv_cloud.cli.output import Column

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_MOST_A_PAGE = 200
_DEFAULT_LIMIT = 50

Filters = Mapping[str, Any]
Entry = dict[str, Any]
Function = TypeVar("Function", bound=Callable[..., None])

# Each may be repeated or hold several comma-separated values, any of which matches.
_ANY_OF = {
    "actor": "Who: e-mail address, name of an API key, prefix (ja*), or id.",
    "actor_type": "Kind of actor: user, api_key, system, anonymous, database.",
    "actor_role": "Role that the person had then: owner, admin, member, developer, …",
    "action": "What was done: create, delete, rotate, … or a group: changes, looks,"
    " access_changes, credential_changes, security_changes.",
    "type": "Kind of resource: project, environment, key_version, api_key, …",
    "resource": "On what: a path such as my-app/backend and everything below it, or an id.",
    "result": "success, denied or failed.",
    "severity": "info, notice or warning.",
    "reason": "Part of the reason, such as wrong_password.",
    "ip": "Client address or network, such as 10.0.0.0/8.",
    "user_agent": "Part of the client's user agent, such as Firefox or curl.",
    "request": "The id of a request.",
    "id": "Any id: of an entry, request, resource or actor, or a key's fingerprint.",
    "interface": "web, api, cli, admin, command or database.",
    "field": "A field that was changed.",
    "became": "Value after a change: status:inactive, or inactive for any field.",
    "was": "Value before a change, written in the same way.",
    "hours": "Hours of the day: 9-17, 22-6, 9:30-17:15.",
    "days": "Days of the week: mon,tue, mon-fri, weekday, weekend.",
}
_NONE_OF = tuple(name for name in _ANY_OF if name not in ("request", "id"))
_ONE = {
    "since": "Not before this moment or day.",
    "until": "Not after this moment or day.",
    "when": 'A period: today, yesterday, "last tuesday", 7d, 2026-11-01..2026-11-07.',
}


def filter_options(function: Function) -> Function:
    """The filters, as options of a command."""
    options = [
        *(
            _option(f"--{_dashed(name)}", multiple=True, help=text)
            for name, text in _ANY_OF.items()
        ),
        *(
            _option(
                f"--exclude-{_dashed(name)}",
                multiple=True,
                help=f"Exclude entries that --{_dashed(name)} would match.",
            )
            for name in _NONE_OF
        ),
        click.option("-q", "--search", metavar="TEXT", help="Words in the names of resources."),
        _option("--exclude-search", multiple=True, help="Exclude resources with these words."),
        *(_option(f"--{name}", help=text) for name, text in _ONE.items()),
        _option("--tz", help="Time zone of days and of the times shown. [default: the local one]"),
        click.option("--views", is_flag=True, help="Include entries about viewing the log itself."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _option(name: str, **settings: Any) -> Callable[[Function], Function]:
    return click.option(name, metavar="VALUE", **settings)


def _dashed(name: str) -> str:
    return name.replace("_", "-")


_order_option = click.option(
    "--order",
    type=click.Choice(["newest", "oldest"]),
    default="newest",
    show_default=True,
    help="Which entries come first.",
)


@click.group("audit", cls=Group)
def audit() -> None:
    """Query the audit log: who did what, when, to what."""


audit.add_command(evidence_verify.verify)
audit.add_command(evidence.proof)
audit.add_command(evidence.keys)
audit.add_command(witness.witness)


@audit.command("list")
@click.argument("path", required=False)
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=_DEFAULT_LIMIT,
    show_default=True,
    help="Maximum number of entries.",
)
@click.option("--all", "everything", is_flag=True, help="List all matching entries.")
@_order_option
@click.option("--cursor", metavar="CURSOR", help="Continue where an earlier list ended.")
@format_option("table", "json", "ndjson", "yaml")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
def list_entries(
    path: str | None,
    limit: int,
    everything: bool,
    order: str,
    cursor: str | None,
    format_: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """List entries, newest first unless --order says otherwise.

    PATH is a project, target or environment: lists what happened to it and everything below it.
    Several words are a question, as of `dotenv audit ask`.

    \b
    Who deleted the production environment?
      dotenv audit list "who deleted the production environment?"
      dotenv audit list --action delete --type environment -q production
    What changed last Tuesday?
      dotenv audit list --when "last tuesday" --exclude-action view,sign_in
    """
    format_ = "json" if as_json else format_
    zone_name = filters["tz"] or times.local_zone()
    query = _query(path, filters, zone_name)
    query += [("order", order)] if order != "newest" else []
    reader = _Reader(query, None if everything else limit, cursor)
    with checkpoints.connect() as api:
        if format_ == "ndjson":
            for entry in reader.entries(api):
                output.as_json_line(entry)
            count = reader.count
        else:
            entries = list(reader.entries(api))
            count = len(entries)
            if format_ == "table":
                _print_answer(_answer(api, query, reader))
                _print_table(entries, _zone(zone_name))
            else:
                output.as_data(format_, entries)
    _sum_up(count, reader, zone_name)


@audit.command("ask")
@click.argument("words", nargs=-1, required=True, metavar="QUESTION")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=_DEFAULT_LIMIT,
    show_default=True,
    help="Maximum number of entries.",
)
@click.option("--all", "everything", is_flag=True, help="List all matching entries.")
@_option("--tz", help="Time zone of days and of the times shown. [default: the local one]")
@format_option("table", "json", "ndjson", "yaml")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
def ask(
    words: Sequence[str],
    limit: int,
    everything: bool,
    tz: str | None,
    format_: str,
    as_json: bool,
) -> None:
    """Ask the log in words, as on the page.

    How the question was read, and what was left out of it, is printed to standard error.

    \b
      dotenv audit ask "who deleted the production environment last tuesday?"
      dotenv audit ask failed sign-ins per day in october
      dotenv audit ask "what changed since the last rotation of storefront?"
    """
    format_ = "json" if as_json else format_
    zone_name = tz or times.local_zone()
    # A word that begins with a minus leaves something out, and is no option here.
    query = [("ask", " ".join(words)), ("tz", zone_name)]
    reader = _Reader(query, None if everything else limit, None)
    with checkpoints.connect() as api:
        if format_ == "ndjson":
            for entry in reader.entries(api):
                output.as_json_line(entry)
        else:
            entries = list(reader.entries(api))
            counts = _counted(api, query, reader.understood)
            answered = _answer(api, query, reader)
            if format_ == "table":
                _print_answer(answered)
                _print_counts(counts, reader.understood)
                if not counts:
                    _print_table(entries, _zone(zone_name))
            else:
                answer = {
                    "understood": reader.understood,
                    "answer": answered,
                    "entries": entries,
                }
                output.as_data(format_, answer | ({"counts": counts} if counts else {}))
    _sum_up(reader.count, reader, zone_name)


def _counted(
    api: Api, query: Sequence[tuple[str, str]], understood: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows of a question that asks how often, by somebody or something; else none."""
    if not understood.get("by") or not understood["is_answerable"]:
        return []
    rows: list[dict[str, Any]] = api.get(api.of_organization("audit", "counts"), query)["data"]
    return rows


def _answer(api: Api, query: Sequence[tuple[str, str]], reader: _Reader) -> str | None:
    """The line that answers a question in words, as on the page; None for any other."""
    if reader.answer is None or reader.is_answer_whole:
        return reader.answer
    # The page has the first entries only; the line is about all of them.
    answer: str | None = api.get(api.of_organization("audit", "facets"), query)["meta"]["answer"]
    return answer


def _print_answer(answer: str | None) -> None:
    if answer:
        click.echo(output.safe(answer))


def _print_counts(rows: Sequence[Mapping[str, Any]], understood: Mapping[str, Any]) -> None:
    if rows:
        cells = [[str(row["count"]), output.safe(row["label"])] for row in rows]
        by = str(understood["by"]).upper().replace("_", " ")
        output.table((Column("ENTRIES"), Column(by, least=20)), cells)


@audit.command("follow")
@click.argument("path", required=False)
@filter_options
@click.option(
    "--state",
    "state_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save the position in this file, and continue from there.",
)
@click.option(
    "--after-seq",
    type=click.IntRange(min=0),
    metavar="N",
    help="Start after this number; 0 is the whole log. [default: 0 with --state, else now]",
)
@click.option("--once", is_flag=True, help="Stop when there are no new entries.")
def follow(
    path: str | None,
    state_path: Path | None,
    after_seq: int | None,
    once: bool,
    **filters: Any,
) -> None:
    """Print entries as they are sealed, oldest first, one JSON object per line, until stopped.

    With --state it continues where it stopped and misses nothing. After a crash the last entries
    may be printed again, with the same `seq`.
    """
    query = _query(path, filters, filters["tz"] or times.local_zone())
    with checkpoints.connect() as api:
        following.follow(api, query, state_path, after_seq, once=once)


@audit.command("show")
@click.argument("entry_id", metavar="ID")
@click.option("--tz", metavar="ZONE", help="Show times in this zone. [default: the local one]")
@format_option("table", "json", "yaml")
def show(entry_id: str, tz: str | None, format_: str) -> None:
    """Show the entry ID in full, with its changes."""
    if not _ULID.fullmatch(entry_id):
        raise Failure(
            f"{entry_id!r} is not the id of an entry (26 letters and digits).", Exit.USAGE
        )
    with checkpoints.connect() as api:
        answer = api.get(api.of_organization("audit", "entries", entry_id.upper()))
    entry = _entry(answer["data"])
    if format_ == "table":
        _print_entry(entry, _zone(tz or times.local_zone()))
    else:
        output.as_data(format_, entry)


@audit.command("export")
@click.argument("path", required=False)
@filter_options
@click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(["ndjson", "csv", "ocsf"]),
    default="ndjson",
    show_default=True,
    help="One JSON object per line, comma-separated values, or one OCSF event per line.",
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write to this file, complete or not at all. [default: standard output]",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def export(
    path: str | None, format_: str, target: Path | None, force: bool, **filters: Any
) -> None:
    """Write all matching entries, byte for byte as the server sends them."""
    query = [
        ("format", format_),
        *_query(path, filters, filters["tz"] or times.local_zone()),
    ]
    if filters["when"] or filters["until"]:
        query.append(("wait", "20"))  # until nothing more can be added to that period
    with checkpoints.connect() as api:
        address = api.of_organization("audit", "entries", "export")
        if target is None or str(target) == "-":
            with api.stream(address, query) as response:
                _copy_to_stdout(response.iter_bytes())
            _warn_of_retention(response.headers.get("Audit-Retention-Boundary"))
            _warn_if_incomplete(response.headers)
            _say_what_is_left_out(response.headers)
            return
        # The request comes first: if it is refused, no file is created.
        with (
            api.stream(address, query) as response,
            files.output(target, overwrite=force) as file,
        ):
            size = _copy(response.iter_bytes(), file)
    output.success(f"Wrote {size:,} bytes to {target}.")
    _warn_of_retention(response.headers.get("Audit-Retention-Boundary"))
    _warn_if_incomplete(response.headers)
    _say_what_is_left_out(response.headers)


@audit.command("count")
@click.argument("path", required=False)
@filter_options
@click.option(
    "--by",
    type=click.Choice(
        [
            *("actor", "resource", "project", "action", "type", "result", "severity"),
            *("interface", "ip", "user_agent", "day", "hour"),
        ]
    ),
    required=True,
    help="What the counted entries have in common.",
)
@click.option(
    "--at-least",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only what at least N entries have in common.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=1000),
    default=10,
    show_default=True,
    help="Maximum number of rows, the most frequent first.",
)
@format_option("table", "json", "yaml")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
def count(
    path: str | None,
    by: str,
    at_least: int | None,
    limit: int,
    format_: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Count entries by what they have in common.

    \b
    Where do failed sign-ins come from?
      dotenv audit count --by ip --action sign_in --result failed --at-least 5
    """
    zone_name = filters["tz"] or times.local_zone()
    query = [("by", by), ("limit", str(limit)), *_query(path, filters, zone_name)]
    query += [("at_least", str(at_least))] if at_least else []
    with checkpoints.connect() as api:
        answer = api.get(api.of_organization("audit", "counts"), query)
    rows, meta = answer["data"], answer["meta"]
    if as_json or format_ != "table":
        output.as_data("json" if as_json else format_, answer)
    elif rows:
        cells = [[str(row["count"]), output.safe(row["label"])] for row in rows]
        output.table((Column("ENTRIES"), Column(by.upper().replace("_", " "), least=20)), cells)
    for text in meta.get("notes") or []:
        output.warn(text)
    if not meta["is_exact"]:
        since = times.second(meta["counted_from"], times.zone(zone_name))
        output.warn(f"Only the newest {meta['counted']:,} entries were counted, back to {since}.")
    more = f" of {meta['groups']}" if meta["groups"] > len(rows) else ""
    word = "row" if len(rows) == 1 and not more else "rows"
    found = f"{len(rows)}{more} {word}" if rows else "No entry matches"
    output.note(f"{found}, times in {zone_name}.{_said_of(meta.get('left_out') or [])}")


def _say_what_is_left_out(headers: Mapping[str, str]) -> None:
    if left_out := headers.get("Audit-Left-Out"):
        output.note(_said_of([left_out]).strip())


@audit.command("evidence")
@click.argument("path", required=False)
@filter_options
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Write the pack to this file, once it is verified.",
)
@click.option(
    "--closed",
    "is_closed",
    is_flag=True,
    help="Leave out the newest entries, up to 256, whose leaf data would show other things.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--heads",
    is_flag=True,
    help="Wait for the next round of `heads`, about a minute: it shows that everybody is shown the"
    " same head of this log, and its witnesses say when.",
)
@click.option(
    "--stamp",
    is_flag=True,
    help="Have the checkpoint stamped by the service's time-stamping authority (RFC 3161).",
)
@click.option(
    "--redact",
    metavar="PARTS",
    default="",
    help="Leave parts out of each entry: any of actor, origin, resource, detail, comma-separated."
    " The pack proves the same.",
)
@evidence.key_option
def fetch_evidence(
    path: str | None,
    target: Path,
    force: bool,
    heads: bool,
    stamp: bool,
    redact: str,
    is_closed: bool,
    keys: Sequence[str],
    **filters: Any,
) -> None:
    """Fetch matching entries with what proves them, and verify it.

    Without filters it is the whole log. If what PATH names was renamed in the time asked for, the
    pack is of its other name too. `dotenv audit verify FILE` checks the pack on any machine,
    without a server.
    """
    query = _query(path, filters, filters["tz"] or times.local_zone())
    options = [("heads", "true")] * heads + [("stamp", "true")] * stamp
    options += [("closed", "true")] * is_closed + [("redact", redact)] * bool(redact)
    evidence.evidence(query, target, force, keys, options)


def _warn_if_incomplete(headers: Mapping[str, str]) -> None:
    """Warn that a past period may still get entries: a transaction can take long to commit."""
    until, complete_to = (
        times.parse(headers.get(name, "")) for name in ("Audit-Until", "Audit-Complete-To")
    )
    if until is None or until > dt.datetime.now(dt.UTC):
        return
    if complete_to is None or complete_to < until:
        reached = output.safe(headers.get("Audit-Complete-To", "never"))
        output.warn(
            f"The export may be incomplete: the log is complete to {reached}, not to"
            f" {output.safe(headers['Audit-Until'])}. Export again later."
        )


def _warn_of_retention(header: str | None) -> None:
    """Warn that retention removed entries: `before=…; removed_at=…; manifest=…`."""
    if header is None:
        return
    facts = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    before, removed_at, manifest = (
        output.safe(facts.get(name, "?")) for name in ("before", "removed_at", "manifest")
    )
    output.warn(
        f"Entries before {before} were removed under retention on {removed_at[:10]}, except the"
        f" first and last change of each resource; archived with the manifest {manifest}."
    )


# --- the query ----------------------------------------------------------------------------------


def _query(path: str | None, filters: Filters, zone_name: str) -> list[tuple[str, str]]:
    if path and filters["resource"]:
        raise Failure("Give PATH or --resource, not both.", Exit.USAGE)
    query = [("ask", path) if _is_question(path) else ("resource", path.strip("/"))] if path else []
    for name in (*_ANY_OF, *(f"exclude_{name}" for name in _NONE_OF)):
        query += [(name, value) for value in filters[name]]
    query += [(name, filters[name]) for name in _ONE if filters[name] is not None]
    if filters["search"] is not None:
        query.append(("q", filters["search"]))
    query += [("exclude_q", value) for value in filters["exclude_search"]]
    for name, value in query:
        # An empty filter would match everything, which an empty variable is hardly meant to do.
        if not value.strip():
            raise Failure(
                f"--{_dashed(name)} is empty.", Exit.USAGE, "Give a value or leave it out."
            )
    query += [("views", "true")] if filters["views"] else []
    return [*query, ("tz", zone_name)]


def _is_question(path: str) -> bool:
    """Whether what stands for a path is a question in words: no path has a blank in it."""
    return len(path.split()) > 1 or path.endswith("?")


class _Reader:
    """Reads a list page by page, following its cursors."""

    def __init__(
        self, query: Sequence[tuple[str, str]], limit: int | None, cursor: str | None
    ) -> None:
        self._query = query
        self._limit = limit
        self.next_cursor = cursor
        self.count = 0
        self.notes: list[str] = []
        """The server's notes on how it read the query."""
        self.since: str | None = None
        self.until: str | None = None
        self.left_out: list[str] = []
        """Actions that the server left out although nothing said so."""
        self.understood: dict[str, Any] = {}
        """How the server read a question in words."""
        self.answer: str | None = None
        """Its answer in a line, which is whole if all entries came at once."""
        self.is_answer_whole = False

    def entries(self, api: Api) -> Iterator[Entry]:
        address = api.of_organization("audit", "entries")
        while self._limit is None or self.count < self._limit:
            left = _MOST_A_PAGE if self._limit is None else self._limit - self.count
            page = [*self._query, ("per_page", str(min(left, _MOST_A_PAGE)))]
            if self.next_cursor:
                page.append(("cursor", self.next_cursor))
            answer = api.get(address, page)
            meta = answer["meta"]
            self.notes = meta.get("notes") or []
            self.since, self.until = meta.get("since"), meta.get("until")
            self.left_out = meta.get("left_out") or []
            self.understood = meta.get("understood") or {}
            following = meta["next_cursor"]
            if self.next_cursor is None:
                self.answer, self.is_answer_whole = meta.get("answer"), following is None
            if following and following == self.next_cursor:
                raise Failure("The server sent the same page twice; the list is incomplete.")
            self.next_cursor = following
            for item in answer["data"]:
                self.count += 1
                yield _entry(item)
            if not following:
                return


def _entry(item: Mapping[str, Any]) -> Entry:
    name = (item.get("meta") or {}).get("actor_name")
    return {"id": item["id"], **item["attributes"], **({"actor_name": name} if name else {})}


def _zone(name: str) -> dt.tzinfo:
    known = times.zone(name)
    if known is None:
        output.warn(f"This machine does not know the time zone {name}; times are shown in UTC.")
    return known or dt.UTC


# --- the answer ---------------------------------------------------------------------------------

_WIDE = (
    Column("TIME"),
    Column("ACTOR", least=20),
    Column("ACTION"),
    Column("TYPE"),
    Column("RESOURCE", least=26),
    Column("RESULT"),
    Column("IP", least=15),  # IPv6 addresses may be cut; `audit show` prints them in full
    Column("ID"),
)
_NARROW = (
    Column("TIME", least=19),
    Column("ACTOR", least=12),
    Column("ACTION"),
    Column("RESOURCE", least=26),
)
_NARROW_SECOND = ("IP", "TYPE", "RESULT", "ID")


def _print_table(entries: Sequence[Entry], zone: dt.tzinfo) -> None:
    if not entries:
        return
    rows = [
        [
            output.safe(value)
            for value in (
                times.second(entry["time"], zone),
                _label(entry["actor"], entry.get("actor_name")),
                entry["action"],
                entry["resource"]["type"] or "-",
                entry["resource"]["label"] or "-",
                entry["result"],
                entry["ip"] or "-",
                entry["id"],
            )
        ]
        for entry in entries
    ]
    if output.fit(_WIDE, rows) is not None:
        output.table(_WIDE, rows)
    else:
        _print_narrow(rows)


def _print_narrow(rows: Sequence[Sequence[str]]) -> None:
    """Two lines per entry, so that nothing is cut off on 80 columns."""
    lines: list[Sequence[str]] = [_NARROW_SECOND]
    lines += [
        line
        for when, actor, action, kind, label, result, ip, entry_id in rows
        for line in ((when, actor, action, label), (ip, kind, result, entry_id))
    ]
    widths = output.fit(_NARROW, lines)
    if widths is None:  # narrower still: a block of lines per entry
        output.table(_WIDE, rows)
        return
    aligned = [
        [output.cut(value, width) for value, width in zip(line, widths, strict=True)]
        for line in lines
    ]
    click.echo(output.align([column.title for column in _NARROW], aligned))


def _label(actor: Mapping[str, Any], name: str | None = None) -> str:
    """`api_key:ci`, `system`: always with the kind, as an API key may have any name. The kind
    comes first, so that it is visible if the column is cut. A person's name comes before the
    address."""
    kind, label = str(actor["type"]), str(actor["label"])
    label = f"{name} <{label}>" if name else label
    return f"{kind}:{label}" if label and label != kind else kind


def _say_what_was_understood(understood: Mapping[str, Any]) -> None:
    """How a question in words was read, what was left out of it, and what could be asked."""
    for part in understood.get("parts", ()):
        exact = f" ({part['exact']})" if part["exact"] else ""
        output.note(output.safe(f"{part['label']}: {part['shown']}{exact}"))
        for offer in part["offers"]:
            output.note(output.safe(f"  or {offer['label']}: {offer['text']}"))
    for struck in understood.get("struck", ()):
        output.warn(output.safe(f"Left out: {struck['words']!r}. {struck['why']}"))
        for offer in struck["offers"]:
            output.note(output.safe(f"  {offer['label']}: {offer['text']}"))
    if page := understood.get("page"):
        output.warn(output.safe(page["why"]))
    for note in understood.get("notes", ()):
        output.note(output.safe(note))
    if then := understood.get("then"):
        output.note(output.safe(f"The second list: dotenv audit ask '{then['text']}'"))
    for offer in understood.get("offers", ()):
        output.note(output.safe(offer["label"]))


def _sum_up(count: int, reader: _Reader, zone_name: str) -> None:
    _say_what_was_understood(reader.understood)
    for text in reader.notes:
        output.warn(text)
    if reader.understood and not reader.understood["is_answerable"]:
        raise Failure("Nothing in this question narrows the log, so no entries are listed.")
    zone = times.zone(zone_name)
    period = "".join(
        f" {word} {times.second(moment, zone)}"
        for word, moment in (("from", reader.since), ("until", reader.until))
        if moment
    )
    found = "1 entry" if count == 1 else f"{count} entries" if count else "No entry matches"
    output.note(f"{found}{period}, times in {zone_name}.{_said_of(reader.left_out)}")
    if reader.next_cursor:
        output.note(
            f"There are more: use --all, --limit N, or continue with --cursor {reader.next_cursor}"
        )


def _said_of(left_out: Sequence[str]) -> str:
    """What was left out without having been asked for: how often the log was viewed."""
    return " Views of the log are left out; --views includes them." if left_out else ""


def _print_entry(entry: Entry, zone: dt.tzinfo) -> None:
    actor, resource = entry["actor"], entry["resource"]
    moment = times.parse(entry["time"])
    shown = moment.astimezone(zone).isoformat(" ", "milliseconds") if moment else entry["time"]
    pairs = [
        ("ENTRY", entry["id"]),
        ("TIME", shown),
        ("ACTOR", _reference(actor)),
        ("NAME", entry.get("actor_name")),
        ("ACTION", entry["action"]),
        ("RESOURCE", _reference(resource)),
        ("RESULT", entry["result"]),
        ("REASON", entry.get("reason")),
        ("INTERFACE", entry["interface"]),
        ("IP", entry["ip"]),
        ("USER AGENT", entry["user_agent"]),
        ("REQUEST", entry["request_id"]),
        ("SEQUENCE", _sequence(entry)),
    ]
    output.facts([(name, value) for name, value in pairs if value not in (None, "")])
    if erased := entry.get("erased"):
        click.echo(f"\nERASED\n  {output.safe(', '.join(erased))}")
    if unreadable := entry.get("unreadable"):
        click.echo(f"\nUNREADABLE\n  {output.safe(', '.join(unreadable))}")
    context = entry.get("context") or {}
    # The reason has a line of its own above.
    _print_context({name: value for name, value in context.items() if name != "reason"})
    _print_changes(entry.get("changes") or {}, entry.get("changed_fields") or [])


def _sequence(entry: Entry) -> str:
    """The entry's gapless numbers, assigned by sealing."""
    if entry["seq"] is None:
        return "not sealed yet"
    of_resource, of_actor = entry.get("resource_seq"), entry.get("actor_seq")
    if of_resource is None or of_actor is None:
        return str(entry["seq"])
    return f"{entry['seq']} ({of_resource} of this resource, {of_actor} of this actor)"


def _reference(thing: Mapping[str, Any]) -> str:
    """`jane@example.org (user 01J…)`, or the part that is known."""
    known = " ".join(str(part) for part in (thing["type"], thing["id"]) if part)
    label = thing["label"]
    return f"{label} ({known})" if label and known else str(label or known)


def _print_context(context: Mapping[str, Any]) -> None:
    if context:
        click.echo("\nCONTEXT")
        _print_indented([(name, _value(value)) for name, value in context.items()])


def _print_changes(changes: Mapping[str, Any], changed_fields: Sequence[str]) -> None:
    if changes:
        click.echo("\nCHANGES")
    for field, (before, after) in changes.items():
        click.echo(f"  {output.safe(field)}")
        _print_side("-", "red", before)
        _print_side("+", "green", after)
    unshown = [field for field in changed_fields if field not in changes]
    if unshown:
        click.echo(f"\nCHANGED, VALUES NOT RECORDED\n  {output.safe(', '.join(unshown))}")


def _print_side(mark: str, color: str, value: object) -> None:
    if value is None:
        return
    text = f"    {mark} {output.safe(_value(value))}"
    click.secho(text, fg=color, color=output.color_of(sys.stdout))


def _print_indented(pairs: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"  {output.safe(name):<{width}}  {output.safe(value)}")


def _value(value: object) -> str:
    """Text as it is, unless it is empty or has blank ends; everything else as JSON."""
    if isinstance(value, str) and value and value == value.strip():
        return value
    return output.json_text(value, indent=None)


# --- the export ---------------------------------------------------------------------------------


def _copy(parts: Iterator[bytes], file: BinaryIO) -> int:
    size = 0
    for part in parts:
        file.write(part)
        size += len(part)
    return size


def _copy_to_stdout(parts: Iterator[bytes]) -> None:
    if not sys.stdout.isatty():
        _copy(parts, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            click.echo(output.for_display(line.decode(errors="replace")))
    if rest:
        click.echo(output.for_display(rest.decode(errors="replace")))
