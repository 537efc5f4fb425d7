"""`dotenv list`: columns, formats and paths."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.cli.recorder import ACME, Run, Server


def project(slug: str, **more: Any) -> dict[str, Any]:
    attributes = {
        "name": slug.replace("-", " ").title(),
        "slug": slug,
        "description": "",
        "secret_count": 3,
        "target_count": 1,
        "environment_count": 2,
        **more,
    }
    return {"type": "projects", "id": f"01J{slug}", "attributes": attributes}


def node(kind: str, slug: str, **more: Any) -> dict[str, Any]:
    attributes = {"name": slug.title(), "slug": slug, "description": None, **more}
    return {"type": kind, "id": f"01J{slug}", "attributes": attributes}


@pytest.fixture
def tree(signed_in: Server) -> Server:
    root = f"/api/v1/{ACME}"
    signed_in.answer("GET", f"{root}/projects", {"data": [project("my-app"), project("site")]})
    signed_in.answer("GET", f"{root}/my-app/targets", {"data": [node("targets", "backend")]})
    signed_in.answer("GET", f"{root}/site/targets", {"data": []})
    production = node("environments", "production", status="production", description="x" * 60)
    signed_in.answer("GET", f"{root}/my-app/backend/environments", {"data": [production]})
    return signed_in


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_projects_have_their_columns(tree: Server, dotenv: Run) -> None:
    result = dotenv("list", "projects")
    assert lines(result.out) == [
        ["NAME", "SLUG", "SECRETS", "TARGETS", "ENVIRONMENTS"],
        ["My", "App", "my-app", "3", "1", "2"],
        ["Site", "site", "3", "1", "2"],
    ]


def test_targets_of_one_project(tree: Server, dotenv: Run) -> None:
    result = dotenv("list", "targets", "my-app")
    assert lines(result.out) == [["NAME", "SLUG", "DESCRIPTION"], ["Backend", "backend", "-"]]


def test_targets_of_all_projects_say_which(tree: Server, dotenv: Run) -> None:
    assert lines(dotenv("list", "targets").out)[1] == ["Backend", "backend", "-", "my-app/backend"]


def test_environments_cut_their_description(tree: Server, dotenv: Run) -> None:
    result = dotenv("list", "environments", "my-app/backend")
    assert lines(result.out) == [
        ["NAME", "SLUG", "STATUS", "DESCRIPTION"],
        ["Production", "production", "production", "x" * 39 + "…"],
    ]


def test_paths_are_one_a_line(tree: Server, dotenv: Run) -> None:
    assert dotenv("list", "projects", "--paths").out == "my-app\nsite\n"
    assert dotenv("list", "environments", "--paths").out == "my-app/backend/production\n"
    assert dotenv("list", "all", "--paths").out.splitlines() == [
        "my-app",
        "my-app/backend",
        "my-app/backend/production",
        "site",
    ]


def test_a_path_column_on_request(tree: Server, dotenv: Run) -> None:
    result = dotenv("list", "targets", "my-app", "--with-paths")
    assert lines(result.out)[1][-1] == "my-app/backend"


def test_data_formats_hold_the_fields_of_the_api_and_the_path(tree: Server, dotenv: Run) -> None:
    by_flag = dotenv("list", "projects", "--json").json
    assert by_flag == dotenv("list", "projects", "-f", "json").json
    assert by_flag == yaml.safe_load(dotenv("list", "projects", "-f", "yaml").out)
    assert by_flag[0]["secret_count"] == 3
    assert by_flag[0]["path"] == "my-app"
    everything = dotenv("list", "all", "--json").json
    assert [row["type"] for row in everything] == [
        "projects",
        "targets",
        "environments",
        "projects",
    ]


def test_all_of_one_project(tree: Server, dotenv: Run) -> None:
    result = dotenv("list", "all", "my-app", "--paths")
    assert result.out.splitlines() == ["my-app/backend", "my-app/backend/production"]


def test_nothing_is_an_empty_answer_not_an_error(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", f"/api/v1/{ACME}/projects", {"data": []})
    result = dotenv("list", "projects")
    assert (result.code, result.out) == (0, "")
    assert "There are no projects" in result.err
    assert dotenv("list", "projects", "--json").out == "[]\n"


def test_pages_are_followed_should_a_server_send_them(signed_in: Server, dotenv: Run) -> None:
    path = f"/api/v1/{ACME}/projects"
    for number, slug in ((1, "one"), (2, "two")):
        meta = {"current_page": number, "last_page": 2}
        signed_in.answer("GET", path, {"data": [project(slug)], "meta": meta})
    assert dotenv("list", "projects", "--paths").out == "one\ntwo\n"
    assert signed_in.requests[0].query == []
    assert signed_in.last.query == [("page", "2")]


def test_the_current_organization_is_marked(signed_in: Server, dotenv: Run) -> None:
    rows = [
        {
            "type": "organizations",
            "id": ulid,
            "attributes": {
                "ulid": ulid,
                "name": name,
                "slug": name.lower(),
                "plan_name": "self-hosted",
                "status": "active",
            },
        }
        for ulid, name in ((ACME, "Acme"), ("01BX5ZZKBKACTAV9WEVGEMMVRZ", "Other"))
    ]
    signed_in.answer("GET", "/api/v1/organizations", {"data": rows})
    assert lines(dotenv("list", "organizations").out) == [
        ["NAME", "ULID", "PLAN", "STATUS", "CURRENT"],
        ["Acme", ACME, "self-hosted", "active", "✓"],
        ["Other", "01BX5ZZKBKACTAV9WEVGEMMVRZ", "self-hosted", "active"],
    ]
    assert [row["current"] for row in dotenv("list", "organizations", "--json").json] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("projects", "my-app"),
        ("targets", "my-app/backend"),
        ("environments", "a/b/c"),
        ("organizations", "acme"),
        ("accounts", "--paths"),
    ],
)
def test_a_path_that_makes_no_sense_is_refused(
    signed_in: Server, dotenv: Run, arguments: tuple[str, ...]
) -> None:
    assert dotenv("list", *arguments).code == 2
    assert not signed_in.requests
