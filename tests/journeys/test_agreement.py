"""For every question all surfaces agree with each other and with reading each entry in plain
Python: the page, the API, both exports, the histogram, the facets and the command.
"""

from __future__ import annotations

import datetime as dt
import html
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from django.test import Client
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from audit.questions import bar
from dotenv_cloud.environment import Limit
from organizations import clock, ulid
from organizations.models import Organization, User
from tests.cli.conftest import _fresh_machine, dotenv
from tests.cli.recorder import Run
from tests.factories import ApiKeyFactory, OrganizationFactory
from tests.query import seeding
from tests.query.naive import GROUPS, PEOPLE, THINGS, VALUES, Naive, few_of, severity_of, some
from tests.query.seeding import Row

__all__ = ["_fresh_machine", "dotenv"]
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

Params = dict[str, Any]
Ids = list[str]

DAYS = 40
RENAMED_THINGS = ["shop-1", "Shop-1/server", "shop-1/backend/staging", "app-1/server", "server"]
RENAMED_THINGS += ["shop-1/encryption-key", "shop-1/prod*", "shop-1/encryption-key/1"]
RENAMED_THINGS += ["jane.doe@example.com", "ci-prod", "server/stag"]
RENAMED_PEOPLE = ["ci-prod", "Jane.Doe@example.com", "jane.d*"]
"""What things and people are called since `seeding.renamed`."""


