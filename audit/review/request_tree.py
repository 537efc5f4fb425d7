"""What one request did, as a tree: what lies below something that it changed stands below that, and
entries alike are one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from audit.models import Entry

_OF_A_LEVEL = {"secret": 1, "key_version": 1, "secret_version": 2}
"""Types that share the name of what they belong to, by how far below it they are."""
MOST_ALIKE = 3
"""Entries of one kind at one place that are listed; the others are behind a line of their own."""


@dataclass
class Node:
    """below: by what they are, those of one action and type together."""

    entry: Entry
    below: list[Group] = field(default_factory=list)


@dataclass
class Group:
    """Entries of one action and type at one place; more: those beyond the first few."""

    nodes: list[Node]

    @property
    def first(self) -> list[Node]:
        return self.nodes if len(self.nodes) <= MOST_ALIKE + 1 else self.nodes[:MOST_ALIKE]

    @property
    def more(self) -> list[Node]:
        return self.nodes[len(self.first) :]


def tree(entries: Iterable[Entry]) -> list[Group]:
    """The entries of one request, as far as they are given, the highest ones first."""
    ordered = sorted(entries, key=lambda entry: (*_height(entry), entry.pk))
    nodes: list[Node] = []
    roots: list[Group] = []
    for entry in ordered:
        node = Node(entry)
        # The last that fits is the nearest: those above come in the order of their height.
        parent = next((other for other in reversed(nodes) if _is_below(entry, other.entry)), None)
        _put(node, roots if parent is None else parent.below)
        nodes.append(node)
    return roots


def _height(entry: Entry) -> tuple[int, int]:
    return _level(entry.resource_label).count("/"), _OF_A_LEVEL.get(entry.resource_type, 0)


def _level(name: str) -> str:
    """The path of the level that a name belongs to: shop/web of shop/web#12."""
    return name.partition("#")[0]


def _is_below(entry: Entry, other: Entry) -> bool:
    name, above = _level(entry.resource_label), _level(other.resource_label)
    if name == above:
        return _height(other) < _height(entry)
    return bool(above) and name.startswith(f"{above}/") and other.resource_type not in _OF_A_LEVEL


def _put(node: Node, groups: list[Group]) -> None:
    kind = (node.entry.action, node.entry.resource_type, node.entry.result)
    for group in groups:
        first = group.nodes[0].entry
        if (first.action, first.resource_type, first.result) == kind:
            group.nodes.append(node)
            return
    groups.append(Group([node]))
