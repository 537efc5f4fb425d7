"""`dotenv tree`, `path`, `org` and `auth`: where one is, and what there is around."""

from __future__ import annotations

import re
from dataclasses import replace

import click

from dotenv_cloud.cli import accounts, output, session
from dotenv_cloud.cli import listing as hierarchy
from dotenv_cloud.cli.accounts import Organization
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.listing import Node
from dotenv_cloud.cli.options import Command, Group, current_options, format_option
from dotenv_cloud.cli.output import Column


@click.command("tree", cls=Command)
@click.argument("project", required=False)
@click.option("--max-depth", type=click.IntRange(1, 3), default=3, show_default=True)
@click.option("--show-counts", is_flag=True, help="Say how many secrets each holds.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["tree", "json", "yaml"]),
    default="tree",
    show_default=True,
    help="How to print.",
)
@click.option("-p", "-t", "--full", "_other", is_flag=True, hidden=True)
def tree(
    project: str | None, max_depth: int, show_counts: bool, format_: str, _other: bool
) -> None:
    """Draw the projects (or PROJECT) with their targets and environments."""
    with session.connect() as api:
        nodes = [node for node in hierarchy.everything(api) if node.path.count("/") < max_depth]
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
@click.option("--exact", is_flag=True, help="TERM is the whole slug or name.")
@click.option("--regex", "is_pattern", is_flag=True, help="TERM is a regular expression.")
@click.option(
    "--type", "kind", type=click.Choice(["project", "target", "environment"]), help="Only these."
)
@click.option(
    "--output",
    "format_",
    type=click.Choice(["paths", "json", "yaml"]),
    default="paths",
    show_default=True,
    help="How to print.",
)
def path(term: str, exact: bool, is_pattern: bool, kind: str | None, format_: str) -> None:
    """Find the paths of projects, targets and environments whose slug or name has TERM."""
    try:
        text = term if is_pattern else re.escape(term)
        pattern = re.compile(f"^(?:{text})$" if exact else text, re.IGNORECASE)
    except re.error as error:
        raise Failure(f"{term!r} is no regular expression: {error}.", Exit.USAGE) from None
    with session.connect() as api:
        found = [
            node
            for node in hierarchy.everything(api)
            if (kind is None or node.kind == f"{kind}s")
            and any(pattern.search(node.attributes[field]) for field in ("slug", "name"))
        ]
    if format_ != "paths":
        output.as_data(format_, [{"path": node.path, **node.attributes} for node in found])
        return
    for node in found:
        click.echo(output.safe(node.path))
    if not found:
        raise Failure(f"Nothing is called {term}.", Exit.NOT_FOUND)


@click.group("org", cls=Group)
def org() -> None:
    """See your organizations, and choose the one to work in."""


@org.command("list")
@format_option("table", "json", "yaml")
@click.option("--no-refresh", is_flag=True, hidden=True)
def org_list(format_: str, no_refresh: bool) -> None:
    """List the organizations that you belong to."""
    hierarchy.print_organizations(format_)


@org.command("show")
@format_option("table", "json", "yaml")
def org_show(format_: str) -> None:
    """Show the organization that commands act in."""
    with session.connect() as api:
        found = api.get(api.of_organization())["data"]["attributes"]
    if format_ != "table":
        output.as_data(format_, found)
        return
    output.facts([(name.upper().replace("_", " "), value or "-") for name, value in found.items()])


@org.command("use")
@click.argument("wanted", metavar="ULID|SLUG|NAME")
def org_use(wanted: str) -> None:
    """Have the current account act in another organization of yours."""
    options = current_options()
    account = session.chosen_account(options)
    if account is None:
        raise Failure("No account is in use.", Exit.USAGE, "Run `dotenv login`.")
    with session.connect() as api:
        rows = [row["attributes"] for row in api.collection("/api/v1/organizations")]
    matching = [
        row for row in rows if wanted.upper() == row["ulid"] or wanted in (row["slug"], row["name"])
    ]
    if len(matching) != 1:
        known = ", ".join(row["slug"] for row in rows) or "none"
        raise Failure(
            f"{'More than one' if matching else 'No'} organization of yours is called {wanted}.",
            Exit.NOT_FOUND,
            f"Yours: {known}.",
        )
    [row] = matching
    organization = Organization(row["ulid"], row["name"], row["slug"])
    with accounts.edit(options.accounts_file) as book:
        book.accounts[account.name] = replace(account, organization=organization)
    output.success(f"{account.name} acts in {row['name']} now.")


@click.group("auth", cls=Group)
def auth() -> None:
    """See who you are to the server."""


@auth.command("info")
@click.option("-v", "--verbose", is_flag=True, help="Abilities and organizations too.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def auth_info(verbose: bool, as_json: bool) -> None:
    """Ask the server who you are, and in which organizations."""
    with session.connect() as api:
        answer = api.get("/api/v1/user")
    principal, organizations = answer["data"], answer["included"]
    if as_json:
        output.as_json(answer)
        return
    attributes = principal["attributes"]
    kind = "API key" if principal["type"] == "api-keys" else "person"
    facts: list[tuple[str, object]] = [
        ("NAME", attributes["name"]),
        ("E-MAIL", attributes.get("email") or "-"),
        ("KIND", kind),
        ("EXPIRES", attributes.get("expires_at") or "never"),
    ]
    if verbose and attributes.get("abilities"):
        facts.append(("ABILITIES", ", ".join(attributes["abilities"])))
    output.facts(facts)
    if verbose:
        click.echo()
        output.table(
            [Column("ORGANIZATION", least=10), Column("SLUG"), Column("ULID"), Column("ROLE")],
            [
                (
                    row["attributes"]["name"],
                    *(row["attributes"][f] for f in ("slug", "ulid", "role")),
                )
                for row in organizations
            ],
        )