@dataclass(frozen=True)
class Asker:
    """Somebody who may read and export the log, by every way."""

    slug: str
    browser: Client
    token: str
    command: Run
    end: str
    """All that was seeded is older; reading leaves entries that are newer."""

    def page(self, params: Params) -> Ids:
        """By following the links of the page, from the text that the question bar would show."""
        address = f"/o/{self.slug}/activity?{urlencode({**_in_words(params), 'per_page': 150})}"
        found: Ids = []
        while address:
            answer = self.browser.get(address)
            assert answer.status_code == 200, answer.content.decode()
            text = answer.content.decode()
            found += re.findall(
                r'<td class="when"[^>]*><a [^>]*href="[^"]*/activity/(\w{26})', text
            )
            older = re.search(r'<a [^>]*href="([^"]*)"[^>]* rel="next"', text)
            address = html.unescape(older[1]) if older else ""
        return found

    def asked(self, params: Params) -> Ids:
        """What the API answers to the same question in the words of the bar."""
        return self.listed(_in_words(params))

    def command_asked(self, params: Params) -> Ids:
        words = _in_words(params)["ask"]
        result = self.command("audit", "ask", "--all", "-f", "ndjson", "--tz", "UTC", "--", words)
        assert result.code == 0, result.err
        return [json.loads(line)["id"] for line in result.out.splitlines()]

    def exported_by_page(self, params: Params) -> Ids:
        query = urlencode({**params, "format": "ndjson"}, doseq=True)
        answer = self.browser.get(f"/o/{self.slug}/activity/export?{query}")
        return [json.loads(line)["id"] for line in b"".join(answer).splitlines()]

    def api(self, path: str, params: Params) -> Any:
        answer = Client().get(
            f"/api/v1/organizations/{self.slug}/audit/{path}?{urlencode(params, doseq=True)}",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        assert answer.status_code == 200, answer.content
        return answer

    def listed(self, params: Params) -> Ids:
        found: Ids = []
        cursor: str | None = ""
        while cursor is not None:
            position = {"cursor": cursor} if cursor else {}
            answer = self.api("entries", {**params, "per_page": 150, **position}).json()
            found += [entry["id"] for entry in answer["data"]]
            cursor = answer["meta"]["next_cursor"]
        return found

    def exported(self, params: Params) -> Ids:
        answer = self.api("entries/export", {**params, "format": "ndjson"})
        return [json.loads(line)["id"] for line in b"".join(answer).splitlines()]

    def numbers(self, spoken: Params) -> dict[str, int]:
        """How many entries the line says that answers a question in words, in each place."""
        listed = self.api("entries", {**spoken, "per_page": 200}).json()["meta"]["answer"]
        counted = self.api("facets", spoken).json()["meta"]["answer"]
        page = self.browser.get(f"/o/{self.slug}/activity?{urlencode({**spoken, 'counts': 1})}")
        shown = re.search(r'id="answer"[^>]*>([^<]*)<', page.content.decode())
        command = self.command("audit", "ask", "--tz", "UTC", "--", spoken["ask"])
        lines = {"list": listed, "facets": counted, "page": shown[1] if shown else ""}
        lines["command"] = command.out.splitlines()[0]
        return {way: _number(line) for way, line in lines.items()}

    def commanded(self, params: Params) -> Ids:
        words = ["audit", "list", "-f", "ndjson"]
        if "limit" not in params:
            words.append("--all")
        for name, value in params.items():
            if name == "views":
                words += ["--views"] if value == "true" else []
                continue
            option = re.sub(r"(^|_)q$", r"\1search", name).replace("_", "-")
            words += [word for text in _listed(value) for word in (f"--{option}", text)]
        result = self.command(*words)
        assert result.code == 0, result.err
        return [json.loads(line)["id"] for line in result.out.splitlines()]


def _number(line: str) -> int:
    """Of "1,234 failed sign-ins, by Jane." 1,234."""
    return 0 if line.startswith("No ") else int(line.split()[0].replace(",", ""))


def _in_words(params: Params) -> Params:
    if "ask" in params:
        return params
    return {"ask": bar.as_text({name: _listed(v) for name, v in params.items()}), "tz": "UTC"}


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


@pytest.fixture
def naive(owner_connection: psycopg.Connection) -> Naive:
    """Of Acme, sealed but for the last; nothing in them knows who asks."""
    organization = OrganizationFactory.create(name="Acme", owner__email="reader@own.test")
    log = seeding.Organization(organization.pk, seed=9, projects=4)
    end = clock.now() - dt.timedelta(hours=1)
    sealed = log.rows(330, end - dt.timedelta(days=DAYS), end - dt.timedelta(hours=5))
    unsealed = log.rows(60, end - dt.timedelta(hours=4), end)
    made, changed = end - dt.timedelta(days=DAYS), end - dt.timedelta(days=DAYS // 2)
    held = seeding.held(log, made, changed)
    sealed = [*seeding.renamed(log, made, changed), *held, *sealed]
    sealed.sort(key=lambda row: row.id)
    seeding.seal(owner_connection, sealed)
    seeding.receive(owner_connection, unsealed)
    return Naive([*sealed, *unsealed], clock.now())


@pytest.fixture
def asker(
    naive: Naive, live_server: Any, dotenv: Run, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Asker:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"api": Limit(100_000, 60)}
    organization = Organization.objects.get(slug="acme")
    token = ApiKeyFactory.create(organization=organization, auditor=True, name="asks").token
    monkeypatch.setenv("DOTENV_API_URL", live_server.url)
    monkeypatch.setenv("DOTENV_API_KEY", token)
    browser = Client()
    browser.force_login(User.objects.get(email="reader@own.test"))
    end = f"{max(ulid.time_of(row.id) for row in naive.rows) + dt.timedelta(seconds=1):%FT%TZ}"
    return Asker("acme", browser, token, dotenv, end)


def _day(days_ago: int) -> str:
    return f"{clock.now() - dt.timedelta(days=days_ago):%F}"


questions = few_of(
    {
        "actor": some([name for name in PEOPLE if name not in ("e", "_")] + RENAMED_PEOPLE),
        "exclude_actor": some(PEOPLE[:6] + RENAMED_PEOPLE),
        "actor_type": some(["user", "api_key", "system"]),
        "exclude_actor_type": some(["anonymous", "api*"]),
        "action": some(["create", "update", "delete", "sign_in", "re*", "view", *GROUPS]),
        "exclude_action": some(["retrieve", "up*", "looks", "access_changes"]),
        "type": some(["project", "environment", "member", "user", "e*"]),
        "exclude_type": some(["environment", "user"]),
        "resource": some(THINGS + RENAMED_THINGS),
        "exclude_resource": some(THINGS + RENAMED_THINGS),
        "result": some(["success", "denied", "failed"]),
        "exclude_result": some(["success"]),
        "ip": some(["10.0.0.0/8", "203.0.113.7", "2001:db8::/32"]),
        "exclude_ip": some(["10.0.0.0/16"]),
        "interface": some(["web", "cli"]),
        "exclude_interface": some(["admin"]),
        "field": some(["status", "updated_by"]),
        "exclude_field": some(["status"]),
        "q": st.sampled_from(
            ["production", "app-1 STAGING", "jane", "stag*", "old-", "shop-1 staging"]
        ),
        "exclude_q": some(["backend", "zoë"]),
        "severity": some(["info", "notice", "warning"]),
        "exclude_severity": some(["info"]),
        "reason": some(["wrong password", "ins*"]),
        "exclude_reason": some(["permissions"]),
        "user_agent": some(["firefox", "curl*", "cli"]),
        "exclude_user_agent": some(["Mozilla*"]),
        "became": some(VALUES),
        "exclude_became": some(["role:developer"]),
        "was": some(VALUES),
        "exclude_was": some(["audit:read", "status:älter"]),
        "hours": some(["9-17", "22-6", "office", "0-12"]),
        "exclude_hours": some(["office", "8-9"]),
        "days": some(["mon,tue", "weekend", "weekday"]),
        "exclude_days": some(["sun"]),
        "actor_role": some(["owner", "developer", "auditor"]),
        "exclude_actor_role": some(["owner", "auditor"]),
        "views": st.sampled_from(["true", "false"]),
        "order": st.sampled_from(["newest", "oldest"]),
        "limit": st.sampled_from(["1", "5", "200"]),
        "since": st.integers(2, DAYS + 5).map(_day),
        "when": st.tuples(st.integers(20, DAYS), st.integers(1, 20)).map(
            lambda ends: f"{_day(ends[0])}..{_day(ends[1])}"
        ),
    }
)


@trying(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],  # shrinking asks thousands of times
)
@given(params=questions)
@example(params={"resource": "shop-1"})
@example(params={"resource": "Shop-1/server", "exclude_type": "environment"})
@example(params={"resource": "shop-1", "type": "key_version"})
@example(params={"actor": "ci-prod"})
@example(params={"exclude_actor": "jane.doe@example.com", "q": "shop-1 staging"})
@example(params={"actor_role": "developer", "views": "true", "order": "oldest"})
@example(params={"action": "security_changes", "exclude_hours": "office", "limit": "5"})
@example(params={"became": "role:auditor,true", "severity": "info,notice"})
@example(params={"was": ["audit*", "status:Älter"], "resource": "jane.doe@example.com"})
@example(params={"user_agent": "curl*", "days": "weekday", "q": "shop-1", "order": "oldest"})
def test_every_way_to_ask_has_the_same_answer(asker: Asker, naive: Naive, params: Params) -> None:
    params = {**params, "until": asker.end, "tz": "UTC"}
    found = naive.find(params)
    fitting = [row for row in naive.rows if row.id in found]
    oldest_first = [ulid.to_text(row.id) for row in sorted(fitting, key=lambda row: row.id)]
    expected = oldest_first if params.get("order") == "oldest" else oldest_first[::-1]

    ways: dict[str, Callable[[Params], Ids]] = {
        "page": asker.page,
        "API": asker.listed,
        "command": asker.commanded,
        "API in words": asker.asked,
        "command in words": asker.command_asked,
    }
    answers = {way: ask(params) for way, ask in ways.items()}
    assert answers == dict.fromkeys(ways, expected)
    assert asker.exported(params) == asker.exported_by_page(params) == oldest_first

    buckets = asker.api("histogram", params).json()["data"]
    assert sum(bucket["count"] for bucket in buckets) == len(expected)
    facets = asker.api("facets", params).json()
    counting = {"counted": len(expected), "is_exact": True}
    assert {name: facets["meta"][name] for name in counting} == counting
    for name, values in facets["data"].items():
        counted = {each["value"]: each["count"] for each in values}
        assert counted == Counter(map(VALUES_OF[name], fitting)), name
    if "limit" in params:
        return  # of counts that means rows
    ways_to_count = {**VALUES_OF, "project": naive.project_of}
    start = len(expected) % len(ways_to_count)
    for by in [*ways_to_count, *ways_to_count][start : start + 3]:
        counts = asker.api("counts", {**params, "by": by, "limit": 1000}).json()
        counted = {each["value"]: each["count"] for each in counts["data"]}
        assert counted == Counter(map(ways_to_count[by], fitting)), by
        assert {name: counts["meta"][name] for name in counting} == counting


def test_a_pasted_id_has_the_same_answer_whatever_it_is_of(asker: Asker, naive: Naive) -> None:
    changed = next(row for row in naive.rows if row.resource_type == "environment")
    asking = next(row for row in naive.rows if row.request_id and row.action != "view")
    for key, column in (
        (changed.id, "id"),
        (changed.resource_id, "resource_id"),
        (asking.request_id, "request_id"),
    ):
        assert key is not None
        its = [row for row in naive.rows if getattr(row, column) == key]
        expected = sorted((ulid.to_text(row.id) for row in its), reverse=True)
        params = {"id": ulid.to_text(key), "until": asker.end, "tz": "UTC"}
        for way in (asker.page, asker.listed, asker.commanded, asker.asked, asker.command_asked):
            assert way(params) == expected
        assert asker.exported(params) == expected[::-1]
        pasted = {"ask": f"{ulid.to_text(key)} until:{asker.end}", "tz": "UTC"}
        assert asker.asked(pasted) == expected


VALUES_OF: dict[str, Callable[[Row], str]] = {
    "actor": lambda row: ulid.to_text(row.actor_id) if row.actor_id else row.actor_type,
    "resource": lambda row: (
        ulid.to_text(row.resource_id) if row.resource_id else row.resource_label
    ),
    "action": lambda row: row.action,
    "type": lambda row: row.resource_type,
    "result": lambda row: row.result,
    "severity": severity_of,
    "interface": lambda row: row.interface,
    "ip": lambda row: row.ip or "",
    "user_agent": lambda row: row.user_agent,
    "day": lambda row: f"{ulid.time_of(row.id):%F}",
    "hour": lambda row: f"{ulid.time_of(row.id):%F %H}:00",
}
"""What entries are counted by, as the answers name it."""


@pytest.mark.parametrize(
    ("words", "params"),
    [
        ("created or updated environments", {"action": "create,update", "type": "environment"}),
        ("denied requests not via the cli", {"result": "denied", "exclude_interface": "cli"}),
        (
            "deletions by jane in the last 30 days",
            {"action": "delete", "actor": "jane", "when": "30d"},
        ),
        (
            "who created app-1 -user",
            {"action": "create", "resource": "app-1", "exclude_type": "user"},
        ),
        ("updates from 10.0.0.0/8, oldest first", {"action": "update", "ip": "10.0.0.0/8"}),
        ("what happened in shop-1, hide looks", {"resource": "shop-1", "exclude_action": "looks"}),
        ("did ci-prod or jane update anything", {"actor": "ci-prod,jane", "action": "update"}),
        ("action = create and type is environment", {"action": "create", "type": "environment"}),
    ],
)
def test_a_sentence_has_the_same_answer_as_its_parameters(
    asker: Asker, naive: Naive, words: str, params: Params
) -> None:
    until = {"until": asker.end, "tz": "UTC"}
    found = {ulid.to_text(key) for key in naive.find({**params, **until})}
    spoken = {"ask": f"{words} until:{asker.end}", "tz": "UTC"}
    for way in (asker.page, asker.asked, asker.command_asked):
        assert set(way(spoken)) == found
    assert asker.numbers(spoken) == dict.fromkeys(("list", "facets", "page", "command"), len(found))
    ordered = asker.asked(spoken)
    assert ordered == sorted(ordered, reverse="oldest" not in words)
