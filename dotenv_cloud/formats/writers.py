"""Writes variables as `.env`, JSON, YAML, shell commands or Dockerfile instructions.

Output is sorted by key. Every writer takes a mapping of names to values and returns the whole text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping

import yaml

from dotenv_cloud.formats import env, env_writing

_SHELL = '\\"$`'
_DOCKERFILE = '\\"$'
_ODD_BREAKS = re.compile("[\x85\u2028\u2029]")

Writer = Callable[[Mapping[str, str]], str]


def shell(variables: Mapping[str, str]) -> str:
    """Lines for `eval` or `source` of a POSIX shell (IEEE 1003.1, 2.2.3 Double-Quotes).

    Raises UnwritableError for a NUL, which a shell would drop.
    """
    lines = []
    for key in env.names(variables):
        if "\0" in variables[key]:
            raise env.UnwritableError(key, "contains a NUL, which a shell cannot store")
        lines.append(f'export {key}="{_escaped(variables[key], _SHELL)}"\n')
    return "".join(lines)


def dockerfile(variables: Mapping[str, str]) -> str:
    """`ENV` instructions. An instruction is one line, so a line break becomes `\\n` in it."""
    lines = []
    for key in env.names(variables):
        value = _escaped(variables[key], _DOCKERFILE)
        value = value.replace("\r", "\\r").replace("\n", "\\n")
        lines.append(f'ENV {key}="{value}"\n')
    return "".join(lines)


def as_json(variables: Mapping[str, str]) -> str:
    """A JSON object (RFC 8259)."""
    return json.dumps(dict(variables), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


# Words that YAML 1.1 or 1.2 reads as a boolean, null or a number.
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
_YAML_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


class _Dumper(yaml.SafeDumper):
    """Quotes all strings but plain words: what is a string to one version of YAML is a number or a
    date to the other (`1e3`, `0o17`, `2024-01-01`)."""


def _quoted_unless_plain(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _YAML_PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _quoted_unless_plain)


def as_yaml(variables: Mapping[str, str]) -> str:
    """A YAML mapping of strings, quoted if YAML 1.1 or 1.2 could read them as another type."""
    if not variables:
        return "{}\n"
    # YAML 1.1 breaks lines at these as well; unless escaped, some are read back as a space.
    has_odd_breaks = any(_ODD_BREAKS.search(value) for value in variables.values())
    return yaml.dump(
        dict(variables),
        Dumper=_Dumper,
        allow_unicode=not has_odd_breaks,
        default_flow_style=False,
        sort_keys=True,
        width=math.inf,
    )


WRITERS: dict[str, Writer] = {
    "env": env_writing.write,
    "json": as_json,
    "yaml": as_yaml,
    "shell": shell,
    "dockerfile": dockerfile,
}
"""By the names that `--format` takes."""


def _escaped(value: str, special: str) -> str:
    # The backslash comes first: escaping it last would escape the escapes.
    assert special[0] == "\\"
    for character in special:
        value = value.replace(character, f"\\{character}")
    return value
