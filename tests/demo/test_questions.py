"""Ten questions in a person's words, put to the demo's log as they are typed on the page."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from organizations.models import User
from tests.demo.test_demo import demo

__all__ = ["demo"]

QUESTIONS = {
    "Who deleted the production environment last Tuesday?": (
        "jane@acme.example deleted environment storefront/backend/production"
    ),
    "who last rotated the encryption key of storefront?": (
        "olivia@acme.example rotated the key of storefront to version 5"
    ),
    "when was the analytics project last rotated": (
        "olivia@acme.example rotated the key of analytics to version 2"
    ),
    "who invited olga?": "olivia@acme.example invited olga@acme.example as admin",
    "Who removed bill?": "olivia@acme.example removed the member bill@acme.example",
    "who changed Marco's role?": (
        "olivia@acme.example changed the role of marco@acme.example from member to developer"
    ),
    "failed sign-ins in the last 30 days": (
        "Anonymous tried to sign in user olivia@acme.example failed: wrong password"
    ),
    "who read the secrets of mobile-app?": "sam@laptop read the secret of mobile-app",
    "what happened to legacy-intranet?": ("olivia@acme.example deleted project legacy-intranet"),
    "what did lena do?": "lena@contractor.example left the organization",
    "who revoked the API key lena@laptop?": "jane@acme.example deleted API key lena@laptop",
    "who renamed data-warehouse?": "priya@acme.example updated project analytics",
    "who changed Olivia's password?": (
        "olivia@acme.example changed the password of user olivia@acme.example"
    ),
}


@pytest.mark.parametrize(("text", "first"), QUESTIONS.items(), ids=list(QUESTIONS))
def test_a_question_is_answered_as_typed(demo: dict[str, Any], text: str, first: str) -> None:
    client = Client()
    client.force_login(User.objects.get(email="ada@acme.example"))
    answer = client.get("/o/acme/activity", {"ask": text, "tz": "UTC"}, follow=True)
    page = answer.content.decode()
    assert "was left out" not in page
    assert "name contains" not in page, "it was taken for text to look for"
    row = re.search(r'<tr[^>]*>\s*<td class="when".*?</tr>', page, re.DOTALL)
    assert row, "no entry answers it"
    sentence = " ".join(html.unescape(re.sub(r"</?(?:wbr|bdi)>|<[^>]*>", " ", row[0])).split())
    who, _, what = first.partition(" ")
    assert who in sentence
    assert what in sentence.replace("/ ", "/"), sentence
