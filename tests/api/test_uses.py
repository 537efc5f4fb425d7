"""Uses of tokens: the first one, and one from an address that is new, are entered; the rest not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from django.db import connection

from keys import access_tokens, tokens
from keys.models import ApiKey
from organizations import clock
from organizations.models import Organization
from tests.api.conftest import Api, Recorded
from tests.factories import ApiKeyFactory, MembershipFactory, OrganizationFactory

pytestmark = pytest.mark.django_db(transaction=True)

LeftBy = Callable[[Callable[[], Any]], list[Recorded]]


def called(api: Api, address: str) -> Callable[[], Any]:
    def call() -> None:
        assert api.send("GET", "/user", REMOTE_ADDR=address).status_code == 200

    return call


def uses(left: list[Recorded]) -> list[tuple[str, str | None]]:
    return [(entry.action, entry.ip) for entry in left]


def test_the_first_use_and_each_new_address_are_entered_once(
    acme: Organization, left_by: LeftBy
) -> None:
    issued = ApiKeyFactory.create(organization=acme, abilities=["project:read"], name="deploy")
    api = Api(issued.token, acme)
    first = left_by(called(api, "192.0.2.1"))
    assert uses(first) == [("first_use", "192.0.2.1")]
    assert (first[0].type, first[0].label, first[0].organization_id) == (
        "api_key",
        "deploy",
        acme.pk,
    )
    assert (first[0].actor_type, first[0].actor_id) == ("api_key", issued.api_key.pk)
    assert uses(left_by(called(api, "192.0.2.1"))) == []
    assert uses(left_by(called(api, "192.0.2.2"))) == [("new_address", "192.0.2.2")]
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        assert uses(left_by(called(api, address))) == []
    ApiKey.objects.update(last_used_at=clock.now() - dt.timedelta(days=30))
    assert uses(left_by(called(api, "192.0.2.2"))) == []


def test_a_key_that_many_use_is_written_once_a_minute(acme: Organization) -> None:
    api = Api(ApiKeyFactory.create(organization=acme, abilities=["project:read"]).token, acme)
    for address in ("192.0.2.1", "192.0.2.2"):
        called(api, address)()
    noted = ApiKey.objects.values().get()
    before = noted["last_used_at"]
    for address in ("192.0.2.1", "192.0.2.2"):
        called(api, address)()
    assert ApiKey.objects.values().get() == noted
    ApiKey.objects.update(last_used_at=clock.now() - dt.timedelta(minutes=2))
    called(api, "192.0.2.1")()
    key = ApiKey.objects.get()
    assert key.last_used_ip == "192.0.2.1"
    assert before is not None and key.last_used_at is not None and key.last_used_at > before


def test_a_persons_token_is_entered_where_the_person_belongs(
    acme: Organization, left_by: LeftBy
) -> None:
    rival = OrganizationFactory.create(name="Rival")
    user = MembershipFactory.create(organization=acme).user
    MembershipFactory.create(organization=rival, user=user)
    api = Api(access_tokens.create(user, "laptop").token)
    left = left_by(called(api, "192.0.2.1"))
    assert {(e.action, e.type, e.label, e.actor) for e in left} == {
        ("first_use", "access_token", "laptop", user.email)
    }
    assert {entry.organization_id for entry in left} == {acme.pk, rival.pk}


def test_a_refused_request_is_a_use_and_a_wrong_token_is_not(
    acme: Organization, left_by: LeftBy
) -> None:
    api = Api(ApiKeyFactory.create(organization=acme, abilities=["project:read"]).token, acme)
    left = left_by(lambda: api.get("/organizations/{o}/members"))
    assert [entry.action for entry in left] == ["first_use", "access"]
    assert [e.action for e in left_by(lambda: Api("dotenv_wrong").get("/user"))] == ["access"]


def test_of_many_first_uses_at_once_one_is_the_first(acme: Organization, left_by: LeftBy) -> None:
    key = ApiKeyFactory.create(organization=acme).api_key

    def use() -> None:
        tokens.note_use(ApiKey(pk=key.pk, organization=acme, name="ci"), "192.0.2.1")
        connection.close()

    def use_at_once() -> None:
        threads = [Thread(target=use) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [entry.action for entry in left_by(use_at_once)] == ["first_use"]


def test_addresses_of_long_ago_are_forgotten(
    acme: Organization, left_by: LeftBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "ADDRESSES_KNOWN", 2)
    api = Api(ApiKeyFactory.create(organization=acme).token, acme)
    for number in (1, 2, 3):
        called(api, f"192.0.2.{number}")()
    assert ApiKey.objects.get().seen_from == ["192.0.2.2", "192.0.2.3"]
    assert uses(left_by(called(api, "192.0.2.1"))) == [("new_address", "192.0.2.1")]


def test_what_cannot_be_entered_is_not_done(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(ApiKeyFactory.create(organization=acme).token, acme)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the log is full")

    monkeypatch.setattr("audit.receivers.record", fail)
    assert api.get("/user").status_code == 500
    assert ApiKey.objects.get().last_used_at is None
