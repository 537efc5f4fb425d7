"""People are found and shown by the names they have, beside their addresses."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client

from audit.ledger import sealing
from organizations.models import Organization, User
from tests.factories import ApiKeyFactory, MembershipFactory, OrganizationFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

LOG = "/api/v1/organizations/acme/audit"


@pytest.fixture
def token() -> str:
    acme = OrganizationFactory.create(name="Acme", owner__email="olga@example.org")
    for name, email in (("Zoë Ångström", "zo@example.org"), ("Jane Doe", "jd@example.org")):
        member = MembershipFactory.create(
            organization=acme, role="admin", user__email=email, user__name=name
        )
        browser = Client()
        browser.force_login(member.user)
        project = {"name": f"Of {email[:2]}", "secret_format": "env"}
        answer = browser.post("/o/acme/new-project", project)
        assert answer.status_code == 302, answer.content
    return str(ApiKeyFactory.create(organization=acme, auditor=True, name="asks").token)


def asked(token: str, part: str = "entries", **params: str) -> Any:
    answer = Client().get(f"{LOG}/{part}", params, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.content
    return b"".join(answer) if answer.streaming else answer.json()


def actors(answer: Any) -> set[str]:
    return {entry["attributes"]["actor"]["label"] for entry in answer["data"]}


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize("text", ["Zoë Ångström", "zoe\u0308 ångström", "Ångst", "zoë*"])
def test_a_person_is_found_by_name(token: str, text: str, is_sealed: bool) -> None:
    if is_sealed:
        sealing.seal()
    answer = asked(token, actor=text)
    assert actors(answer) == {"zo@example.org"}
    if text.casefold().endswith("ström"):
        assert answer["meta"]["notes"][0].endswith("is the name of zo@example.org.")
        assert answer["meta"]["names"][0]["now"] == "zo@example.org"
    assert "zo@example.org" not in actors(asked(token, exclude_actor=text))


def test_what_was_done_to_a_person_is_found_by_name(token: str) -> None:
    found = {
        (entry["attributes"]["resource"]["type"], entry["attributes"]["resource"]["label"])
        for entry in asked(token, resource="jane doe")["data"]
    }
    assert ("membership", "jd@example.org") in found
    assert {label for _, label in found} == {"jd@example.org"}
    assert actors(asked(token, q="doe jane")) == {"jd@example.org"}


def test_two_of_one_name_are_both_named(token: str) -> None:
    acme = Organization.objects.get(slug="acme")
    MembershipFactory.create(
        organization=acme, role="member", user__email="jane2@example.org", user__name="Jane Doe"
    )
    notes = asked(token, actor="Jane Doe")["meta"]["notes"]
    assert notes == [
        "actor: 'Jane Doe' is the name of 2 people: jane2@example.org, jd@example.org."
    ]


def test_names_of_strangers_find_nothing(token: str) -> None:
    rival = OrganizationFactory.create(name="Rival")
    MembershipFactory.create(
        organization=rival, role="admin", user__email="x@example.org", user__name="Xaver Stranger"
    )
    answer = asked(token, actor="Xaver Stranger")
    assert answer["data"] == []
    assert answer["meta"]["names"] == []


def test_names_are_shown_beside_addresses(token: str) -> None:
    [entry] = asked(token, actor="Jane Doe", type="project")["data"]
    assert entry["meta"]["actor_name"] == "Jane Doe"
    assert entry["attributes"]["actor"]["label"] == "jd@example.org"
    text = asked(token, "entries/export", type="project", format="csv").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {(row["actor_label"], row["actor_name"]) for row in rows} == {
        ("zo@example.org", "Zoë Ångström"),
        ("jd@example.org", "Jane Doe"),
    }
    # What is proved later does not change with a name.
    lines = asked(token, "entries/export", type="project").decode().splitlines()
    assert "actor_name" not in json.loads(lines[0])
    User.objects.filter(email="jd@example.org").update(name="Jane Roe")
    [entry] = asked(token, actor="Jane Roe", type="project")["data"]
    assert entry["meta"]["actor_name"] == "Jane Roe"


@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_person_is_found_by_a_former_name(token: str, is_sealed: bool) -> None:
    for name in ("Jane Miller", "Jane Roe"):
        person = User.objects.get(email="jd@example.org")
        person.name = name
        person.save()
    if is_sealed:
        sealing.seal()
    for former in ("jane miller", "Jane Doe"):
        answer = asked(token, actor=former, type="project")
        assert actors(answer) == {"jd@example.org"}
        assert answer["meta"]["notes"] == [
            f"actor: {former!r} was the name of jd@example.org, now 'Jane Roe'."
        ]
        [named] = answer["meta"]["names"]
        assert (named["now"], named["now_called"]) == ("jd@example.org", "Jane Roe")
    assert actors(asked(token, q="miller jane", type="project")) == {"jd@example.org"}
    assert actors(asked(token, ask="what did Jane Miller create")) == {"jd@example.org"}
    assert asked(token, resource="Jane Miller")["data"]
    assert asked(token, exclude_actor="Jane Miller", type="project")["data"]
    # Nobody is called so in another log.
    rival = OrganizationFactory.create(name="Rival")
    other = ApiKeyFactory.create(organization=rival, auditor=True, name="asks").token
    answer = Client().get(
        "/api/v1/organizations/rival/audit/entries",
        {"actor": "Jane Miller"},
        headers={"Authorization": f"Bearer {other}"},
    )
    assert (answer.json()["data"], answer.json()["meta"]["names"]) == ([], [])


def test_a_name_that_was_one_persons_and_is_anothers_is_both(token: str) -> None:
    User.objects.filter(email="jd@example.org").update(name="Jane Roe")
    User.objects.filter(email="zo@example.org").update(name="Jane Doe")
    answer = asked(token, actor="Jane Doe", type="project")
    assert actors(answer) == {"jd@example.org", "zo@example.org"}
    assert answer["meta"]["notes"] == [
        "actor: 'Jane Doe' is or was the name of 2 people: jd@example.org, now 'Jane Roe',"
        " zo@example.org."
    ]
