"""A question in words over the API: the same entries, and how it was read."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from organizations import hierarchy
from organizations.models import Environment, Organization
from tests.api.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

ENTRIES = "/organizations/{o}/audit/entries"


def ask(api: Api, words: str, path: str = ENTRIES, **params: str) -> Any:
    return api.get(f"{path}?{urlencode({'ask': words, **params})}")


def labels(answer: Any) -> list[tuple[str, str]]:
    return [
        (entry["attributes"]["action"], entry["attributes"]["resource"]["label"])
        for entry in answer.json()["data"]
    ]


def test_a_question_in_words_is_answered_and_says_how_it_was_read(
    api: Api, live: Environment
) -> None:
    hierarchy.delete_node(live)
    answer = ask(api, "who deleted the live environment today?", tz="Europe/Berlin")
    assert labels(answer) == [("delete", "shop/web/live")]
    understood = answer.json()["meta"]["understood"]
    assert understood["params"] == {
        "action": ["delete"],
        "resource": ["live"],
        "type": ["environment"],
        "when": ["today"],
        "tz": ["Europe/Berlin"],
    }
    [when] = [part for part in understood["parts"] if part["parameter"] == "when"]
    assert when["without"] == "who deleted the live environment"
    assert "to now (Europe/Berlin)" in when["exact"]


def test_asked_by_parameters_nothing_was_read(api: Api, live: Environment) -> None:
    meta = api.get(f"{ENTRIES}?action=create").json()["meta"]
    assert (meta["understood"], meta["answer"]) == (None, None)


def test_a_line_answers(api: Api, acme: Organization, live: Environment) -> None:
    hierarchy.delete_node(live)
    line = "1 deletion of environments, by system."
    words = "who deleted environments"
    assert ask(api, words).json()["meta"]["answer"] == line
    for part in ("facets", "counts"):
        by = {"by": "actor"} if part == "counts" else {}
        answer = ask(api, words, f"/organizations/{{o}}/audit/{part}", **by).json()
        assert answer["meta"]["answer"] == line
    first = ask(api, "changes", per_page="1").json()["meta"]["answer"]
    assert first == "More than 1 change."


def test_what_is_not_understood_is_no_search_and_no_whole_log(api: Api, live: Environment) -> None:
    answer = ask(api, "frobnicate the quux")
    assert answer.json()["data"] == []
    understood = answer.json()["meta"]["understood"]
    assert not understood["is_answerable"]
    assert [each["words"] for each in understood["struck"]] == ["frobnicate the quux"]
    refused = ask(api, "frobnicate the quux", f"{ENTRIES}/export")
    assert refused.status_code == 422
    for part in ("histogram", "facets"):
        found = ask(api, "frobnicate the quux", f"/organizations/{{o}}/audit/{part}").json()
        assert not found["meta"]["understood"]["is_answerable"]


def test_of_two_kinds_each_is_a_list_and_a_file_of_its_own(api: Api, live: Environment) -> None:
    hierarchy.delete_node(live)
    words = "created targets and deleted environments"
    meta = ask(api, words).json()["meta"]
    assert meta["understood"]["joint"] == "and"
    assert meta["answer"] == "1 creation of targets, by system. This is the first of two lists."
    second = meta["understood"]["then"]["text"]
    assert labels(ask(api, second)) == [("delete", "shop/web/live")]
    refused = ask(api, words, f"{ENTRIES}/export")
    assert refused.status_code == 422
    assert f"action:create type:target, and {second}." in str(refused.json())


def test_a_slip_is_offered_right(api: Api, live: Environment) -> None:
    understood = ask(api, "who creatd the live enviroment").json()["meta"]["understood"]
    assert [each["text"] for each in understood["offers"]] == ["who created the live environment"]


def test_what_is_given_twice_is_refused(api: Api) -> None:
    answer = ask(api, "what was deleted", action="create")
    assert answer.status_code == 422
    assert "gives action as well" in str(answer.json())


def test_other_filters_narrow_the_answer_further(api: Api, live: Environment) -> None:
    answer = ask(api, "what was created", type="environment")
    assert labels(answer) == [("create", "shop/web/live")]


def test_counts_take_what_the_question_counts_by(api: Api, live: Environment) -> None:
    answer = ask(api, "creations per project", "/organizations/{o}/audit/counts").json()
    assert answer["meta"]["by"] == "project"
    assert [(row["label"], row["count"]) for row in answer["data"]][0][0] == "shop"


def test_an_event_is_a_time(api: Api, live: Environment) -> None:
    hierarchy.update_node(live, {"description": "before"})
    hierarchy.delete_node(live)
    since = ask(api, "changes since live was created")
    assert [action for action, _ in labels(since)] == ["delete", "update"]
    [moment] = since.json()["meta"]["understood"]["moments"]
    [created] = api.get(f"{ENTRIES}?action=create&type=environment").json()["data"]
    assert moment["entry"] == created["id"]
    before = ask(api, "changes of environments before live was deleted")
    assert [action for action, _ in labels(before)] == ["update", "create"]


def test_an_event_that_never_was_is_said_and_bounds_nothing(api: Api, live: Environment) -> None:
    answer = ask(api, "changes of environments since live was deleted")
    understood = answer.json()["meta"]["understood"]
    assert labels(answer) == [("create", "shop/web/live")]
    assert understood["moments"] == []
    assert [each["words"] for each in understood["struck"]] == ["since live was deleted"]
    alone = ask(api, "since live was deleted")
    assert alone.json()["data"] == []


def test_what_is_excluded_is_in_no_answer(api: Api, acme: Organization, live: Environment) -> None:
    everything = {action for action, _ in labels(ask(api, "changes"))}
    assert {"create", "join"} <= everything
    assert "create" not in {action for action, _ in labels(ask(api, "changes except creations"))}
    assert "create" not in {action for action, _ in labels(ask(api, "changes -created"))}
    assert labels(ask(api, "creations not in shop")) == [
        each for each in labels(ask(api, "creations")) if not each[1].startswith("shop")
    ]


def test_two_words_in_a_row_are_a_path(api: Api, live: Environment) -> None:
    answer = ask(api, "web live created").json()
    assert answer["meta"]["understood"]["params"]["resource"] == ["web/live"]


def test_a_person_is_asked_for_by_name(api: Api, acme: Organization, live: Environment) -> None:
    owner = acme.memberships.get().user
    owner.name = "Zora Quill"
    owner.save()
    understood = ask(api, "what did Zora Quill do").json()["meta"]["understood"]
    assert understood["params"] == {"actor": [owner.email]}
    assert ask(api, "what did Quill do").json()["meta"]["understood"]["params"] == {
        "actor": [owner.email]
    }
