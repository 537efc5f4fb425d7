"""What is written is read alike by the programs that share `.env` files, and pushed with a warning
where they differ. Each reader here is the real one where it can be had."""

from __future__ import annotations

import functools
import io
import json
import logging
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dotenv
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dotenv_cloud.formats import env, env_writing, readers
from dotenv_cloud.formats.readers import EXPANDED, RUN, NotText

READINGS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("readings.json").read_text(encoding="utf-8")
)
"""Texts with what the hosted product's command line, npm dotenv and python-dotenv read in them."""

OURS_ALONE = {
    # A byte order mark, a tab after export and lines that end with a carriage return are read.
    "\ufeffA=1\n": {"A": "1"},
    "\ufeffFIRST=1\nSECOND=2\n": {"FIRST": "1", "SECOND": "2"},
    "export\tA=1\n": {"A": "1"},
    "export A=1\nexport\tB=2\n  export   C=3\n": {"A": "1", "B": "2", "C": "3"},
    "A=1\rB=2\rC=3\r": {"A": "1", "B": "2", "C": "3"},
    # A backslash that its own writer escaped stays one.
    'A="end\\\\"\n': {"A": "end\\"},
    'A="abc\\\\"\nB=2\nC=abc\\\n': {"A": "abc\\", "B": "2", "C": "abc\\"},
    'DIR="C:\\\\new\\\\temp"\n': {"DIR": "C:\\new\\temp"},
}


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: repr(reading["input"])[:40])
def test_a_text_is_read_as_the_official_reader_reads_it(reading: dict[str, Any]) -> None:
    text, official = reading["input"], reading["official"]
    if text in OURS_ALONE:
        assert env.parse(text) == OURS_ALONE[text]
    elif isinstance(official, str):
        with pytest.raises(env.FormatError):
            env.parse(text)
    else:
        assert env.parse(text) == official


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: repr(reading["input"])[:40])
def test_each_reader_is_known_by_what_it_was_seen_to_read(reading: dict[str, Any]) -> None:
    for name, reader in (
        ("official", readers.official),
        ("npm_dotenv", readers.npm_dotenv),
        ("python_dotenv", readers.python_dotenv),
    ):
        if isinstance(reading[name], str):
            with pytest.raises(readers.UnreadError):
                reader(reading["input"])
        else:
            seen = {key: value for key, value in reading[name].items() if value is not None}
            assert reader(reading["input"]) == seen, name


PIECES = st.sampled_from([*"ab1 \t\"'`\\#$=n~:", "\n", "\n", "A=", "B='", 'C="', "export ", "é"])
TEXTS = st.lists(PIECES, max_size=14).map("".join)


@given(TEXTS)
@settings(max_examples=300)
def test_python_dotenv_itself_agrees(text: str) -> None:
    logging.disable()
    try:
        found = dotenv.dotenv_values(stream=io.StringIO(text, newline=""), interpolate=False)
    finally:
        logging.disable(logging.NOTSET)
    assert readers.python_dotenv(text) == {
        key: value for key, value in found.items() if value is not None
    }


def by_a_shell(text: str, directory: Path) -> str | None:
    """What a shell has in K once it has sourced the text; None if it ran into something."""
    file = directory / "sourced.env"
    file.write_text(text, encoding="utf-8", newline="")
    done = subprocess.run(
        ["/bin/sh", "-c", f'. {file} && printf %s "$K"'],
        capture_output=True,
        env={"PATH": "/nowhere", "LC_ALL": "C.UTF-8"},
    )
    return done.stdout.decode() if done.returncode == 0 and not done.stderr else None


@given(st.lists(PIECES.filter(lambda piece: piece != "\n"), max_size=10).map("".join))
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_shell_itself_agrees(tmp_path: Path, value: str) -> None:
    text = f"K={value}\n"
    expected = readers.shell(text)["K"]
    if not isinstance(expected, NotText):
        assert by_a_shell(text, tmp_path) == expected


@pytest.mark.parametrize("value", ["$(id)", "`id`", "a b", "a;b", 'x"$(id)"', "a&b"])
def test_what_a_shell_would_run_is_known(value: str) -> None:
    assert readers.shell(f"K={value}\nL=1\n")["K"] is RUN


@pytest.mark.parametrize("value", ["$word", "${word}", '"$word"', "$5", "~", "$$"])
def test_what_a_shell_would_expand_is_known(value: str) -> None:
    assert readers.shell(f"K={value}\n") == {"K": EXPANDED}


VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    st.lists(st.sampled_from([*"ab \"'`\\#$=~(){}", "\n", "${X}", "$(id)", "é"]), max_size=10).map(
        "".join
    ),
)


def written(value: str) -> str | None:
    try:
        return env_writing.write({"K": value})
    except env.UnwritableError:
        return None


@given(VALUES)
@example("'$(id)'")
@example("C:\\new\\temp")
@example("ends\\")
@example("one\ntwo 'three' \"four\"")
@settings(max_examples=500, deadline=None)
def test_what_is_written_is_what_every_reader_reads_or_it_is_said(value: str) -> None:
    text = written(value)
    if text is None:
        assert "'" in value or "\\" in value or "\n" in value
        return
    assert env.parse(text) == {"K": value}
    unlike = env_writing.unlike({"K": value}).get("K", [])
    for name, reader in readers.READERS.items():
        if name not in unlike:
            assert reader(text) == {"K": value}, name


@given(VALUES)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_that_is_sourced_runs(tmp_path: Path, value: str) -> None:
    text = written(value)
    if text is None:
        return
    proof = tmp_path / "ran"
    file = tmp_path / "sourced.env"
    file.write_text(text, encoding="utf-8", newline="")
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "id").write_text(f"#!/bin/sh\necho ran > {proof}\n")
    (tools / "id").chmod(0o700)
    subprocess.run(
        ["/bin/sh", "-c", f". {file}"], capture_output=True, env={"PATH": str(tools)}, check=False
    )
    assert not proof.exists()


@pytest.mark.parametrize("value", ["$(id)", "`id`", "$word", "${NOPE}", "a b", "#x", "~", "é è"])
def test_plain_values_are_read_alike_by_all(value: str) -> None:
    assert env_writing.unlike({"K": value}) == {}


def test_what_no_file_can_hold_safely_is_refused_with_its_name() -> None:
    with pytest.raises(env.UnwritableError, match="^K contains text that a shell"):
        env_writing.write({"K": "it's $(id)"})


@functools.cache
def npm_dotenv() -> Path:
    """Where npm's dotenv is installed; skips the test where it cannot be had."""
    node = subprocess.run(["which", "node", "npm"], capture_output=True)
    if node.returncode:
        pytest.skip("node and npm are needed to compare with npm dotenv")
    directory = Path("/tmp") / "dotenv-cloud-npm-dotenv"
    if not (directory / "node_modules" / "dotenv").is_dir():
        directory.mkdir(exist_ok=True)
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(directory), "dotenv@17"],
            capture_output=True,
            timeout=120,
        )
        if done.returncode:
            pytest.skip("npm could not install dotenv")
    return directory


def test_npm_dotenv_itself_agrees() -> None:
    directory = npm_dotenv()
    texts: list[str] = [reading["input"] for reading in READINGS]

    @given(TEXTS)
    @settings(max_examples=500, database=None)
    def collect(text: str) -> None:
        texts.append(text)

    collect()
    program = (
        "const {parse} = require('dotenv');"
        "const texts = JSON.parse(require('fs').readFileSync(0));"
        "console.log(JSON.stringify(texts.map(text => parse(text))))"
    )
    done = subprocess.run(
        ["node", "-e", program],
        input=json.dumps(texts).encode(),
        cwd=directory,
        capture_output=True,
        check=True,
    )
    found: list[Mapping[str, str]] = json.loads(done.stdout)
    for text, variables in zip(texts, found, strict=True):
        assert readers.npm_dotenv(text) == variables, text


def test_a_file_that_all_read_alike_has_no_differences() -> None:
    text = "# of the shop\nA=1\nexport B='two words'\nURL=http://$HOST/\nC=\"x # y\" # comment\n"
    assert readers.differences(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "A=1\nB=ab#cd\n",
            "line 2: B is 5 characters here. Others differ: npm dotenv: 2 characters",
        ),
        (
            "A=$5\n",
            "line 1: A is 2 characters here. Others differ: a shell: would expand part of it",
        ),
        ("A=two words\n", "a shell: would run part of it"),
        ("A: 1\nB=2\n", None),
    ],
)
def test_differences_name_the_line_without_its_value(text: str, said: str | None) -> None:
    found = [str(one) for one in readers.differences(text)]
    if said is None:
        assert found == []
    else:
        assert any(said in one for one in found)
        assert not any("words" in one or "cd" in one for one in found)
