"""`${NAME}` in values, replaced by what it stands for, as the hosted product's command does.

`$V` and `${V}` stand for a variable, else for one of the environment. `${V:-d}` is `d` when V is
unset, `${V:+a}` is `a` when it is set, `${V:?e}` fails with `e` when it is unset, and a dollar sign
after a backslash is one. Unset and empty are the same to these three. What stands for nothing that
is set stays as it is, and so do two dollar signs: a password may hold either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

DEEPEST = 10

_REFERENCE = re.compile(
    r"\\\$|\$\$"
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


@dataclass
class Resolved:
    """values: with every reference replaced that stands for something; unset: name of a variable →
    the references in it that do not, which were left as they are."""

    values: dict[str, str] = field(repr=False)
    unset: dict[str, list[str]]


def resolve(variables: Mapping[str, str], environment: Mapping[str, str]) -> Resolved:
    """`variables` with their references replaced. Raises CycleError, after which the caller should
    take all values as they were, and UnsetError."""
    resolution = _Resolution(variables, environment)
    return Resolved(
        {name: resolution.of(value, (name,)) for name, value in variables.items()},
        {name: sorted(names) for name, names in sorted(resolution.unset.items())},
    )


class _Resolution:
    def __init__(self, variables: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self.variables = variables
        self.environment = environment
        self.unset: dict[str, set[str]] = {}

    def of(self, value: str, within: tuple[str, ...]) -> str:
        """A value with its references replaced. within: the variables that led here."""

        def replacement(match: re.Match[str]) -> str:
            name = match["name"] or match["plain"]
            if name is None:
                return "$" if match[0] == r"\$" else match[0]
            word = match["word"] or ""
            found = self._look_up(name, within)
            match match["operator"]:
                case "-":
                    return found or self.of(word, within)
                case "+":
                    return self.of(word, within) if found else ""
                case "?":
                    if not found:
                        raise UnsetError(name, word)
            if found is None:
                self.unset.setdefault(within[0], set()).add(name)
                return match[0]
            return found

        return _REFERENCE.sub(replacement, value)

    def _look_up(self, name: str, within: tuple[str, ...]) -> str | None:
        if name not in self.variables:
            return self.environment.get(name)
        if name in within or len(within) >= DEEPEST:
            raise CycleError((*within, name))
        return self.of(self.variables[name], (*within, name))
