"""Replaces references such as `${NAME}` in values, as the hosted product's command does.

`$V` and `${V}` refer to a variable, or else to one of the environment. `${V:-d}` is `d` if V is
unset, `${V:+a}` is `a` if it is set, `${V:?e}` fails with `e` if it is unset; to these three, empty
is unset. `\\$` is a dollar sign. A reference to something unset is kept as it is, and so are two
dollar signs: a password may contain either.
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
    """Variables refer to each other in a cycle, or through too many others."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(" → ".join(names))
        self.names = names


@dataclass
class Resolved:
    """values: with every reference to a set variable replaced; unset: name of a variable → the
    references in it that were kept, as they refer to nothing."""

    values: dict[str, str] = field(repr=False)
    unset: dict[str, list[str]]


def resolve(variables: Mapping[str, str], environment: Mapping[str, str]) -> Resolved:
    """`variables` with their references replaced. Raises UnsetError, and CycleError, after which
    the caller should use all values as they were."""
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
