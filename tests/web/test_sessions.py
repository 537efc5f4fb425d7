"""Sessions are opened by their cookie and by nothing that the database keeps."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from dotenv_cloud.sessions import SessionStore
from organizations.models import Organization, User
from tests.factories import PASSWORD, UserFactory
from tests.web.conftest import Browser

pytestmark = pytest.mark.django_db(transaction=True)


def sign_in(client: Client, user: User) -> None:
    answer = client.post("/sign-in", {"username": user.email, "password": PASSWORD})
    assert answer.status_code == 302


def test_a_session_lasts_from_request_to_request(
    client: Client, owner: User, acme: Organization
) -> None:
    sign_in(client, owner)
    assert client.get(f"/o/{acme.slug}/members").status_code == 200
    assert client.get("/profile").status_code == 200


def test_a_session_ends_with_signing_out(client: Client, owner: User) -> None:
    sign_in(client, owner)
    cookie = client.cookies["sessionid"].value
    client.post("/sign-out")
    client.cookies["sessionid"] = cookie
    assert client.get("/profile").status_code == 302
    assert not Session.objects.exists()


def test_what_the_database_keeps_of_a_session_opens_none(client: Client, owner: User) -> None:
    sign_in(client, owner)
    [kept] = Session.objects.all()
    for value in (kept.session_key, kept.session_data):
        thief = Client()
        thief.cookies["sessionid"] = value
        assert thief.get("/profile").status_code == 302


def test_a_session_is_of_no_use_under_the_name_of_another(
    browser: Browser, client: Client, owner: User
) -> None:
    sign_in(client, owner)
    [kept] = Session.objects.all()
    other = browser()
    sign_in(other, UserFactory.create())
    Session.objects.exclude(pk=kept.pk).update(session_data=kept.session_data)
    assert other.get("/profile").status_code == 302


@pytest.mark.parametrize("cookie", ['"abcdefgh\\000ijkl"', "x" * 5000, "ÿ" * 9, '"\\377\\377"'])
def test_a_cookie_without_a_session_is_anonymous(client: Client, cookie: str) -> None:
    answer = client.get("/profile", headers={"cookie": f"sessionid={cookie}"})
    assert answer.status_code == 302


def test_a_session_is_kept_for_async_views_too() -> None:
    async def use() -> None:
        made = SessionStore()
        await made.aset("name", "value")
        await made.asave()
        assert made.session_key is not None
        assert await made.aexists(made.session_key)
        assert await SessionStore(made.session_key).aget("name") == "value"
        await made.adelete()
        assert await SessionStore(made.session_key).aget("name") is None

    asyncio.run(use())
