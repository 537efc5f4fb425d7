"""No copy of a page is kept, and no link is made of what a request says of its host."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from audit.coverage.routes import all_routes
from organizations.models import Organization, User
from tests.web.conftest import Browser

PLACES = {"organization": "acme"}


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_every_page_is_kept_by_nobody(
    acme: Organization, owner: User, browser: Browser, is_signed_in: bool
) -> None:
    owner.is_staff = True
    owner.save(update_fields={"is_staff"})
    client = browser(owner if is_signed_in else None)
    client.raise_request_exception = False
    paths = {
        re.sub(r"\{(\w+)\}", lambda m: PLACES.get(m[1], "01ARZ3NDEKTSV4RRFFQ69G5FAV"), route.path)
        for route in all_routes()
    }
    assert len(paths) > 60
    for path in sorted(paths):
        answer = client.get(path)
        assert "no-store" in answer.headers["Cache-Control"], path


def test_a_static_file_may_be_kept(client: Client, db: None) -> None:
    page = client.get("/sign-in").content.decode()
    [sheet] = re.findall(r'href="(/static/[^"]+\.css)"', page)[:1]
    assert "no-store" not in client.get(sheet).headers.get("Cache-Control", "")


@pytest.mark.parametrize("host", ["evil.example.com", "localhost"])
def test_links_in_mails_begin_with_the_configured_address(
    acme: Organization,
    owner: User,
    browser: Browser,
    settings: Any,
    host: str,
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.BASE_URL = "https://dotenv.example.com"
    headers = {"host": host, "x-forwarded-host": host}
    browser().post("/password/reset", {"email": owner.email}, headers=headers)
    client = browser(owner)
    with django_capture_on_commit_callbacks(execute=True):
        values = {"email": "new@example.org", "role": "member"}
        client.post("/o/acme/members", values, headers=headers)
    assert len(mail.outbox) == 2
    for message in mail.outbox:
        links = re.findall(r"\S+://\S+", str(message.body))
        assert links, message.body
        assert all(link.startswith("https://dotenv.example.com/") for link in links)
        assert host not in str(message.body)
