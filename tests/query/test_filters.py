"""Whatever is asked, the answer is what one would find by reading every entry."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import QuerySet
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import Entry
from audit.policy import ACTIONS, RESOURCE_TYPES
from audit.questions import paging, periods
from audit.questions.filters import EntryFilter, canonical
from organizations import clock, ulid
from organizations.models import Organization as OrganizationModel
from tests.query import seeding
from tests.query.conftest import NOW, ORGANIZATION, OTHER_ORGANIZATION, Log
from tests.query.naive import GROUPS, PEOPLE, THINGS, VALUES, Naive, few_of, some
from tests.query.seeding import Organization

Ask = Callable[..., EntryFilter]


def found(question: EntryFilter) -> set[uuid.UUID]:
    assert question.is_valid(), question.errors
    return set(question.qs.values_list("id", flat=True))


def errors(question: EntryFilter) -> dict[str, list[str]]:
    assert not question.is_valid()
    assert not question.qs.exists(), "an invalid question must find nothing"
    return {name: list(messages) for name, messages in question.errors.items()}


@pytest.fixture(scope="module")
def naive(log: Log) -> Naive:
    return Naive(log.rows, NOW)


asked = few_of(
    {
        "actor": some(PEOPLE),
        "exclude_actor": some(PEOPLE),
        "actor_type": some(["user", "api_key", "system", "anonymous", "database"]),
        "action": some(["create", "delete", "sign_in", "access", "seal", "view", *GROUPS]),
        "exclude_action": some(["create", "update", "re*", *GROUPS]),
        "type": some(["project", "environment", "member", "key", "user", "endpoint", "e*"]),
        "exclude_type": some(["environment", "user", "e*"]),
        "resource": some(THINGS),
        "exclude_resource": some(THINGS),
        "exclude_actor_type": some(["user", "api*"]),
        "exclude_ip": some(["10.0.0.0/16", "2001:db8::7"]),
        "exclude_field": some(["status", "updated_by"]),
        "exclude_q": some(["production", "jane", "app-1 staging", "stag*"]),
        "result": some(["success", "denied", "failed"]),
        "exclude_result": some(["success"]),
        "ip": some(["10.0.0.1", "10.0.0.0/8", "203.0.113.7/24", "2001:db8::/32", "0.0.0.0/0"]),
        "interface": some(["web", "cli", "database"]),
        "exclude_interface": some(["admin", "command"]),
        "field": some(["status", "updated_by", "nothing"]),
        "q": st.sampled_from(
            ["production", "app-1 STAGING", "jane", "old-", "100%", "x y z", "stag* app-1"]
        ),
        "since": st.sampled_from(["30d", "last tuesday", "2026-11-01", "2026-10-05T12:00"]),
        "until": st.sampled_from(["yesterday", "2h", "2026-11-10", "last month"]),
        "when": st.sampled_from(["this month", "2026-10-01..2026-11-07", "2026-09", "..7d"]),
        "tz": st.sampled_from(["UTC", "America/New_York"]),
        "severity": some(["info", "notice", "warning", "warn*"]),
        "exclude_severity": some(["info", "warning"]),
        "reason": some(["wrong password", "INSUFFICIENT_permissions", "ins*", "nothing"]),
        "exclude_reason": some(["wrong*", "permissions"]),
        "user_agent": some(["firefox", "curl*", "dotenv-cli", "url", "*"][:4]),
        "exclude_user_agent": some(["Mozilla*", "(linux)"]),
        "became": some(VALUES),
        "exclude_became": some(VALUES),
        "was": some(VALUES),
        "exclude_was": some(VALUES),
        "hours": some(["9-17", "22-6", "0-24", "13", "7:30-7:45"]),
        "exclude_hours": some(["8-20", "office"]),
        "days": some(["mon,tue", "fri-sun", "weekday", "Weekend", "sat-mon"]),
        "exclude_days": some(["sun"]),
        "actor_role": some(["owner", "developer", "auditor", "administrator", "api_user"]),
        "exclude_actor_role": some(["owner", "auditor", "billing_manager"]),
        "views": st.sampled_from(["true", "false"]),
    }
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=asked)
def test_filters_find_what_reading_every_entry_finds(
    ask: Ask, naive: Naive, data: dict[str, Any]
) -> None:
    with clock.at(NOW - dt.timedelta(milliseconds=1)):  # it moves on by that when it is read
        question = ask(**data)
    expected = sorted(naive.find(data), reverse=True)
    assert found(question) == set(expected)
    page = paging.page(question.qs, per_page=20)
    assert [entry.id for entry in page.entries] == expected[:20]
    if page.next_cursor:
        older = paging.page(question.qs, page.next_cursor, 20)
        assert [entry.id for entry in older.entries] == expected[20:40]
        newer = paging.page(question.qs, after=older.previous_cursor, per_page=20)
        assert [entry.id for entry in newer.entries] == expected[:20]


NEVER_AFTER = ("älter", "status:Älter", "audit:read")
NEVER_BEFORE = ("true", "expires_at:null", "name:new*")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("severity", value) for value in ("info", "notice", "warning", "notice,warning")],
        *[("reason", value) for value in ("wrong password", "ins*", "PERMISSIONS")],
        *[("user_agent", value) for value in ("firefox", "curl*", "cli/1.4")],
        *[
            ("became", value)
            for value in VALUES
            if value not in ("älter", "status:Älter", "audit:read")
        ],
        *[("was", value) for value in VALUES if value not in NEVER_BEFORE],
        *[("hours", value) for value in ("9-17", "22-6", "13", "7:30-8:45", "office")],
        *[("days", value) for value in ("mon,tue", "weekend", "fri-sun", "sat-mon")],
        *[("actor_role", value) for value in ("owner", "developer", "auditor", "owner,admin")],
        *[("action", value) for value in GROUPS],
        *[("limit", value) for value in ("1", "17")],
        ("views", "true"),
    ],
)
def test_each_filter_alone_finds_what_reading_every_entry_finds(
    ask: Ask, naive: Naive, name: str, value: str
) -> None:
    for others in ({}, {"order": "oldest", "tz": "Asia/Kolkata"}, {"type": "user,membership"}):
        data = {name: value, **others}
        expected = naive.find(data)
        assert expected or others
        assert found(ask(**data)) == expected, data
        if name not in ("limit", "views") and "type" not in others:
            without = {"action": "changes,looks", **others, f"exclude_{name}": value}
            assert found(ask(**without)) == naive.find(without), without


@pytest.mark.parametrize(
    ("name", "said", "meant"),
    [
        ("action", "deleted,signed-in", "delete,sign_in"),
        ("result", "refused", "denied"),
        ("interface", "browser,command line", "web,cli"),
        ("actor_role", "Administrator", "admin"),
    ],
)
def test_the_words_of_the_pages_are_values(
    ask: Ask, log: Log, name: str, said: str, meant: str
) -> None:
    assert found(ask(**{name: said})) == found(ask(**{name: meant})) != set()


def test_an_id_finds_whatever_it_is_of(ask: Ask, log: Log) -> None:
    row = next(row for row in log.sealed if row.request_id and row.resource_id and row.actor_id)
    assert row.request_id
    assert row.actor_id
    assert found(ask(id=ulid.to_text(row.id).lower())) == {row.id}
    assert found(ask(id=str(row.request_id))) == {row.id}
    of_thing = {r.id for r in log.rows if row.resource_id in (r.resource_id, r.actor_id)}
    assert found(ask(id=ulid.to_text(row.resource_id))) == of_thing  # type: ignore[arg-type]
    of_actor = {r.id for r in log.rows if row.actor_id in (r.resource_id, r.actor_id)}
    assert found(ask(id=row.actor_id.hex)) == of_actor
    both = f"{ulid.to_text(row.actor_id)},{ulid.to_text(row.id)}"
    assert found(ask(id=both)) == of_actor | {row.id}
    question = ask(id="0" * 26)
    assert found(question) == set()
    assert question.notes == [f"id: nothing in this log has the id '{'0' * 26}'."]


def test_an_id_of_another_organization_finds_nothing(ask: Ask, log: Log) -> None:
    [actor, thing] = log.other.actors[0][1], log.other.resources[0][1]
    assert actor
    assert thing
    for key in (actor, thing):
        assert found(ask(id=ulid.to_text(key))) == set()


def test_ids_find_what_reading_every_entry_finds(ask: Ask, log: Log, naive: Naive) -> None:
    row = next(row for row in log.sealed if row.request_id and row.resource_id and row.actor_id)
    assert row.request_id and row.resource_id and row.actor_id
    data = {
        "actor": ulid.to_text(row.actor_id),
        "resource": ulid.to_text(row.resource_id).lower(),
        "request": ulid.to_text(row.request_id),
        "exclude_actor": ulid.to_text(row.actor_id),
    }
    for name, value in data.items():
        expected = naive.find({name: value})
        assert expected
        assert found(ask(**{name: value})) == expected


def labels(question: EntryFilter) -> set[str]:
    assert question.is_valid(), question.errors
    return set(question.qs.values_list("actor_label", flat=True))


def test_a_part_of_a_name_finds_the_people_who_have_it(ask: Ask) -> None:
    assert labels(ask(actor="ali")) == {"ali@example.org"}
    assert labels(ask(actor="jane")) == {"jane@example.org", "Mary.Jane@example.org"}


def test_a_whole_name_finds_nobody_whose_name_merely_holds_it(ask: Ask) -> None:
    assert labels(ask(actor="Jane@example.org")) == {"jane@example.org"}


def test_what_was_renamed_is_found_by_every_name_it_had(ask: Ask, log: Log) -> None:
    renamed = next(row for row in log.sealed if row.resource_label.startswith("old-"))
    today = renamed.resource_label.replace("old-", "app-")
    of_it = {row.id for row in log.rows if row.resource_id == renamed.resource_id}
    assert of_it <= found(ask(resource=renamed.resource_label))
    assert of_it <= found(ask(resource=today))
    assert of_it <= found(ask(q=renamed.resource_label))


def asker(organization: Organization) -> Ask:
    entries = Entry.objects.visible([organization.key])  # type: ignore[attr-defined]
    model = OrganizationModel(pk=organization.key)
    return lambda **data: EntryFilter(data, entries, organizations=[model])


def test_what_is_not_sealed_yet_is_found_by_its_name(
    log: Log, db: None, owner_connection: Any
) -> None:
    fresh = Organization(uuid.uuid4(), seed=77)
    rows = fresh.rows(300, NOW - dt.timedelta(minutes=5), NOW)
    seeding.receive(owner_connection, rows)
    ask, naive = asker(fresh), Naive(rows, NOW)
    for data in ({"resource": "app-1"}, {"q": "APP-1 staging"}, {"actor": "jane"}):
        assert found(ask(**data)) == naive.find(data) != set()


def test_names_of_another_organization_find_nothing(ask: Ask, log: Log) -> None:
    stranger = log.other.actors[0][1]
    assert stranger is not None
    assert found(ask(actor=ulid.to_text(stranger))) == set()
    thing = log.other.resources[0][1]
    assert thing is not None
    question = ask(resource=ulid.to_text(thing))
    assert found(question) == set()
    assert question.notes


def test_the_tenant_scope_holds_even_if_the_filter_names_another_organization(
    log: Log, db: None
) -> None:
    entries = Entry.objects.visible([ORGANIZATION.pk])  # type: ignore[attr-defined]
    question = EntryFilter({"q": "production"}, entries, organizations=[OTHER_ORGANIZATION])
    assert found(question) == set()


def test_days_are_those_of_the_time_zone_asked_for(ask: Ask, log: Log) -> None:
    question = ask(when="2026-11-10", tz="Pacific/Auckland")
    found(question)
    assert question.period == periods.Period(
        dt.datetime(2026, 11, 9, 11, tzinfo=dt.UTC), dt.datetime(2026, 11, 10, 11, tzinfo=dt.UTC)
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("::ffff:10.0.0.0/112", "10.0.0.0/16"),
    ],
)
def test_an_address_mapped_into_ipv6_finds_the_address(ask: Ask, written: str, meant: str) -> None:
    found = {entry.id for entry in ask(ip=written).qs}
    assert found
    assert found == {entry.id for entry in ask(ip=meant).qs}


def test_a_name_that_nothing_ever_had_is_noted(ask: Ask) -> None:
    question = ask(actor="nobody", q="xyzzy")
    assert found(question) == set()
    assert question.notes == [
        "actor: no name in this log matches 'nobody'.",
        "q: no name in this log matches 'xyzzy'.",
    ]


def test_a_time_that_begins_when_it_is_over_is_noted(ask: Ask) -> None:
    question = ask(since="2026-11-20", until="2026-11-01")
    assert found(question) == set()
    assert question.notes == ["These times do not overlap: since, until."]
    assert ask(since="2026-11-01", until="2026-11-20").notes == []


@pytest.mark.parametrize(
    ("data", "name", "remedy"),
    [
        ({"actoin": "delete"}, "actoin", "Did you mean action?"),
        ({"sort": "id"}, "sort", "Unknown parameter. Use one of actor"),
        ({"action": "delet"}, "action", "Did you mean delete?"),
        ({"type": "spaceship"}, "type", "Use one of organization"),
        ({"actor_type": "robot"}, "actor_type", "Use one of user"),
        ({"result": "ok"}, "result", "Use one of success"),
        ({"interface": "fax"}, "interface", "Use one of web"),
        ({"ip": "10.0.0"}, "ip", "10.0.0.0/8"),
        ({"ip": "10.0.0.1/33"}, "ip", "10.0.0.0/8"),
        ({"request": "abc"}, "request", "26 letters and digits"),
        ({"field": "no field"}, "field", "is_production"),
        ({"since": "someday"}, "since", "last tuesday"),
        ({"until": "2026-02-30"}, "until", "2026-11-01"),
        ({"when": "7d..30d"}, "when", "swap the two ends"),
        ({"tz": "Mars"}, "tz", "Europe/Berlin"),
        ({"when": ["today", "yesterday"]}, "when", "only once"),
        ({"q": "x" * 501}, "q", "at most 500 characters"),
        ({"q": "a\x00b"}, "q", "NUL"),
        ({"actor": "a\x00b"}, "actor", "NUL"),
        ({"action": ["create"] * 101}, "action", "at most 100 values"),
        ({"exclude_action": "nothing"}, "exclude_action", "Use one of create"),
        ({"exclude_ip": "10.0.0"}, "exclude_ip", "10.0.0.0/8"),
        ({"exclude_request": "abc"}, "exclude_request", "Unknown parameter"),
        ({"action": "x*"}, "action", "Nothing begins with 'x'"),
        ({"actor": "*"}, "actor", "beginning of the name"),
        ({"cursor": "abc"}, "cursor", "26 letters and digits"),
        ({"after": "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"}, "after", "26 letters and digits"),
        ({"per_page": "0"}, "per_page", "Give 1 to 200"),
        ({"per_page": "201"}, "per_page", "Give 1 to 200"),
        ({"per_page": "many"}, "per_page", "Give 1 to 200"),
        ({"severity": "bad"}, "severity", "Use one of info"),
        ({"became": "status:"}, "became", "Write it like status:active"),
        ({"hours": "9-25"}, "hours", "Write it like 9-17"),
        ({"hours": "9:70"}, "hours", "Write it like 9-17"),
        ({"days": "someday"}, "days", "mon, tue"),
        ({"actor_role": "boss"}, "actor_role", "Use one of owner"),
        ({"id": "abc"}, "id", "26 letters and digits"),
        ({"action": "chnges"}, "action", "Did you mean changes?"),
        ({"order": "sideways"}, "order", "Use one of newest"),
        ({"limit": "0"}, "limit", "Give 1 to 1000"),
        ({"views": "maybe"}, "views", "Use one of true"),
    ],
)
def test_a_wrong_parameter_is_named_with_a_remedy(
    ask: Ask, data: dict[str, Any], name: str, remedy: str
) -> None:
    said = errors(ask(**data))
    assert set(said) == {name}
    assert remedy in said[name][0]


def test_a_name_of_too_many_things_is_refused_with_a_remedy(
    log: Log, db: None, owner_connection: Any
) -> None:
    crowd = Organization(uuid.uuid4(), seed=78)
    crowd.resources = [("target", uuid.uuid4(), f"crowd/t{n}") for n in range(1500)]
    crowd.resources += [("environment", uuid.uuid4(), f"crowd/e{n}") for n in range(100)]
    seeding.receive(owner_connection, crowd.rows(3000, NOW - dt.timedelta(minutes=5), NOW))
    ask = asker(crowd)
    said = errors(ask(resource="crowd"))
    assert "More than 500 names" in said["resource"][0]
    assert "give a type" in said["resource"][0]
    assert "Add a word" in errors(ask(q="crowd"))["q"][0]
    assert found(ask(resource="crowd", type="environment"))
    assert found(ask(q="crowd", type="environment"))


def test_known_parameters_of_others_are_let_through(ask: Ask, log: Log) -> None:
    question = ask(format="csv", page="3", per_page="10", tz="UTC", before=ulid.to_text(ulid.new()))
    assert found(question) == {row.id for row in log.shown}


def test_a_surface_may_have_parameters_of_its_own(entries: QuerySet[Entry]) -> None:
    data = {"entry": "x", "action": "delete"}
    assert set(errors(EntryFilter(data, entries, organizations=[ORGANIZATION]))) == {"entry"}
    question = EntryFilter(data, entries, organizations=[ORGANIZATION], known=["entry"])
    assert question.is_valid()
    assert question.params == {"action": ["delete"]}


@pytest.mark.parametrize("key", ["0" * 26, "7" + "Z" * 25])
def test_the_extreme_ids_are_ids_like_others(ask: Ask, key: str) -> None:
    for name in ("request", "actor", "resource"):
        assert found(ask(**{name: key})) == set()


def test_empty_parameters_ask_for_nothing(ask: Ask, log: Log) -> None:
    question = ask(**dict.fromkeys(["actor", "action", "type", "q", "since", "when", "tz"], ""))
    assert found(question) == {row.id for row in log.shown}
    assert question.params == {}


def test_a_query_string_and_a_dict_ask_the_same(ask: Ask, log: Log) -> None:
    text = "action=create,update&action=delete&type=environment&q=production&cursor="
    entries = Entry.objects.visible([ORGANIZATION.pk])  # type: ignore[attr-defined]
    from_url = EntryFilter(QueryDict(text), entries, organizations=[ORGANIZATION])
    from_dict = ask(action=["create", "update", "delete"], type="environment", q="production")
    assert found(from_url) == found(from_dict) != set()
    assert canonical(from_url.params) == (
        "action=create%2Cupdate&action=delete&q=production&type=environment"
    )


def test_every_action_and_type_of_the_catalogue_can_be_asked_for(ask: Ask) -> None:
    assert ask(action=[action.name for action in ACTIONS]).is_valid()
    assert ask(type=list(RESOURCE_TYPES)).is_valid()


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.dictionaries(
        st.sampled_from([*EntryFilter.base_filters, "format"]) | st.text(max_size=10),
        st.text(max_size=20) | st.lists(st.text(max_size=8), max_size=3),
        max_size=4,
    )
)
def test_no_input_breaks_it(ask: Ask, data: dict[str, Any]) -> None:
    question = ask(**data)
    if question.is_valid():
        list(question.qs.order_by("-id")[:2])
    else:
        assert all(str(message) for each in question.errors.values() for message in each)
