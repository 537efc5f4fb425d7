"""docs/development/adding-a-model.md, done in a copy of the repository as the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent
from typing import NamedTuple

import pytest
from django.conf import settings

from tests.conftest import Databases

ROOT = Path(settings.BASE_DIR)
PAGE = ROOT / "docs" / "development" / "adding-a-model.md"
COPIED = ("audit", "organizations", "keys", "dotenv_cloud", "templates", "tests", "docs")

_STEP = re.compile(
    r"^(?:In `(?P<file>[^`]+)`|Add to `(?P<list>\w+)` in `(?P<of>[^`]+)`)(?:(?!^```).)*?"
    r"^```python\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


class Step(NamedTuple):
    """Code of the page: for the end of a file, or for the beginning of a list in one."""

    path: str
    name: str
    code: str


def steps() -> dict[str, Step]:
    """Those of the page, by path."""
    found = [
        Step(match["file"] or match["of"], match["list"] or "", match["code"])
        for match in _STEP.finditer(PAGE.read_text())
    ]
    return {step.path: step for step in found}


class Copy:
    """A copy of the repository, in which the page is followed."""

    def __init__(self, directory: Path, databases: Databases) -> None:
        self.directory = directory
        self.environment = {
            **{name: text for name, text in os.environ.items() if "PYTEST" not in name},
            **databases.environment,
            "DOTENV_TEST": "1",
            "DATA_DIR": str(directory / ".data"),
        }
        for name in COPIED:
            shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__py*"))
        for file in ("manage.py", "pyproject.toml"):
            shutil.copy(ROOT / file, directory)

    def follow(self, *paths: str) -> None:
        for path in paths:
            step, file = STEPS[path], self.directory / path
            if not step.name:
                before = file.read_text() if file.exists() else ""
                file.write_text(f"{before}\n\n{step.code}" if before else step.code)
                continue
            text = file.read_text()
            begins = re.search(rf"^{step.name}\b[^=\n]*= [\[({{]\n", text, re.MULTILINE)
            assert begins, f"{path} has no list {step.name}"
            item = indent(dedent(step.code).strip().removesuffix(","), "    ") + ",\n"
            file.write_text(text[: begins.end()] + item + text[begins.end() :])

    def run(self, *command: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=280,
        )
        return done.returncode, done.stdout + done.stderr


STEPS = steps()


@pytest.fixture
def copy(tmp_path: Path, databases: Databases) -> Iterator[Copy]:
    yield Copy(tmp_path, databases)


def test_the_page_says_where_all_of_its_code_goes() -> None:
    assert len(STEPS) == PAGE.read_text().count("```python") == 8


def test_the_page_can_be_followed(copy: Copy) -> None:
    copy.follow("organizations/models/webhook.py", "organizations/models/__init__.py")
    status, said = copy.run("manage.py", "check")
    assert status == 1
    assert "organizations.Webhook is neither audited nor exempt in audit/policy.py." in said
    assert 'Add Resource("webhook", "organizations.Webhook", …) to RESOURCES' in said

    copy.follow("audit/policy.py")
    status, said = copy.run("manage.py", "makemigrations", "organizations")
    assert status == 0, said

    copy.follow("organizations/views.py", "organizations/urls.py")
    status, said = copy.run("manage.py", "check")
    assert status == 1
    assert "/o/{organization}/webhooks/new (POST) is unmapped" in said
    assert "neither audited" not in said

    copy.follow("audit/coverage/declared.py", "tests/promises/walk.py")
    for command in ("check", "audit_coverage"):
        status, said = copy.run("manage.py", command)
        assert status == 0, said
    assert (
        "| webhook | `name`, `url`, `is_active` | "
        in (copy.directory / "docs" / "audit-coverage.md").read_text()
    )

    copy.follow("tests/promises/test_webhooks.py")
    status, said = copy.run("-m", "pytest", "tests/promises/test_webhooks.py", "-q")
    assert status == 0, said
