"""`${NAME}` in values, replaced by what it stands for, as the hosted product's command does.

`$V` and `${V}` stand for a variable, else for one of the environment. `${V:-d}` is `d` when V is
unset, `${V:+a}` is `a` when it is set, `${V:?e}` fails with `e` when it is unset, and a dollar sign
after a backslash is one. Unset and empty are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

DEEPEST = 10

_REFERENCE = re.compile(
    r"\\\$"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<operator>[-+?])(?P<word>[^}]*))?\}"
    r"|\$(?P<plain>[A-Za-z_][A-Za-z0-9_]*)"
)


class UnsetError(ValueError):
    """A `${NAME:?message}` whose variable is not set."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message or 'is not set'}")
        self.name = name


class CycleError(ValueError):
    """Variables stand for each other in a circle, or through too many others."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(" → ".join(names))
        self.names = names


def resolve(variables: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """`variables` with every reference replaced. Raises CycleError, after which the caller should
    take all values as they were, and UnsetError."""
    return {
        name: _resolved(value, variables, environment, (name,)) for name, value in variables.items()
    }


def _resolved(
    value: str,
    variables: Mapping[str, str],
    environment: Mapping[str, str],
    within: tuple[str, ...],
) -> str:
    def look_up(name: str) -> str:
        if name not in variables:
            return environment.get(name, "")
        if name in within or len(within) >= DEEPEST:
            raise CycleError((*within, name))
        return _resolved(variables[name], variables, environment, (*within, name))

    def replacement(match: re.Match[str]) -> str:
        name = match["name"] or match["plain"]
        if name is None:
            return "$"
        word = match["word"] or ""
        found = look_up(name)
        match match["operator"]:
            case "-":
                return found or _resolved(word, variables, environment, within)
            case "+":
                return _resolved(word, variables, environment, within) if found else ""
            case "?":
                if not found:
                    raise UnsetError(name, word)
        return found

    return _REFERENCE.sub(replacement, value)
