"""`dotenv list`: organizations, projects and so on, as a table, JSON, YAML or paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from dotenv_cloud.cli import accounts, output, session
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Command, current_options, format_option
from dotenv_cloud.cli.output import Column

_NODE_KINDS = ("projects", "targets", "environments")
# How many path segments may come before each kind.
_DEPTH = {"projects": 0, "targets": 1, "environments": 2, "all": 2}

_PATH = Column("PATH", least=12)
_COLUMNS = {
    "projects": (
        Column("NAME", least=12),
        Column("SLUG", least=12),
        Column("SECRETS"),
        Column("TARGETS"),
        Column("ENVIRONMENTS"),
    ),
    "targets": (Column("NAME", least=12), Column("SLUG", least=12), Column("DESCRIPTION", 10, 50)),
    "environments": (
        Column("NAME", least=12),
        Column("SLUG", least=12),
        Column("STATUS", least=10),
        Column("DESCRIPTION", least=10, most=40),
    ),
}
_FIELDS = {
    "projects": ("name", "slug", "secret_count", "target_count", "environment_count"),
    "targets": ("name", "slug", "description"),
    "environments": ("name", "slug", "status", "description"),
}


@dataclass(frozen=True)
class Node:
    """A project, target or environment as the API describes it."""

    kind: str
    path: str
    attributes: dict[str, Any]


@click.command("list", cls=Command)
@click.argument("resource", type=click.Choice(["organizations", *_NODE_KINDS, "accounts", "all"]))
@click.argument("path", required=False, metavar="[PROJECT[/TARGET]]")
@format_option("table", "json", "yaml")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@click.option("--paths", is_flag=True, help="Print only paths, one per line.")
@click.option("--with-paths", is_flag=True, help="Add a column with the path.")
def list_command(
    resource: str,
    path: str | None,
    format_: str,
    as_json: bool,
    paths: bool,
    with_paths: bool,
) -> None:
    """List organizations, projects, targets, environments, accounts, or a whole hierarchy.

    PATH restricts targets to a project, and environments to a project or target.
    """
    format_ = "json" if as_json else format_
    if resource in {"organizations", "accounts"}:
        if path or paths or with_paths:
            raise Failure(f"{resource.capitalize()} take no path and no --paths.", Exit.USAGE)
        if resource == "accounts":
            print_accounts(format_)
        else:
            print_organizations(format_)
        return
    above = _parts(resource, path)
    with session.connect() as api:
        nodes = list(_walk(api, resource, above))
    if paths:
        for node in nodes:
            click.echo(output.safe(node.path))
    elif format_ == "table":
        _print_nodes(resource, nodes, with_paths or len(above) < _DEPTH[resource])
    else:
        output.as_data(format_, [_flat(node, resource) for node in nodes])


def _parts(resource: str, path: str | None) -> list[str]:
    if path is None:
        return []
    if resource == "projects":
        raise Failure("Projects take no path.", Exit.USAGE, "Leave it out.")
    return session.node_path(path, most=_DEPTH[resource])


def _walk(api: Api, resource: str, above: list[str]) -> Iterator[Node]:
    """The wanted nodes below `above`, each before its children."""
    wanted = set(_NODE_KINDS) if resource == "all" else {resource}
    last = max(_NODE_KINDS.index(kind) for kind in wanted)
    kind = _NODE_KINDS[len(above)]
    rows = api.collection(api.node(*above, kind))
    for row in rows:
        attributes = row["attributes"]
        segments = [*above, attributes["slug"]]
        if kind in wanted:
            yield Node(kind, "/".join(segments), attributes)
        if _NODE_KINDS.index(kind) < last:
            yield from _walk(api, resource, segments)


def everything(api: Api) -> list[Node]:
    """All projects, targets and environments, each before its children."""
    return list(_walk(api, "all", []))


def leaves(api: Api, project: str) -> Iterator[Node]:
    """The nodes of a project without children: their paths pass through all others."""
    nodes = [Node("projects", project, {}), *_walk(api, "all", [project])]
    above = {node.path.rpartition("/")[0] for node in nodes}
    return (node for node in nodes if node.path not in above)


def _flat(node: Node, resource: str) -> dict[str, object]:
    kind = {"type": node.kind} if resource == "all" else {}
    return {**kind, **node.attributes, "path": node.path}


def _print_nodes(resource: str, nodes: list[Node], with_paths: bool) -> None:
    if not nodes:
        output.note("There are no projects." if resource == "all" else f"There are no {resource}.")
        return
    if resource == "all":
        output.table(
            [Column("TYPE"), Column("PATH", least=20), Column("NAME", least=12)],
            [(node.kind.removesuffix("s"), node.path, node.attributes["name"]) for node in nodes],
        )
        return
    columns = [*_COLUMNS[resource], *([_PATH] if with_paths else [])]
    rows = []
    for node in nodes:
        values = [_shown(node.attributes.get(field)) for field in _FIELDS[resource]]
        rows.append([*values, node.path] if with_paths else values)
    output.table(columns, rows)


def _shown(value: object) -> object:
    return "-" if value is None or value == "" else value


def print_organizations(format_: str) -> None:
    with session.connect() as api:
        rows = [row["attributes"] for row in api.collection("/api/v1/organizations")]
        current = api.organization_or_none
    shown = [{**row, "current": _is_current(row, current)} for row in rows]
    if format_ != "table":
        output.as_data(format_, shown)
        return
    if not shown:
        output.note("There are no organizations.")
        return
    output.table(
        [
            Column("NAME", least=10),
            Column("ULID"),
            Column("PLAN", least=8),
            Column("STATUS"),
            Column("CURRENT"),
        ],
        [
            (row["name"], row["ulid"], row["plan_name"], row["status"], output.tick(row["current"]))
            for row in shown
        ],
    )


def _is_current(row: dict[str, Any], current: str | None) -> bool:
    return current is not None and (current.upper() == row["ulid"] or current == row["slug"])


def print_accounts(format_: str) -> None:
    book = accounts.load(current_options().accounts_file)
    shown: list[dict[str, Any]] = [
        {
            "name": account.name,
            "type": account.kind,
            "organization": account.organization.name,
            "organization_ulid": account.organization.ulid,
            "api_url": account.api_url,
            "current": account.name == book.current,
        }
        for account in book.accounts.values()
    ]
    if format_ != "table":
        output.as_data(format_, shown)
        return
    if not shown:
        output.note("There are no accounts; run `dotenv login`.")
        return
    output.table(
        [
            Column("NAME", least=12),
            Column("TYPE"),
            Column("ORGANIZATION", least=12),
            Column("API URL", least=20),
            Column("CURRENT"),
        ],
        [
            (
                row["name"],
                row["type"],
                row["organization"],
                row["api_url"],
                output.tick(row["current"]),
            )
            for row in shown
        ],
    )
