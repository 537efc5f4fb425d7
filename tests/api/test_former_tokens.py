"""Whether a token that leaked is still tried: its organization's log says so, by the key's name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from keys import api_keys
from keys.models import ApiKey, FormerToken
from organizations import clock
from organizations.grants import EVERYTHING
from organizations.models import Organization
from tests.api.conftest import ADDRESS, Api
from tests.factories import ApiKeyFactory, OrganizationFactory

pytestmark = pytest.mark.django_db

PATH = "/{o}/projects"


def _revoke(key: ApiKey) -> None:
    api_keys.revoke(key, granter=EVERYTHING)


def _rotate(key: ApiKey) -> None:
    api_keys.rotate(key, granter=EVERYTHING)


def _expire(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=clock.now() - dt.timedelta(minutes=1))


@pytest.mark.parametrize(
    ("end", "reason"), [(_revoke, "revoked"), (_rotate, "rotated"), (_expire, "expired")]
)
def test_what_a_key_tries_after_its_end_is_entered_as_its(
    acme: Organization, entries: Any, end: Callable[[ApiKey], None], reason: str
) -> None:
    issued = ApiKeyFactory.create(organization=acme, name="leaked")
    end(issued.api_key)
    response = Api(issued.token, acme).get(PATH)
    assert response.status_code == 401
    assert response.json()["error"] == "unauthenticated"
    [entry] = entries(acme, action="access", result="denied")
    assert entry.reason == reason
    assert (entry.actor_type, entry.actor_id) == ("api_key", issued.api_key.pk)
    assert (entry.actor_label, entry.ip) == ("leaked", ADDRESS)
    assert entry.context["named"] == {"organization": "acme"}


def test_each_token_that_a_key_ever_had_is_known(acme: Organization, entries: Any) -> None:
    issued = ApiKeyFactory.create(organization=acme, name="leaked")
    tried = [issued.token]
    for _ in range(2):
        tried.append(api_keys.rotate(issued.api_key, granter=EVERYTHING).token)
    _revoke(ApiKey.objects.get(pk=issued.api_key.pk))
    for token in tried:
        assert Api(token, acme).get(PATH).status_code == 401
    found = entries(acme, action="access", result="denied")
    assert [entry.reason for entry in found] == ["rotated", "revoked"]
    assert {entry.actor_id for entry in found} == {issued.api_key.pk}


def test_it_is_entered_in_the_key_s_organization_wherever_it_is_tried(
    acme: Organization, entries: Any
) -> None:
    other = OrganizationFactory.create(name="Other")
    issued = ApiKeyFactory.create(organization=acme, name="leaked")
    _revoke(issued.api_key)
    assert Api(issued.token, other).get(PATH).status_code == 401
    assert len(entries(acme, action="access", result="denied")) == 1
    assert not entries(other, action="access")


def test_an_unknown_token_is_in_no_organization_s_log(acme: Organization, entries: Any) -> None:
    issued = ApiKeyFactory.create(organization=acme)
    assert Api(f"{issued.token[:-4]}0000", acme).get(PATH).status_code == 401
    assert not entries(acme, action="access")


def test_only_the_hash_is_kept_and_goes_with_the_organization(acme: Organization) -> None:
    issued = ApiKeyFactory.create(organization=acme, name="leaked")
    _revoke(issued.api_key)
    kept = FormerToken.objects.get()
    assert issued.token.rpartition("_")[2] not in str(vars(kept))
    acme.delete()
    assert not FormerToken.objects.exists()


def test_all_three_get_the_same_answer(acme: Organization) -> None:
    """Who has a token that ended learns no more from it than who made one up."""
    answers = set()
    for end in (_revoke, _rotate, lambda key: None):
        issued = ApiKeyFactory.create(organization=acme)
        end(issued.api_key)
        token = issued.token if end in (_revoke, _rotate) else f"{issued.token[:-4]}0000"
        answers.add(Api(token, acme).get(PATH).json()["message"])
    assert len(answers) == 1
