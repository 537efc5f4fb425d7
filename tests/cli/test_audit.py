"""`dotenv audit`: the questions it sends and how it shows the answers."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.recorder import ACME, Run, Server

Terminal = Callable[..., tuple[int, str]]
ENTRIES = f"/api/v1/organizations/{ACME}/audit/entries"
COUNTS = f"/api/v1/organizations/{ACME}/audit/counts"
ENTRY_ID = "01JD5A0000000000000000000A"


def entry(entry_id: str = ENTRY_ID, **more: Any) -> dict[str, Any]:
    attributes = {
        "time": "2026-11-17T23:30:05.123Z",
        "actor": {"type": "user", "id": "01JDUSER", "label": "jane.doe@example.org"},
        "action": "delete",
        "resource": {
            "type": "environment",
            "id": "01JDENV",
            "label": "my-app/backend/production",
        },
        "result": "success",
        "reason": None,
        "ip": "203.0.113.7",
        "user_agent": "dotenv-cli/0.1.0",
        "request_id": "01JDREQUEST",
        "interface": "cli",
        "changes": {"status": ["production", None], "name": ["Production", None]},
        "changed_fields": ["status", "name", "settings"],
        "context": {"history_policy": "keep", "count": 3},
        "seq": None,
        "resource_seq": None,
        "actor_seq": None,
        **more,
    }
    return {"type": "audit-entries", "id": entry_id, "attributes": attributes}


def page(*items: dict[str, Any], following: str | None = None, **meta: Any) -> dict[str, Any]:
    return {
        "data": list(items),
        "meta": {
            "next_cursor": following,
            "per_page": 50,
            "since": None,
            "until": None,
            "notes": [],
            **meta,
        },
        "links": {"next": None},
    }


def test_a_table_has_a_line_an_entry_when_piped(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page(entry()))
    result = dotenv("audit", "list")
    header, line = result.out.splitlines()
    assert header.split() == ["TIME", "ACTOR", "ACTION", "TYPE", "RESOURCE", "RESULT", "IP", "ID"]
    assert line.split() == [
        "2026-11-18",
        "00:30:05",
        "user:jane.doe@example.org",
        "delete",
        "environment",
        "my-app/backend/production",
        "success",
        "203.0.113.7",
        ENTRY_ID,
    ]
    assert "1 entry, times in Europe/Berlin" in result.err


def test_80_columns_show_the_same_on_two_lines(signed_in: Server, terminal: Terminal) -> None:
    signed_in.answer("GET", ENTRIES, page(entry()))
    code, shown = terminal("audit", "list", "--quiet")
    assert code == 0
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert [line.split() for line in shown.splitlines()] == [
        ["TIME", "ACTOR", "ACTION", "RESOURCE"],
        ["IP", "TYPE", "RESULT", "ID"],
        [
            "2026-11-18",
            "00:30:05",
            "user:jane.doe@example…",
            "delete",
            "my-app/backend/production",
        ],
        ["203.0.113.7", "environment", "success", ENTRY_ID],
    ]


def test_every_filter_is_sent_by_its_name(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page())
    words = """
        audit list my-app/backend --actor jane@example.org --actor bob --actor-type user
        --action delete,update --type environment --result success --ip 10.0.0.0/8
        --request 01JDREQUEST --interface api --field name -q production
        --since 2026-11-01 --until 2026-11-07 --when yesterday
        --exclude-actor ci --exclude-action view --exclude-type user
        --exclude-interface admin --exclude-result denied --exclude-resource other
        --exclude-actor-type api_key --exclude-ip 10.0.0.1 --exclude-field name
        --exclude-search staging --severity warning --reason expired --user-agent curl
        --id 01JDANY --became status:on --was off --hours 9-17 --days weekend
        --actor-role owner --exclude-severity info --exclude-reason x --exclude-user-agent y
        --exclude-became a --exclude-was b --exclude-hours 1-2 --exclude-days sun
        --exclude-actor-role member
    """
    result = dotenv(*words.split())
    assert result.code == 0
    assert sorted(signed_in.last.query) == sorted(
        [
            ("resource", "my-app/backend"),
            ("actor", "jane@example.org"),
            ("actor", "bob"),
            ("actor_type", "user"),
            ("action", "delete,update"),
            ("type", "environment"),
            ("result", "success"),
            ("ip", "10.0.0.0/8"),
            ("request", "01JDREQUEST"),
            ("interface", "api"),
            ("field", "name"),
            ("q", "production"),
            ("since", "2026-11-01"),
            ("until", "2026-11-07"),
            ("when", "yesterday"),
            ("exclude_actor", "ci"),
            ("exclude_action", "view"),
            ("exclude_type", "user"),
            ("exclude_interface", "admin"),
            ("exclude_result", "denied"),
            ("exclude_resource", "other"),
            ("exclude_actor_type", "api_key"),
            ("exclude_ip", "10.0.0.1"),
            ("exclude_field", "name"),
            ("exclude_q", "staging"),
            ("severity", "warning"),
            ("reason", "expired"),
            ("user_agent", "curl"),
            ("id", "01JDANY"),
            ("became", "status:on"),
            ("was", "off"),
            ("hours", "9-17"),
            ("days", "weekend"),
            ("actor_role", "owner"),
            ("exclude_severity", "info"),
            ("exclude_reason", "x"),
            ("exclude_user_agent", "y"),
            ("exclude_became", "a"),
            ("exclude_was", "b"),
            ("exclude_hours", "1-2"),
            ("exclude_days", "sun"),
            ("exclude_actor_role", "member"),
            ("tz", "Europe/Berlin"),
            ("per_page", "50"),
        ]
    )


def test_the_zone_can_be_chosen_and_is_shown(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page(entry()))
    result = dotenv("audit", "list", "--tz", "Asia/Tokyo")
    assert ("tz", "Asia/Tokyo") in signed_in.last.query
    assert "2026-11-18 08:30:05" in result.out
    assert "Asia/Tokyo" in result.err


def test_an_empty_filter_is_refused_rather_than_dropped(signed_in: Server, dotenv: Run) -> None:
    result = dotenv("audit", "list", "--actor", "")
    assert result.code == 2
    assert "--actor is empty" in result.err
    assert dotenv("audit", "list", "my-app", "--resource", "other").code == 2
    assert not signed_in.requests


def test_counts_are_a_table_the_most_frequent_first(signed_in: Server, dotenv: Run) -> None:
    rows = [
        {"value": "203.0.113.77", "label": "203.0.113.77", "count": 9, "params": {}},
        {"value": "192.0.2.1", "label": "192.0.2.1", "count": 5, "params": {}},
    ]
    meta = {
        "by": "ip",
        "groups": 12,
        "counted": 100_000,
        "is_exact": False,
        "counted_from": "2026-11-17T23:00:00.000Z",
        "left_out": ["view"],
        "notes": ["when: something."],
    }
    signed_in.answer("GET", COUNTS, {"data": rows, "meta": meta})
    words = "audit count my-app --by ip --at-least 5 --limit 2 --result failed --severity warning"
    result = dotenv(*words.split())
    assert [line.split() for line in result.out.splitlines()] == [
        ["ENTRIES", "IP"],
        ["9", "203.0.113.77"],
        ["5", "192.0.2.1"],
    ]
    assert sorted(signed_in.last.query) == [
        ("at_least", "5"),
        ("by", "ip"),
        ("limit", "2"),
        ("resource", "my-app"),
        ("result", "failed"),
        ("severity", "warning"),
        ("tz", "Europe/Berlin"),
    ]
    for said in (
        "newest 100,000 entries were counted, back to 2026-11-18 00:00:00",
        "2 of 12 rows",
        "--views",
        "when: something.",
    ):
        assert said in result.err
    signed_in.answer("GET", COUNTS, {"data": rows, "meta": meta})
    assert dotenv("audit", "count", "--by", "ip", "--json").json["data"] == rows
    assert dotenv("audit", "count").code == 2


def test_what_is_left_out_and_which_come_first_can_be_chosen(
    signed_in: Server, dotenv: Run
) -> None:
    for left_out in (["view"], []):
        signed_in.answer("GET", ENTRIES, page(entry(), left_out=left_out))
    assert "--views includes them" in dotenv("audit", "list").err
    result = dotenv("audit", "list", "--views", "--order", "oldest")
    assert "--views" not in result.err
    assert {("views", "true"), ("order", "oldest")} <= {*signed_in.last.query}


def test_limit_and_all_follow_the_cursors(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page(*(entry() for _ in range(200)), following="c1"))
    signed_in.answer("GET", ENTRIES, page(*(entry() for _ in range(50)), following="c2"))
    result = dotenv("audit", "list", "--limit", "250", "-f", "ndjson")
    assert len(result.out.splitlines()) == 250
    assert "--cursor c2" in result.err
    sizes = [dict(request.query)["per_page"] for request in signed_in.requests]
    assert sizes == ["200", "50"]
    assert ("cursor", "c1") in signed_in.last.query

    signed_in.answer("GET", ENTRIES, page(entry(), following="c3"))
    signed_in.answer("GET", ENTRIES, page(entry()))
    result = dotenv("audit", "list", "--all", "-f", "json")
    assert [row["id"] for row in result.json][-1] == ENTRY_ID
    assert "There are more" not in result.err


def test_a_server_that_repeats_itself_does_not_hold_the_command(
    signed_in: Server, dotenv: Run
) -> None:
    signed_in.answer("GET", ENTRIES, page(entry(), following="c1"))
    result = dotenv("audit", "list", "--all")
    assert result.code == 1
    assert "same page" in result.err


def test_data_formats_hold_whole_entries(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page(entry()))
    expected = {"id": ENTRY_ID, **entry()["attributes"]}
    assert dotenv("audit", "list", "-f", "json").json == [expected]
    assert yaml.safe_load(dotenv("audit", "list", "-f", "yaml").out) == [expected]
    assert json.loads(dotenv("audit", "list", "-f", "ndjson").out) == expected


def test_the_period_is_given_in_exact_instants(signed_in: Server, dotenv: Run) -> None:
    period = {"since": "2026-11-16T23:00:00.000Z", "until": "2026-11-17T23:00:00.000Z"}
    signed_in.answer("GET", ENTRIES, page(**period))
    result = dotenv("audit", "list", "--when", "last tuesday")
    assert (result.code, result.out) == (0, "")
    assert (
        "No entry matches from 2026-11-17 00:00:00 until 2026-11-18 00:00:00, "
        "times in Europe/Berlin." in result.err
    )


def test_what_may_surprise_is_said(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, page(notes=["actor: no name in this log matches 'jnae'."]))
    result = dotenv("audit", "list", "--actor", "jnae")
    assert "no name in this log matches 'jnae'" in result.err


def test_a_question_the_server_does_not_understand_is_a_usage_error(
    signed_in: Server, dotenv: Run
) -> None:
    refusal = {"error": "validation_failed", "message": "when: “blursday” is no period."}
    signed_in.answer("GET", ENTRIES, refusal, status=422)
    result = dotenv("audit", "list", "--when", "blursday")
    assert result.code == 2
    assert "“blursday” is no period" in result.err


def test_show_has_everything_and_the_changes_as_a_diff(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", f"{ENTRIES}/{ENTRY_ID}", {"data": entry()})
    result = dotenv("audit", "show", ENTRY_ID.lower())
    assert result.code == 0
    for shown in (
        "2026-11-18 00:30:05.123+01:00",
        "jane.doe@example.org (user 01JDUSER)",
        "my-app/backend/production (environment 01JDENV)",
        "203.0.113.7",
        "not sealed yet",
        "history_policy  keep",
        "  status\n    - production\n",
    ):
        assert shown in result.out
    assert "CHANGED, VALUES NOT RECORDED\n  settings\n" in result.out
    assert dotenv("audit", "show", ENTRY_ID, "-f", "json").json["seq"] is None


def test_show_does_without_what_an_entry_lacks(signed_in: Server, dotenv: Run) -> None:
    bare = entry(
        actor={"type": "anonymous", "id": None, "label": ""},
        resource={"type": "", "id": None, "label": ""},
        ip=None,
        changes={"count": [1, 2], "hint": ["", " x"], "tags": [None, ["a"]]},
        changed_fields=["count", "hint", "tags"],
        context={},
        seq=7,
        resource_seq=2,
        actor_seq=3,
    )
    signed_in.answer("GET", f"{ENTRIES}/{ENTRY_ID}", {"data": bare})
    result = dotenv("audit", "show", ENTRY_ID)
    assert "ACTOR       anonymous\n" in result.out
    assert "SEQUENCE    7 (2 of this resource, 3 of this actor)\n" in result.out
    assert (
        '  count\n    - 1\n    + 2\n  hint\n    - ""\n    + " x"\n  tags\n    + ["a"]\n'
        in result.out
    )
    assert "CONTEXT" not in result.out and "NOT RECORDED" not in result.out


def test_show_refuses_what_is_not_an_id(signed_in: Server, dotenv: Run) -> None:
    assert dotenv("audit", "show", "my-app").code == 2
    assert not signed_in.requests
    assert dotenv("audit", "show", ENTRY_ID).code == 4


HOSTILE = "jane\x1b]0;owned\x07\x1b[2J\x9b31m\u202egro\r\n"


@pytest.mark.parametrize("format_", ["table", "json", "ndjson", "yaml"])
def test_names_cannot_drive_the_terminal(signed_in: Server, dotenv: Run, format_: str) -> None:
    hostile = entry(
        actor={"type": "user", "id": HOSTILE, "label": HOSTILE},
        user_agent=HOSTILE,
        changes={HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]},
        context={HOSTILE: HOSTILE},
    )
    signed_in.answer("GET", ENTRIES, page(hostile))
    signed_in.answer("GET", f"{ENTRIES}/{ENTRY_ID}", {"data": hostile})
    outputs = [dotenv("audit", "list", "-f", format_).out]
    if format_ != "ndjson":
        outputs.append(dotenv("audit", "show", ENTRY_ID, "-f", format_).out)
    for out in outputs:
        assert "jane" in out
        assert not set(out) & set("\x1b\x07\x9b\u202e\r")
    if format_ == "json":
        assert json.loads(outputs[0])[0]["actor"]["label"] == HOSTILE
    if format_ == "yaml":
        assert yaml.safe_load(outputs[0])[0]["actor"]["label"] == HOSTILE


def test_messages_of_the_server_cannot_drive_the_terminal(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", ENTRIES, {"error": "e", "message": HOSTILE}, status=400)
    assert not set(dotenv("audit", "list").err) & set("\x1b\x07\x9b\u202e\r")


# --- export -------------------------------------------------------------------------------------

NDJSON = b'{"id":"1","note":"\xc2\x9b31m"}\n' * 3


def test_export_hands_on_the_bytes_of_the_server(signed_in: Server, program: Run) -> None:
    signed_in.answer("GET", f"{ENTRIES}/export", NDJSON)
    result = program("audit", "export", "my-app", "--action", "delete")
    assert (result.code, result.out.encode()) == (0, NDJSON)
    query = dict(signed_in.last.query)
    assert query["format"] == "ndjson"
    assert query["resource"] == "my-app"
    assert signed_in.last.headers["X-Client-Command"] == "audit export"


def test_export_says_what_retention_removed(signed_in: Server, dotenv: Run, tmp_path: Path) -> None:
    header = "before=2021-03-01T00:00:00.000Z; removed_at=2026-11-23T10:00:00.000Z; manifest=abc"
    warning = "Entries before 2021-03-01T00:00:00.000Z were removed under retention on 2026-11-23"
    for arguments in ([], ["-o", str(tmp_path / "log.ndjson")]):
        signed_in.answer(
            "GET", f"{ENTRIES}/export", NDJSON, headers={"Audit-Retention-Boundary": header}
        )
        result = dotenv("audit", "export", *arguments)
        assert result.code == 0
        assert warning in result.err
        assert "manifest abc" in result.err
        assert warning not in result.out


def test_export_on_a_terminal_is_made_harmless(signed_in: Server, terminal: Terminal) -> None:
    signed_in.answer("GET", f"{ENTRIES}/export", NDJSON)
    code, shown = terminal("audit", "export")
    assert code == 0
    assert "\\x9b31m" in shown and "\x9b" not in shown


@pytest.mark.parametrize("format", ["ndjson", "csv", "ocsf"])
def test_export_asks_for_a_format(signed_in: Server, dotenv: Run, format: str) -> None:
    signed_in.answer("GET", f"{ENTRIES}/export", NDJSON)
    assert dotenv("audit", "export", "--format", format).code == 0
    assert ("format", format) in signed_in.last.query


def test_export_writes_a_private_file(signed_in: Server, dotenv: Run, tmp_path: Path) -> None:
    signed_in.answer("GET", f"{ENTRIES}/export", b"a,b\n1,2\n")
    target = tmp_path / "entries.csv"
    result = dotenv("audit", "export", "-f", "csv", "-o", str(target))
    assert (result.code, result.out) == (0, "")
    assert ("format", "csv") in signed_in.last.query
    assert target.read_bytes() == b"a,b\n1,2\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600

    result = dotenv("audit", "export", "-o", str(target))
    assert result.code == 2
    assert "--force" in result.err
    assert dotenv("audit", "export", "-o", str(target), "--force").code == 0


def test_an_export_that_breaks_leaves_the_old_file(
    signed_in: Server, dotenv: Run, tmp_path: Path
) -> None:
    target = tmp_path / "entries.ndjson"
    target.write_text("old")
    signed_in.answer("GET", f"{ENTRIES}/export", NDJSON, hang_up_early=True)
    result = dotenv("audit", "export", "-o", str(target), "--force")
    assert result.code == 1
    assert "failed" in result.err
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["entries.ndjson"]
    assert dotenv("audit", "export").code == 1


def test_a_refused_export_leaves_no_file(signed_in: Server, dotenv: Run, tmp_path: Path) -> None:
    refusal = {"error": "insufficient_permissions", "message": "audit:export is missing."}
    signed_in.answer("GET", f"{ENTRIES}/export", refusal, status=403)
    result = dotenv("audit", "export", "-o", str(tmp_path / "x"))
    assert result.code == 3
    assert "audit:export is missing." in result.err
    assert not list(tmp_path.iterdir())


def test_export_does_not_replace_a_device(signed_in: Server, dotenv: Run) -> None:
    signed_in.answer("GET", f"{ENTRIES}/export", NDJSON)
    assert dotenv("audit", "export", "-o", os.devnull).code == 0
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert dotenv("audit", "export", "-o", "/nonexistent/file").code == 1
