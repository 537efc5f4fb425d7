"""Text formats: what is written reads back as it was in every reader."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dotenv_cloud.formats import env, env_writing, merging, resolving, writers

KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VARIABLES = st.dictionaries(KEYS, VALUES, max_size=6)


@given(VARIABLES)
@example({"A": "'`", "B": "\n$(id)"})
@example({"A": "\x85", "B": "a\x85", "C": "a \u2028 b", "D": "\n\u2029"})
def test_what_is_written_is_read_back(variables: dict[str, str]) -> None:
    try:
        assert env.parse(env_writing.write(variables)) == variables
    except env.UnwritableError:
        # In double quotes, as single ones cannot hold it, a shell would run it.
        assert any(
            set("`$") & set(value) and set("'\\\n\r") & set(value) for value in variables.values()
        )
    assert json.loads(writers.as_json(variables)) == variables
    assert yaml.safe_load(writers.as_yaml(variables)) == variables


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_by_line(text: str) -> None:
    try:
        assert all(env.KEY.fullmatch(key) for key in env.parse(text))
    except env.FormatError as error:
        assert 1 <= error.line <= text.count("\n") + 1


WORDS = st.lists(st.sampled_from(["export", "a", "A=1", "-", "é"]), min_size=1)


@given(KEYS, st.sampled_from(["", "export ", "export\t "]), WORDS)
def test_plain_words_are_read_as_they_stand(key: str, prefix: str, words: list[str]) -> None:
    value = " ".join(words)
    assert env.parse(f"{prefix}{key}={value}") == {key: value}


# A shell has variables of its own that cannot be set, such as UID and PPID.
@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        KEYS.map("X_{}".format),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
        max_size=5,
    )
)
def test_a_shell_takes_what_is_written_for_it(variables: dict[str, str]) -> None:
    names = sorted(variables)
    script = writers.shell(variables) + "".join(f'printf "%s\\0" "${name}"\n' for name in names)
    done = subprocess.run(  # noqa: S607
        ["sh"], input=script.encode(), capture_output=True, check=True
    )
    values = done.stdout.decode().split("\0")[:-1]
    assert dict(zip(names, values, strict=True)) == variables


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("A=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("  export\tA=1", {"A": "1"}),
        ("export=1", {"export": "1"}),
        ("A=please export this", {"A": "please export this"}),
        ("A=export this", {"A": "export this"}),
        ("  A = 1  ", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=# all", {"A": "# all"}),
        ("A=a\t# all", {"A": "a\t# all"}),
        ("A=1 # one", {"A": "1"}),
        ("A=1#one", {"A": "1#one"}),
        ("# A=1", {}),
        ("no equals sign", {}),
        ('A="1 # one"', {"A": "1 # one"}),
        ('A="one\ntwo" # rest', {"A": "one\ntwo"}),
        ("A='one\\ntwo'", {"A": "one\ntwo"}),
        ("A=one\\ntwo", {"A": "one\ntwo"}),
        (r'A="a \"b\" \\ c"', {"A": 'a "b" \\ c'}),
        ("A=$B ${C}", {"A": "$B ${C}"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=x=y", {"A": "x=y"}),
    ],
)
def test_a_line_reads_as_documented(line: str, variables: dict[str, str]) -> None:
    assert env.parse(line) == variables


@pytest.mark.parametrize(
    ("text", "line"), [("1A=1", 1), ("A=1\nB C=2", 2), ('A=1\n\nB="open\n\n', 3), ("=1", 1)]
)
def test_what_cannot_be_kept_is_refused_by_line(text: str, line: int) -> None:
    with pytest.raises(env.FormatError, match=f"^line {line}: ") as refused:
        env.parse(text)
    assert refused.value.line == line


def test_a_refusal_quotes_no_value() -> None:
    with pytest.raises(env.FormatError) as refused:
        env.parse("MY KEY=hunter2")
    assert "hunter2" not in str(refused.value)


def test_a_key_that_a_shell_would_run_is_not_written() -> None:
    for writer in (writers.shell, writers.dockerfile, env_writing.write):
        with pytest.raises(env.UnwritableError):
            writer({"A; rm -rf /": "1"})


def test_what_no_shell_can_hold_is_not_written_for_one() -> None:
    with pytest.raises(env.UnwritableError, match="A contains a NUL"):
        writers.shell({"A": "one\0two"})


def test_dockerfile_escapes_the_backslash_first() -> None:
    assert writers.dockerfile({"A": 'a\\"$b\nc'}) == 'ENV A="a\\\\\\"\\$b\\nc"\n'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$B", "b"),
        ("${B}/x", "b/x"),
        ("$HOME", "/home/ada"),
        ("${NONE:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${B:-d}", "b"),
        ("${B:+a}", "a"),
        ("${NONE:+a}", ""),
        ("${NONE:-$B}", "b"),
        (r"\$B", "$B"),
        ("$EMPTY", ""),
        ("a$NONE", "a$NONE"),
        ("${NONE}", "${NONE}"),
        ("pa$$word", "pa$$word"),
        ("pa$$B", "pa$$B"),
        ("$C", "b!"),
        ("100 $", "100 $"),
    ],
)
def test_references_stand_for_values(value: str, expected: str) -> None:
    variables = {"A": value, "B": "b", "C": "${B}!", "EMPTY": ""}
    assert resolving.resolve(variables, {"HOME": "/home/ada"}).values["A"] == expected


def test_references_to_nothing_are_left_and_said() -> None:
    found = resolving.resolve({"A": "x$bc$bc", "B": "${A}${NOPE}", "C": "pa$$word"}, {})
    assert found.values == {"A": "x$bc$bc", "B": "x$bc$bc${NOPE}", "C": "pa$$word"}
    assert found.unset == {"A": ["bc"], "B": ["NOPE", "bc"]}


def test_circles_and_missing_ones_are_said() -> None:
    for circle in ({"A": "$B", "B": "$A"}, {"A": "$A"}, {f"V{n}": f"$V{n + 1}" for n in range(12)}):
        with pytest.raises(resolving.CycleError):
            resolving.resolve({**circle, "V12": "x"}, {})
    with pytest.raises(resolving.UnsetError, match="NONE: give it"):
        resolving.resolve({"A": "${NONE:?give it}"}, {})


def test_the_last_level_wins() -> None:
    levels = [{"A": "1", "B": "1"}, {"B": "2"}, {}]
    assert merging.merge(levels) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("text", "secret_format", "found"),
    [
        ("A=1", "env", {"A": "1"}),
        ('{"A": "1", "B": 2, "C": [true]}', "json", {"A": "1", "B": "2", "C": "[true]"}),
        ('{"A": 1.10, "B": 1e400, "C": -0}', "json", {"A": "1.10", "B": "1e400", "C": "-0"}),
        (
            '{"A": {"b": [1.50, "é", null]}, "C": false}',
            "json",
            {"A": '{"b": [1.50, "é", null]}', "C": "false"},
        ),
    ],
)
def test_a_level_has_variables_by_its_format(
    text: str, secret_format: str, found: dict[str, Any]
) -> None:
    assert merging.variables_of(text, secret_format) == found


@pytest.mark.parametrize(
    ("text", "secret_format"),
    [
        ("A B=1", "env"),
        ("[1]", "json"),
        ("{", "json"),
        ('{"A": "\\ud800"}', "json"),
        ('{"\\ud800": 1}', "json"),
        ('{"A": ["\\ud800"]}', "json"),
        ("a: 1", "yaml"),
    ],
)
def test_a_level_without_variables_says_so(text: str, secret_format: str) -> None:
    with pytest.raises(merging.UnreadableError):
        merging.variables_of(text, secret_format)


YAML_TRAPS = ["1e3", "0o17", "017", "0x1F", "1_000", "+1", ".5", "1.10", "~", "null", "NaN", ".inf"]
YAML_TRAPS += [
    "yes",
    "NO",
    "on",
    "Off",
    "y",
    "n",
    "true",
    "2024-01-01",
    "12:30:45",
    "1:2",
    "=",
    "<<",
]


@pytest.mark.parametrize("value", YAML_TRAPS)
def test_yaml_quotes_what_either_version_takes_for_something_else(value: str) -> None:
    assert writers.as_yaml({"A": value}) == f'A: "{value}"\n'


@pytest.mark.parametrize("key", ["NO", "y", "ON", "Null"])
def test_yaml_quotes_keys_too(key: str) -> None:
    assert writers.as_yaml({key: "plain-text"}) == f'"{key}": plain-text\n'
