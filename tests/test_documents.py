"""The Markdown pages keep up with the project: links, paths, commands and settings exist."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from django.core.management import get_commands, load_command_class

from dotenv_cloud.cli.root import root

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
)
PACKAGES = ("audit", "benchmarks", "docs", "dotenv_cloud", "keys", "organizations", "tests")

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
MANAGE = re.compile(r"(?:manage\.py|(?:/|`|&& )dotenv-cloud)\s+([a-z_]+)([^`|#\n]*)")
MADE = re.compile(r"^In `([^`]+)`:$", re.MULTILINE)  # the file that the code below is written to
MODULE = re.compile(rf"(?:{'|'.join(PACKAGES)})/[\w./-]+")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shell_lines(page: Path) -> Iterator[str]:
    for language, block in FENCE.findall(text(page)):
        if language == "sh":
            yield from block.replace("\\\n", " ").splitlines()


@pages
def test_links_have_targets(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", text(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pages
def test_files_and_directories_that_are_named_exist(page: Path) -> None:
    made_by_reader = MADE.findall(text(page))
    for code in CODE.findall(FENCE.sub("", text(page))):
        if MODULE.fullmatch(code) and code not in made_by_reader:
            assert (ROOT / code).exists(), code


@pages
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = [code for code in CODE.findall(FENCE.sub("", text(page))) if code.startswith("make ")]
    for line in [*named, *shell_lines(page)]:
        if match := re.match(r"(?:\w+=\S+ )*make ([a-z-]+)", line):
            assert re.search(rf"^{match[1]}:", makefile, re.MULTILINE), line


@pages
def test_management_commands_and_their_options_exist(page: Path) -> None:
    applications = get_commands()
    for name, rest in MANAGE.findall(text(page)):
        assert name in applications, name
        parser = load_command_class(str(applications[name]), name).create_parser("manage.py", name)
        known = {option for action in _actions(parser) for option in action.option_strings}
        for option in re.findall(r"(?<=\s)--[\w-]+", rest):
            assert option in known, f"{name} {option}"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The actions of a parser and of its subcommands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)


@pages
def test_examples_of_the_command_parse(page: Path) -> None:
    for line in shell_lines(page):
        if match := re.fullmatch(r"(?:[A-Z_]+=\$\()?dotenv (.+?)\)?", line.strip()):
            _parse(shlex.split(match[1], comments=True))


def _parse(words: list[str]) -> None:
    """Raises click.UsageError for a command, option or argument that is not there."""
    context = click.Context(root, info_name="dotenv")
    command: click.Command = root
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    command.make_parser(context).parse_args(list(words))


def test_every_setting_is_in_the_table() -> None:
    table = text(ROOT / "docs" / "installation.md").partition("## Environment variables")[2]
    names = "\n".join(re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE))
    listed = set(re.findall(r"`([A-Z_]+)`", names))
    sources = (ROOT / "dotenv_cloud").glob("*.py")
    code = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    read = set(re.findall(r"""(?:env\.\w+|required|environ\.get)\(\s*["']([A-Z_]+)["']""", code))
    read |= {f"RATE_LIMIT_{name.upper()}" for name in re.findall(r'"(\w+)": "\d+/\d+"', code)}
    read -= {"DJANGO_SETTINGS_MODULE", "PYTEST_XDIST_WORKER", "METRICS_SLOT"}  # set by programs
    assert len(read) > 30
    assert read - listed == set()
    elsewhere = {"DATABASE_SUPERUSER_URL"}  # the tests' own
    assert listed - read - elsewhere == set()


def test_every_decision_is_in_the_index() -> None:
    directory = ROOT / "docs" / "decisions"
    index = text(directory / "README.md")
    decisions = sorted(directory.glob("[0-9]*.md"))
    assert decisions
    assert len({page.name[:4] for page in decisions}) == len(decisions)
    for page in decisions:
        assert f"({page.name})" in index
        for heading in ("Context", "Decision", "Alternatives", "Consequences"):
            assert f"\n## {heading}\n" in text(page), f"{page.name}: {heading}"


def test_every_dependency_is_explained() -> None:
    page = text(ROOT / "docs" / "dependencies.md").lower()
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for name in (re.match(r"[\w.-]+", dependency)[0] for group in groups for dependency in group):  # type: ignore[index]
        assert name.removeprefix("types-").lower() in page, name


def test_commit_hooks_run_tools_that_are_locked() -> None:
    configuration = yaml.safe_load(text(ROOT / ".pre-commit-config.yaml"))
    locked = text(ROOT / "requirements-dev.lock")
    packages = {"ruff": "ruff", "mypy": "mypy", "lint-imports": "import-linter"}
    used = set()
    for repository in configuration["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            [tool] = re.findall(r"\.venv/bin/([\w-]+)", hook["entry"])
            assert f"\n{packages[tool]}==" in locked
            used.add(tool)
    assert used == packages.keys()


def test_hosted_ci_runs_what_make_ci_runs() -> None:
    workflow = yaml.safe_load(text(ROOT / ".github" / "workflows" / "ci.yml"))
    steps = workflow["jobs"]["ci"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]
    [version] = [
        step["with"]["python-version"] for step in steps if "python-version" in step.get("with", {})
    ]
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
