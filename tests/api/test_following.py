"""Following the log by number, and knowing when a time is complete."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from django.db import connection, connections

from audit.ledger import sealing
from audit.questions import following, waiting
from organizations.models import Organization, Project
from tests.api.conftest import Api, ApiWith
from tests.conftest import Databases
from tests.factories import ProjectFactory

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "sealer"]),
    pytest.mark.usefixtures("no_limits"),
]

ENTRIES = "/organizations/{o}/audit/entries"


@pytest.fixture
def auditor(api_with: ApiWith) -> Api:
    return api_with("audit:read", "audit:export")


def seal() -> None:
    while sealing.seal().is_behind:
        pass


def make(organization: Organization, count: int, name: str = "p") -> None:
    Project.objects.bulk_create(
        [
            Project(organization=organization, name=name, slug=f"{name}-{number}")
            for number in range(count)
        ]
    )


def at(link: str) -> str:
    """An absolute link as the test client takes it."""
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc) == ("http", "testserver")
    return f"{parts.path}?{parts.query}"


def numbers(body: dict[str, Any]) -> list[int]:
    return [entry["attributes"]["seq"] for entry in body["data"]]


def pages(api: Api, path: str) -> Iterator[dict[str, Any]]:
    """Each answer from `path` on, up to the first that has nothing new."""
    while True:
        response = api.get(path)
        assert response.status_code == 200, response.content
        body = response.json()
        yield body
        if body["meta"]["reached"] >= body["meta"]["sealed_to"]:
            return
        path = at(body["links"]["next"])


def test_sealed_entries_come_in_order_of_their_numbers_without_gap(
    auditor: Api, acme: Organization
) -> None:
    make(acme, 30)
    seal()
    make(acme, 5, name="unsealed")
    whole = list(pages(auditor, f"{ENTRIES}?after_seq=0&per_page=7"))
    found = [number for body in whole for number in numbers(body)]
    assert found == list(range(1, whole[-1]["meta"]["sealed_to"] + 1))
    assert len(found) > 30
    for body in whole[:-1]:
        assert len(body["data"]) == 7
    labels = [entry["attributes"]["resource"]["label"] for body in whole for entry in body["data"]]
    assert "p-29" in labels
    assert "unsealed-0" not in labels
    ordered = auditor.get(f"{ENTRIES}?order=seq&per_page=7").json()
    assert numbers(ordered) == list(range(1, 8))


def test_where_there_is_nothing_yet_next_is_the_link_to_ask_again(
    auditor: Api, acme: Organization
) -> None:
    seal()
    *_, last = pages(auditor, f"{ENTRIES}?after_seq=0&per_page=200")
    again = auditor.get(at(last["links"]["next"])).json()
    assert again["data"] == []
    assert again["links"]["next"] == last["links"]["next"]
    query = parse_qs(urlsplit(again["links"]["next"]).query)
    assert query["after_seq"] == [str(again["meta"]["sealed_to"])]
    make(acme, 1)
    assert auditor.get(at(again["links"]["next"])).json()["data"] == []
    seal()
    new = auditor.get(at(again["links"]["next"])).json()
    assert numbers(new)[0] == again["meta"]["sealed_to"] + 1


def test_filters_choose_among_the_numbers(auditor: Api, acme: Organization) -> None:
    make(acme, 20)
    Project.objects.filter(slug="p-7").update(name="renamed")
    seal()
    body = auditor.get(f"{ENTRIES}?after_seq=0&action=update&type=project").json()
    [entry] = body["data"]
    assert entry["attributes"]["resource"]["label"] == "p-7"
    # All that was looked at need not be looked at again.
    assert body["meta"]["reached"] == body["meta"]["sealed_to"]
    assert "action=update" in body["links"]["next"]


def test_a_question_that_few_entries_answer_is_answered_in_parts(
    auditor: Api, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(acme, 40)
    Project.objects.filter(slug="p-7").update(name="renamed")
    seal()
    monkeypatch.setattr(following, "MOST_LOOKED_AT", 10)
    answers = list(pages(auditor, f"{ENTRIES}?after_seq=0&action=update&type=project"))
    assert len(answers) > 4
    assert [len(body["data"]) for body in answers].count(1) == 1


def test_blocks_of_numbers_lead_to_ids_across_their_edges(auditor: Api, acme: Organization) -> None:
    for part in range(3):
        make(acme, 700, name=f"part{part}")
        seal()
    for after in (0, 1020, 1022, 1023, 1024, 2040):
        body = auditor.get(f"{ENTRIES}?after_seq={after}&per_page=200").json()
        expected = range(after + 1, min(after + 200, body["meta"]["sealed_to"]) + 1)
        assert numbers(body) == list(expected)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("after_seq=x", "after_seq"),
        ("after_seq=-1", "after_seq"),
        ("after_seq=1&after_seq=2", "after_seq"),
        ("after_seq=1&cursor=01JCZ0N5XW8QK3V4T6Y7B9D2FG", "cursor"),
        ("after_seq=1&after=01JCZ0N5XW8QK3V4T6Y7B9D2FG", "after"),
        ("order=time", "order"),
        ("wait=26", "wait"),
        ("wait=soon", "wait"),
        ("page=2", "page"),
        ("format=csv", "format"),
        ("after=01JCZ0N5XW8QK3V4T6Y7B9D2FG&cursor=01JCZ0N5XW8QK3V4T6Y7B9D2FG", "after"),
        ("before=01JCZ0N5XW8QK3V4T6Y7B9D2FG&after=01JCZ0N5XW8QK3V4T6Y7B9D2FG", "after"),
    ],
)
def test_a_place_that_makes_no_sense_is_refused_by_name(
    auditor: Api, query: str, named: str
) -> None:
    response = auditor.get(f"{ENTRIES}?{query}")
    assert response.status_code == 422, response.content
    assert named in response.json()["errors"]


def test_a_log_that_ends_before_the_number_says_so(auditor: Api, acme: Organization) -> None:
    seal()
    body = auditor.get(f"{ENTRIES}?after_seq=999999").json()
    assert body["data"] == []
    assert "before 999999" in body["meta"]["notes"][0]


def test_links_of_a_list_go_the_way_they_say(auditor: Api, acme: Organization) -> None:
    make(acme, 20)
    first = auditor.get(f"{ENTRIES}?type=project&per_page=5").json()
    assert first["links"]["prev"] is None
    second = auditor.get(at(first["links"]["next"])).json()
    third = auditor.get(at(second["links"]["next"])).json()
    ids = [entry["id"] for body in (first, second, third) for entry in body["data"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 15
    back = auditor.get(at(third["links"]["prev"])).json()
    assert back["data"] == second["data"]
    again = auditor.get(at(back["links"]["prev"])).json()
    assert again["data"] == first["data"]
    assert auditor.get(at(again["links"]["next"])).json()["data"] == second["data"]
    # What is new since then is before the first page.
    make(acme, 1, name="new")
    [newer] = auditor.get(f"{ENTRIES}?type=project&after={ids[0]}").json()["data"]
    assert newer["attributes"]["resource"]["label"] == "new-0"


def test_a_list_of_nodes_has_absolute_links(api: Api, acme: Organization) -> None:
    make(acme, 3)
    links = api.get("/{o}/projects?per_page=1&page=2").json()["links"]
    assert links["next"] == f"http://testserver/api/v1/{acme.slug}/projects?per_page=1&page=3"
    assert set(links) == {"first", "last", "prev", "next"}


# -- Waiting


def test_an_answer_waits_until_something_is_sealed(
    auditor: Api, acme: Organization, databases: Databases
) -> None:
    seal()
    *_, last = pages(auditor, f"{ENTRIES}?after_seq=0&type=project")
    link = at(last["links"]["next"])
    sealed_at: list[float] = []

    def write_and_seal() -> None:
        time.sleep(1)
        make(acme, 1, name="late")
        connections["sealer"].close()
        seal()
        sealed_at.append(time.monotonic())
        connections.close_all()

    writer = threading.Thread(target=write_and_seal)
    writer.start()
    body = auditor.get(f"{link}&wait=20").json()
    answered_at = time.monotonic()
    writer.join()
    assert [entry["attributes"]["resource"]["label"] for entry in body["data"]] == ["late-0"]
    assert answered_at - sealed_at[0] < 2
    assert "wait=20" in body["links"]["next"]


def test_a_wait_without_new_entries_ends_with_an_empty_answer(auditor: Api) -> None:
    started = time.monotonic()
    body = auditor.get(f"{ENTRIES}?after_seq=0&wait=1").json()
    assert body["data"] == []
    assert 1 <= time.monotonic() - started < 5


def test_while_it_waits_it_holds_no_connection(
    auditor: Api, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    monkeypatch.setattr(
        "audit.questions.waiting.time.sleep",
        lambda seconds: held.append(connection.connection is not None),
    )
    monkeypatch.setattr("audit.questions.waiting.PAUSE", 0)
    assert auditor.get(f"{ENTRIES}?after_seq=0&wait=1").status_code == 200
    assert held
    assert not any(held)


def test_few_wait_at_once_and_the_others_get_a_time_to_try_again(
    auditor: Api, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_OF_ONE", 0)
    refused = auditor.get(f"{ENTRIES}?after_seq=0&wait=5")
    assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
    assert int(refused["Retry-After"]) == waiting.RETRY_SECONDS
    assert auditor.get(f"{ENTRIES}?after_seq=0").status_code == 200
    make(acme, 1)
    seal()
    # Who has something to get does not wait.
    assert auditor.get(f"{ENTRIES}?after_seq=0&wait=5").json()["data"]


# -- What is known already


def test_what_the_client_has_is_not_sent_again(auditor: Api, acme: Organization) -> None:
    make(acme, 3)
    seal()
    listed = f"{ENTRIES}?type=project"
    entry = auditor.get(listed).json()["data"][0]["id"]
    for path in (listed, f"{ENTRIES}?after_seq=0&type=project", f"{ENTRIES}/{entry}"):
        first = auditor.get(path)
        tag = first["ETag"]
        same = auditor.get(path, headers={"if-none-match": f'"other", W/{tag}'})
        assert (same.status_code, same.content) == (304, b"")
        assert same["ETag"] == tag
        assert same["X-Request-Id"]
        assert auditor.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    before = auditor.get(listed)["ETag"]
    make(acme, 1, name="more")
    assert auditor.get(listed, headers={"if-none-match": before}).status_code == 200


def test_lists_have_tags_and_secrets_have_none(api: Api, acme: Organization) -> None:
    ProjectFactory.create(organization=acme, name="Shop")
    listed = api.get("/{o}/projects")
    known = {"if-none-match": listed["ETag"]}
    assert api.get("/{o}/projects", headers=known).status_code == 304
    assert "ETag" not in api.get("/{o}/shop/secrets")
    assert "ETag" not in api.get("/{o}/shop/encryption-key")


# -- Complete by time


def complete_to(body: dict[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(body["meta"]["complete_to"])


def test_a_log_is_complete_to_where_nothing_can_be_added_any_more(
    auditor: Api, acme: Organization, databases: Databases
) -> None:
    make(acme, 1)
    seal()
    before = complete_to(auditor.get(ENTRIES).json())
    with psycopg.connect(databases.application) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        for _ in range(3):
            make(acme, 1, name=f"later{_}")
            time.sleep(0.05)
            seal()
        began = slow.execute("SELECT now()").fetchone()
        assert began is not None
        held = complete_to(auditor.get(ENTRIES).json())
        # What the open transaction wrote, it wrote after this.
        assert before <= held <= began[0]
    seal()
    seal()
    after = complete_to(auditor.get(ENTRIES).json())
    assert after > held
    newest = auditor.get(f"{ENTRIES}?type=project").json()["data"][0]["attributes"]["time"]
    assert dt.datetime.fromisoformat(newest) < after


def test_a_window_that_is_over_says_when_it_may_be_short(
    auditor: Api, acme: Organization, databases: Databases, superuser_connection: Any
) -> None:
    make(acme, 1)
    seal()
    moment = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    closed = f"?until={moment}"
    assert auditor.get(f"{ENTRIES}{closed}").json()["meta"]["notes"] == []
    superuser_connection.execute("UPDATE audit_sealing SET complete_to = '2020-01-01'")
    [note] = auditor.get(f"{ENTRIES}{closed}").json()["meta"]["notes"]
    assert "may still be short: the log is complete to 2020-01-01" in note
    export = auditor.get(f"{ENTRIES}/export{closed}")
    assert export["Audit-Complete-To"] == "2020-01-01T00:00:00.000Z"
    assert export["Audit-Until"] > export["Audit-Complete-To"]
    for part in ("histogram", "facets"):
        body = auditor.get(f"/organizations/{{o}}/audit/{part}{closed}").json()
        assert body["meta"]["complete_to"].startswith("2020-01-01")


def test_a_window_that_is_over_is_waited_for(
    auditor: Api, superuser_connection: psycopg.Connection[Any], acme: Organization
) -> None:
    make(acme, 1)
    seal()
    superuser_connection.execute("UPDATE audit_sealing SET complete_to = '2020-01-01'")
    moment = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")

    def go_on() -> None:
        time.sleep(0.7)
        superuser_connection.execute("UPDATE audit_sealing SET complete_to = now()")

    sealer = threading.Thread(target=go_on)
    sealer.start()
    body = auditor.get(f"{ENTRIES}?until={moment}&wait=10").json()
    sealer.join()
    assert body["meta"]["notes"] == []
    export = auditor.get(f"{ENTRIES}/export?until={moment}&wait=10")
    assert export["Audit-Complete-To"] >= export["Audit-Until"]


# -- An export holds what it says


def test_an_export_has_as_many_lines_as_it_says_whatever_comes_meanwhile(
    auditor: Api, acme: Organization, databases: Databases
) -> None:
    make(acme, 30)
    seal()
    make(acme, 5, name="waiting")
    with psycopg.connect(databases.owner) as slow:
        # Its ids are among those of the others, and it commits while the export is sent.
        slow.execute("SET audit.reason = 'a slow one'")
        slow.execute("UPDATE organizations_project SET name = 'slow' WHERE slug = 'p-3'")
        make(acme, 5, name="last")
        for query in ("", "?type=project", "?tz=Europe/Berlin", "?type=project,audit_log"):
            response = auditor.get(f"{ENTRIES}/export{query}")
            if query.endswith("audit_log"):
                slow.commit()
                make(acme, 5, name="later")
                seal()
            lines = b"".join(response.streaming_content).splitlines()
            assert len(lines) == int(response["Audit-Count"])
            sealed = [json.loads(line)["seq"] for line in lines]
            if not query.startswith("?type"):
                assert set(range(1, int(response["Audit-Sealed-To"]) + 1)) <= set(sealed)
            labels = {json.loads(line)["resource"]["label"] for line in lines}
            assert "last-4" in labels
            assert "later-0" not in labels
            assert "slow" not in {
                pair[1]
                for line in lines
                for pair in (json.loads(line)["changes"].get("name"),)
                if pair
            }
