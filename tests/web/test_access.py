"""Who may do what where: now as requests are decided now, and at any moment as they were then."""

from __future__ import annotations

import datetime as dt
import io
import random
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import transaction
from guardian.shortcuts import assign_perm, remove_perm

from audit.review import replaying
from keys import api_keys
from keys.levels import Level
from keys.models import ApiKey
from organizations import members, permissions
from organizations.grants import EVERYTHING
from organizations.models import Membership, Organization, User
from organizations.roles import ALL, Role
from tests import evidence
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    ProjectFactory,
    TargetFactory,
    UserFactory,
)
from tests.web.conftest import Browser, Entries

ADDRESS = "/o/acme/access"
Held = dict[uuid.UUID, Any]


def decided(acme: Organization) -> Held:
    """What each person and key may do by the functions that decide about requests."""
    people = {user.pk: permissions.abilities_of(user, acme) for user in User.objects.all()}
    found: Held = {key: abilities for key, abilities in people.items() if abilities}
    for key in ApiKey.objects.filter(organization=acme):
        found[key.pk] = api_keys.held_by(key)
    return found


def replayed(acme: Organization, at: dt.datetime | None) -> Held:
    found = replaying.access(acme, at)
    assert found.unknown == 0
    return {
        each.id: each.grant if each.kind == "api_key" else each.grant.abilities
        for each in found.holders
    }


class History:
    """Random changes of access, all of which the product or its operator can make."""

    def __init__(self, acme: Organization, seed: int) -> None:
        self.acme, self.choose = acme, random.Random(seed)
        self.groups = [Group.objects.create(name=name) for name in ("On call", "Audit: second")]
        target = TargetFactory.create(project=ProjectFactory.create(organization=acme))
        level = EnvironmentFactory.create(target=target)
        self.level = Level(target.project, target, level)

    def step(self) -> None:
        choices: list[Callable[[], object]] = [
            self.join,
            self.leave,
            self.change_role,
            self.change_group,
            self.change_permission_of_group,
            self.switch_person,
            self.make_key,
            self.change_key,
            self.revoke_key,
        ]
        self.choose.choice(choices)()

    def _member(self) -> Membership | None:
        found = list(Membership.objects.filter(organization=self.acme).exclude(role=Role.OWNER))
        return self.choose.choice(found) if found else None

    def join(self) -> None:
        roles = [role for role in Role if role != Role.OWNER]
        MembershipFactory.create(organization=self.acme, role=self.choose.choice(roles))

    def leave(self) -> None:
        if membership := self._member():
            members.remove(membership, granter=EVERYTHING)

    def change_role(self) -> None:
        if membership := self._member():
            role = self.choose.choice([role for role in Role if role != Role.OWNER])
            members.change_role(membership, role, granter=EVERYTHING)

    def change_group(self) -> None:
        group, membership = self.choose.choice(self.groups), self._member()
        if membership:
            (group.user_set.remove if self.choose.random() < 0.4 else group.user_set.add)(
                membership.user
            )

    def change_permission_of_group(self) -> None:
        change: Any = self.choose.choice([assign_perm, remove_perm])
        change(self.choose.choice(sorted(ALL)), self.choose.choice(self.groups), self.acme)

    def switch_person(self) -> None:
        if membership := self._member():
            membership.user.is_active = not membership.user.is_active
            membership.user.save()

    def make_key(self) -> None:
        some = self.choose.sample(["secret:read", "secret:write", "key:retrieve"], 2)
        name = f"key {self.choose.random()}"
        if self.choose.random() < 0.5:
            ApiKeyFactory.create(
                organization=self.acme, name=name, abilities=some, narrowed_to=self.level
            )
        else:
            ApiKeyFactory.create(organization=self.acme, name=name)

    def _key(self) -> ApiKey | None:
        found = list(ApiKey.objects.filter(organization=self.acme))
        return self.choose.choice(found) if found else None

    def change_key(self) -> None:
        if key := self._key():
            abilities = self.choose.sample(["secret:read", "project:read", "audit:read"], 2)
            changes: dict[str, Any] = {"abilities": abilities, "scopes": ()}
            if self.choose.random() < 0.5:
                changes = {"inherit_parents": not key.inherit_parents, "name": key.name + "!"}
            api_keys.update(key, changes, granter=EVERYTHING)

    def revoke_key(self) -> None:
        if key := self._key():
            api_keys.revoke(key, granter=EVERYTHING)


@pytest.mark.parametrize("seed", [1, 2])
def test_at_each_moment_of_a_random_history_it_agrees_with_what_was_decided_then(
    acme: Organization, seed: int
) -> None:
    history = History(acme, seed)
    known: list[tuple[dt.datetime, Held]] = []
    for _ in range(70):
        history.step()
        known.append((dt.datetime.now(dt.UTC), decided(acme)))
        time.sleep(0.003)
    assert len({str(sorted(map(str, held))) for _, held in known}) > 10
    assert replayed(acme, None) == decided(acme)
    for at, held in known:
        assert replayed(acme, at) == held


