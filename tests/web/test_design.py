"""The design language: each action of the catalogue has an icon that is there to be drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

from audit import policy
from audit.models import Entry
from audit.review import marks
from organizations.icons import initials

ROOT = Path(__file__).resolve().parents[2]


def symbols() -> set[str]:
    return set(re.findall(r'<symbol id="i-([a-z]+)"', get_template("icons.svg").render()))


def test_every_action_and_interface_has_an_icon_of_its_own() -> None:
    assert marks.ACTIONS.keys() == {action.name for action in policy.ACTIONS}
    assert marks.INTERFACES.keys() == set(policy.Interface)


def test_every_icon_that_is_used_is_in_the_sprite() -> None:
    used = {*marks.ACTIONS.values(), *marks.INTERFACES.values(), *marks.TYPES.values()}
    for page in (ROOT / "templates").rglob("*.html"):
        used |= set(re.findall(r'{% icon "([a-z]+)"', page.read_text()))
    used |= set(re.findall(r'href="#i-([a-z]+)"', marks.actor("api_key", None, "ci")))
    assert used - symbols() == set()


@pytest.mark.parametrize(
    ("result", "action", "shape"),
    [
        ("success", "read", "act"),
        ("success", "rotate", "act notice"),
        ("success", "delete", "act warn"),
        ("denied", "read", "act stop"),
        ("failed", "sign_in", "act stop"),
    ],
)
def test_the_shape_grows_with_severity(result: str, action: str, shape: str) -> None:
    entry = Entry(action=action, result=result, context={}, changes={})
    assert f'<span class="{shape}">' in marks.action(entry)


def test_what_the_catalogue_does_not_know_is_drawn_too() -> None:
    entry = Entry(action="teleport", result="success", context={}, changes={})
    assert "#i-help" in marks.action(entry)
    assert "&lt;x&gt;" in marks.actor("<x>", None, "x")


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Olivia Owens", "OO"),
        ("Jean-Luc de la Tour", "JT"),
        ("dev@acme.example", "D"),
        ("jane.doe@acme.example", "JD"),
        ("<b>", ""),
        ("", ""),
    ],
)
def test_initials_are_one_letter_or_two(name: str, letters: str) -> None:
    assert initials(name) == letters
