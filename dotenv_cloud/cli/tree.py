"""`dotenv tree` and `dotenv path`: the hierarchy as a tree, and paths looked up by name."""

from __future__ import annotations

import re

import click

from dotenv_cloud.cli import listing, output, session
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.listing import Node
from dotenv_cloud.cli.options import Command, FormatChoice


@click.command("tree", cls=Command)
@click.argument("project", required=False)
@click.option(
    "--max-depth",
    type=click.IntRange(1, 3),
    default=3,
    show_default=True,
    help="How many levels to show.",
)
@click.option("--show-counts", is_flag=True, help="Show the number of secrets in each.")
@click.option(
    "--format",
    "format_",
    type=FormatChoice(["tree", "json", "yaml"]),
    default="tree",
    show_default=True,
    help="Output format.",
)
@click.option("-p", "-t", "--full", "_other", is_flag=True, hidden=True)
def tree(
    project: str | None, max_depth: int, show_counts: bool, format_: str, _other: bool
) -> None:
    """Show all projects (or PROJECT) with their targets and environments as a tree."""
    with session.connect() as api:
        nodes = [node for node in listing.everything(api) if node.path.count("/") < max_depth]
    if project is not None:
        [slug] = session.node_path(project, most=1)
        nodes = [node for node in nodes if node.path.split("/")[0] == slug]
        if not nodes:
            raise Failure(f"There is no project {slug}.", Exit.NOT_FOUND)
    if format_ != "tree":
        output.as_data(format_, [{"path": node.path, **node.attributes} for node in nodes])
        return
    if not nodes:
        output.note("There are no projects.")
    for line in _drawn(nodes, show_counts):
        click.echo(line)


def _drawn(nodes: list[Node], show_counts: bool) -> list[str]:
    lines = []
    for place, node in enumerate(nodes):
        depth = node.path.count("/")
        rest = [other.path for other in nodes[place + 1 :]]
        branches = ""
        for above in range(1, depth):
            prefix = "/".join(node.path.split("/")[:above]) + "/"
            goes_on = any(p.startswith(prefix) and p.count("/") == above for p in rest)
            branches += "│   " if goes_on else "    "
        if depth:
            siblings = node.path.rpartition("/")[0] + "/"
            goes_on = any(p.startswith(siblings) and p.count("/") == depth for p in rest)
            branches += "├── " if goes_on else "└── "
        count = node.attributes.get("secret_count")
        counted = f" ({count})" if show_counts and count is not None else ""
        name = output.safe(f"{node.attributes['slug']}{counted}")
        lines.append(f"{branches}{name}")
    return lines


@click.command("path", cls=Command)
@click.argument("term")
@click.option("--exact", is_flag=True, help="TERM must be the whole slug or name.")
@click.option("--regex", "is_pattern", is_flag=True, help="TERM is a regular expression.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["all", "project", "target", "environment"]),
    default="all",
    show_default=True,
    help="Only paths of this type.",
)
@click.option(
    "--output",
    "format_",
    type=FormatChoice(["list", "first", "count", "json", "yaml"]),
    default="list",
    show_default=True,
    help="All paths, the first one, the number of paths, or all fields of each.",
)
def path(term: str, exact: bool, is_pattern: bool, kind: str, format_: str) -> None:
    """Find projects, targets and environments whose slug or name contains TERM."""
    try:
        text = term if is_pattern else re.escape(term)
        pattern = re.compile(f"^(?:{text})$" if exact else text, re.IGNORECASE)
    except re.error as error:
        raise Failure(f"{term!r} is not a valid regular expression: {error}.", Exit.USAGE) from None
    with session.connect() as api:
        found = [
            node
            for node in listing.everything(api)
            if kind in ("all", node.kind.removesuffix("s"))
            and any(pattern.search(node.attributes[field]) for field in ("slug", "name"))
        ]
    if format_ == "count":
        click.echo(len(found))
        return
    if format_ in ("json", "yaml"):
        output.as_data(format_, [{"path": node.path, **node.attributes} for node in found])
        return
    for node in found[:1] if format_ == "first" else found:
        click.echo(output.safe(node.path))
    if not found:
        raise Failure(f"No slug or name matches {term}.", Exit.NOT_FOUND)