def test_a_person_who_is_gone_is_named_with_their_role(
    owner: User, acme: Organization, browser: Browser
) -> None:
    membership = MembershipFactory.create(
        organization=acme, role=Role.DEVELOPER, user__email="bob@acme.example"
    )
    time.sleep(0.003)
    at = dt.datetime.now(dt.UTC).isoformat()
    time.sleep(0.003)
    members.remove(membership, granter=EVERYTHING)
    membership.user.delete()
    body = browser(owner).get(ADDRESS, {"at": at}).content.decode()
    row = re.search(r'<tr class="gone">.*?</tr>', body, re.DOTALL)
    assert row
    assert "bob@acme.example" in row[0]
    assert "role Developer" in row[0]
    assert "no access" in row[0]
    assert re.search(r"2 could read secrets on .*; 1 can now", body)
    assert "bob@acme.example" not in browser(owner).get(ADDRESS).content.decode()


@pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])
def test_who_gave_access_may_be_erased_and_what_was_given_is_known(acme: Organization) -> None:
    membership = MembershipFactory.create(organization=acme, role=Role.DEVELOPER)
    time.sleep(0.003)
    at, before = dt.datetime.now(dt.UTC), decided(acme)
    time.sleep(0.003)
    members.change_role(membership, Role.AUDITOR, granter=EVERYTHING)
    assert decided(acme) != before
    evidence.seal_all()
    evidence.prove_all()
    with transaction.atomic():
        changed = [entry.seq for entry in replaying._since(acme, at)]
    said = ["--reason", "request 7", "--by", "counsel"]
    for parts in ("actor,origin", "detail"):
        numbers = ",".join(map(str, changed))
        command = ["audit_erase", acme.slug, "--seq", numbers, "--parts", parts, *said]
        call_command(*command, stdout=io.StringIO())
        if parts == "detail":
            with transaction.atomic():
                assert replaying.access(acme, at).unknown == len(changed)
        else:
            with transaction.atomic():
                assert replayed(acme, at) == before


def row_of(name: str, body: str) -> str:
    found = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    return next((row for row in found if f">{name}<" in row), "")


@pytest.fixture
def narrowed(acme: Organization) -> Level:
    """A key for one environment; the project has another one."""
    target = TargetFactory.create(
        name="Web", project=ProjectFactory.create(name="Shop", organization=acme)
    )
    level = Level(target.project, target, EnvironmentFactory.create(name="Live", target=target))
    EnvironmentFactory.create(name="Staging", target=target)
    ApiKeyFactory.create(
        organization=acme,
        name="deploy",
        abilities=("secret:read", "secret:write", "key:retrieve"),
        narrowed_to=level,
    )
    return level


@pytest.mark.parametrize(
    ("place", "read", "write"),
    [
        ("shop/web/live", "yes", "yes"),
        # Levels above are read with it, and not written.
        ("shop/web", "yes", "no"),
        ("SHOP", "yes", "no"),
        # Its secrets are not read, though the key is that of all of the project.
        ("shop/web/staging", "no", "no"),
    ],
)
def test_a_narrowed_key_may_do_something_in_its_place_alone(
    owner: User, browser: Browser, narrowed: Level, place: str, read: str, write: str
) -> None:
    body = browser(owner).get(ADDRESS, {"place": place}).content.decode()
    row = row_of("deploy", body)
    cells = dict(re.findall(r'data-name="([^"]+)">.*?</svg>(yes|no)</span>', row))
    assert (cells["Read"], cells["Change"], cells["Retrieve key"]) == (read, write, "yes")


def test_a_key_of_elsewhere_may_do_nothing_in_a_project(
    acme: Organization, owner: User, browser: Browser, narrowed: Level
) -> None:
    ProjectFactory.create(name="Other", organization=acme)
    body = browser(owner).get(ADDRESS, {"place": "other"}).content.decode()
    assert row_of("deploy", body) == ""
    assert re.search(r"Can not, in spite of a role or key: .*deploy", body)


def test_everywhere_it_names_the_places(owner: User, browser: Browser, narrowed: Level) -> None:
    body = browser(owner).get(ADDRESS).content.decode()
    row = row_of("deploy", body)
    assert row.count("<bdi>shop/web/live</bdi>") == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"place": "nowhere"}, "there is no project called \u201cnowhere\u201d."),
        ({"place": "shop/nope"}, "there is no target called \u201cnope\u201d in shop."),
        ({"place": "a/b/c/d"}, "a path has three parts at most"),
        ({"at": "sometime"}, "Moment:"),
    ],
)
def test_what_cannot_be_asked_is_said_and_nothing_is_answered(
    owner: User, browser: Browser, narrowed: Level, asked: dict[str, str], said: str
) -> None:
    response = browser(owner).get(ADDRESS, asked)
    assert response.status_code == 422
    body = response.content.decode()
    assert said in body
    assert "<table" not in body
    assert next(iter(asked.values())) in body


def test_looking_is_entered_and_only_who_reads_the_log_may(
    acme: Organization, browser: Browser, entries: Entries
) -> None:
    auditor = MembershipFactory.create(organization=acme, auditor=True).user
    assert browser(auditor).get(ADDRESS).status_code == 200
    assert [each.actor_label for each in entries(acme, action="view")] == [auditor.email]
    developer = MembershipFactory.create(organization=acme, role=Role.DEVELOPER).user
    assert browser(developer).get(ADDRESS).status_code == 403
    assert browser(UserFactory.create()).get(ADDRESS).status_code == 404
