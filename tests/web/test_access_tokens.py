"""Access tokens on the profile: made and shown once, listed without the token, revoked."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.test import Client

from keys import access_tokens
from keys.models import AccessToken
from organizations import clock
from organizations.models import User
from tests.factories import OrganizationFactory, UserFactory

pytestmark = pytest.mark.django_db

TOKEN = re.compile(r"dotenv_[0-9A-Z]{26}_[a-zA-Z0-9]{40}")


@pytest.fixture
def person() -> User:
    return OrganizationFactory.create(name="Acme").memberships.get().user


@pytest.fixture
def client(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_a_token_is_shown_once_and_works(client: Client, person: User) -> None:
    assert "New access token" in client.get("/profile").content.decode()
    made = client.post("/profile/tokens/new", {"name": "laptop"})
    assert made.status_code == 201
    assert "no-store" in made["Cache-Control"]
    [token] = TOKEN.findall(made.content.decode())
    profile = client.get("/profile").content.decode()
    assert "laptop" in profile
    assert "Never used" in profile
    assert token not in profile
    asked = Client().get("/api/v1/user", headers={"authorization": f"Bearer {token}"})
    assert asked.json()["data"]["attributes"]["email"] == person.email
    assert "Last used" in client.get("/profile").content.decode()


def test_a_token_ends_with_the_day_that_is_chosen(client: Client) -> None:
    day = (clock.now() + dt.timedelta(days=30)).date()
    client.post("/profile/tokens/new", {"name": "laptop", "expires_on": day.isoformat()})
    expires_at = AccessToken.objects.get().expires_at
    assert expires_at == dt.datetime.combine(day, dt.time(23, 59, 59), tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({}, "This field is required"),
        ({"name": "x" * 101}, "at most 100 characters"),
        ({"name": "x", "expires_on": "soon"}, "Enter a valid date"),
        ({"name": "x", "expires_on": "2020-01-01"}, "Choose a time in the future"),
    ],
)
def test_a_token_that_cannot_be_is_refused_in_words(
    client: Client, form: dict[str, str], says: str
) -> None:
    response = client.post("/profile/tokens/new", form)
    assert response.status_code == 422
    assert says in response.content.decode()
    assert not AccessToken.objects.exists()


def test_too_many_are_refused(
    client: Client, person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_tokens, "MOST", 1)
    access_tokens.create(person, "laptop")
    response = client.post("/profile/tokens/new", {"name": "another"})
    assert response.status_code == 422
    assert "revoke one first" in response.content.decode()


def test_revoking_asks_and_ends_the_token_at_once(client: Client, person: User) -> None:
    issued = access_tokens.create(person, "laptop")
    path = f"/profile/tokens/{issued.access_token.ulid}/revoke"
    assert client.get(path).status_code == 405
    unsure = client.post(path)
    assert unsure.status_code == 422
    assert "Tick the box" in unsure.content.decode()
    done = client.post(path, {"sure": "yes"}, follow=True)
    assert "laptop was revoked" in done.content.decode()
    asked = Client().get("/api/v1/user", headers={"authorization": f"Bearer {issued.token}"})
    assert asked.status_code == 401
    assert client.post(path, {"sure": "yes"}).status_code == 404


def test_nobody_sees_or_revokes_the_tokens_of_another(client: Client) -> None:
    other = access_tokens.create(UserFactory.create(), "theirs").access_token
    assert "theirs" not in client.get("/profile").content.decode()
    for reference in (other.ulid, "nothing"):
        response = client.post(f"/profile/tokens/{reference}/revoke", {"sure": "yes"})
        assert response.status_code == 404
    assert AccessToken.objects.filter(pk=other.pk).exists()


def test_strangers_are_asked_to_sign_in() -> None:
    response = Client().get("/profile/tokens/new")
    assert response.status_code == 302
    assert response["Location"].startswith("/sign-in")
