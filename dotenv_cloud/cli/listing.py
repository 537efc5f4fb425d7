"""`dotenv list`: organizations, projects and so on, as a table, JSON, YAML or paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

import click

from dotenv_cloud.cli import accounts, output, session
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Command, current_options, format_option
from dotenv_cloud.cli.output import Column, Columns

_NODE_KINDS = ("projects", "targets", "environments")
# How many path segments may come before each kind.
_DEPTH = {"projects": 0, "targets": 1, "environments": 2, "all": 2}

# The columns of each kind, and the attribute that each shows.
_NAME, _SLUG = Column("NAME", least=12), Column("SLUG", least=12)
_COLUMNS: dict[str, dict[str | Column, str]] = {
    "projects": {
        _NAME: "name",
        _SLUG: "slug",
        "SECRETS": "secret_count",
        "TARGETS": "target_count",
        "ENVIRONMENTS": "environment_count",
    },
    "targets": {_NAME: "name", _SLUG: "slug", Column("DESCRIPTION", 10, 50): "description"},
    "environments": {
        _NAME: "name",
        _SLUG: "slug",
        Column("STATUS", least=10): "status",
        Column("DESCRIPTION", least=10, most=40): "description",
    },
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
    columns: Columns
    if resource == "all":
        columns = {
            "TYPE": lambda node: node.kind.removesuffix("s"),
            Column("PATH", least=20): attrgetter("path"),
            Column("NAME", least=12): lambda node: node.attributes["name"],
        }
    else:
        columns = {column: partial(_value, name) for column, name in _COLUMNS[resource].items()}
        if with_paths:
            columns[Column("PATH", least=12)] = attrgetter("path")
    empty = "projects" if resource == "all" else resource
    output.listing("table", nodes, columns, empty=f"There are no {empty}.")


def _value(name: str, node: Node) -> object:
    value = node.attributes.get(name)
    return "-" if value is None or value == "" else value


def print_organizations(format_: str) -> None:
    with session.connect() as api:
        rows = [row["attributes"] for row in api.collection("/api/v1/organizations")]
        current = api.organization_or_none
    shown = [{**row, "current": _is_current(row, current)} for row in rows]
    columns: Columns = {
        Column("NAME", least=10): itemgetter("name"),
        "ULID": itemgetter("ulid"),
        Column("PLAN", least=8): itemgetter("plan_name"),
        "STATUS": itemgetter("status"),
        "CURRENT": lambda row: output.tick(row["current"]),
    }
    output.listing(format_, shown, columns, empty="There are no organizations.")


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
    columns: Columns = {
        Column("NAME", least=12): itemgetter("name"),
        "TYPE": itemgetter("type"),
        Column("ORGANIZATION", least=12): itemgetter("organization"),
        Column("API URL", least=20): itemgetter("api_url"),
        "CURRENT": lambda row: output.tick(row["current"]),
    }
    output.listing(format_, shown, columns, empty="There are no accounts; run `dotenv login`.")
