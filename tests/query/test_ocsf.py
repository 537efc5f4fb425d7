"""Entries as OCSF events: valid against the published schema, of the right class, nothing lost."""

from __future__ import annotations

import json
import uuid
from functools import cache
from typing import Any

import pytest
from django.db.models import QuerySet
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from audit import policy
from audit.entry import as_json
from audit.export import formats, ocsf
from audit.models import Entry
from organizations import ulid
from tests.query.seeding import Row
from tests.query.test_export import as_read, ids, names, texts, values

LATER_VERSIONS = ("1.6.0", "1.7.0", "1.8.0")
"""What is valid in a version of OCSF 1 has to be so in those that follow."""


@cache
def schema(version: str) -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version))


@cache
def validator(class_uid: int, version: str) -> Draft202012Validator:
    of_version = schema(version)
    name = of_version.lookup_class_name_from_uid(class_uid)
    return Draft202012Validator(of_version.get_class_schema(name))


def check(event: dict[str, Any], version: str = ocsf.VERSION) -> None:
    found = [
        f"{error.json_path}: {error.message}"
        for error in validator(event["class_uid"], version).iter_errors(event)
    ]
    assert not found, (found, event)
    about = schema(version).schema.schema["classes"][
        schema(version).lookup_class_name_from_uid(event["class_uid"])
    ]["attributes"]
    # Names beside the numbers are what the schema calls them.
    for number, name in (
        ("class_uid", "class_name"),
        ("category_uid", "category_name"),
        ("type_uid", "type_name"),
        ("severity_id", "severity"),
        ("status_id", "status"),
    ):
        assert event[name] == about[number]["enum"][str(event[number])]["caption"]
    if event["activity_id"] != ocsf.OTHER:
        caption = about["activity_id"]["enum"][str(event["activity_id"])]["caption"]
        assert event["activity_name"] == caption


def event_of(**attributes: Any) -> dict[str, Any]:
    given = {
        "id": uuid.UUID("019a0000-0000-7000-8000-00000000000a"),
        "organization_id": uuid.UUID("019a0000-0000-7000-8000-000000000001"),
        "actor_type": "user",
        "actor_id": uuid.UUID("019a0000-0000-7000-8000-00000000000b"),
        "actor_label": "jane@example.org",
        "action": "update",
        "resource_type": "project",
        "resource_id": uuid.UUID("019a0000-0000-7000-8000-00000000000c"),
        "resource_label": "my-app",
        "result": "success",
        "ip": "198.51.100.7",
        "user_agent": "Mozilla/5.0",
        "request_id": uuid.UUID("019a0000-0000-7000-8000-00000000000d"),
        "interface": "web",
        "changes": {},
        "context": {},
        "seq": 7,
        "resource_seq": 3,
        "actor_seq": 2,
    }
    [line] = ocsf.events([as_read(Entry(**(given | attributes)))])
    event: dict[str, Any] = json.loads(line)
    check(event)
    return event


def test_every_entry_of_a_log_is_a_valid_event(entries: QuerySet[Entry]) -> None:
    exported = "".join(formats.written("ocsf", entries)).splitlines()
    assert len(exported) == entries.count()
    for line in exported:
        check(json.loads(line))


@pytest.mark.parametrize("action", [*(action.name for action in policy.ACTIONS), "unheard_of"])
@pytest.mark.parametrize("resource_type", [*policy.RESOURCE_TYPES, "unheard_of", ""])
def test_every_action_on_every_type_is_valid(action: str, resource_type: str) -> None:
    for result in (*policy.Result, "odd"):
        event = event_of(action=action, resource_type=resource_type, result=result)
        assert (event["status"] == "Success") == (result == "success")


@pytest.mark.parametrize("version", LATER_VERSIONS)
def test_events_are_valid_in_later_versions_too(version: str) -> None:
    for action in ("create", "grant", "join", "sign_in", "view", "access", "change_password"):
        for resource_type in policy.RESOURCE_TYPES:
            check(event_of(action=action, resource_type=resource_type), version)


@pytest.mark.parametrize(
    ("action", "resource_type", "kind", "activity"),
    [
        ("sign_in", "user", "Authentication", "Logon"),
        ("sign_out", "user", "Authentication", "Logoff"),
        ("create", "user", "Account Change", "Create"),
        ("change_password", "user", "Account Change", "Password Change"),
        ("reset_password", "user", "Account Change", "Password Reset"),
        ("grant", "user", "User Access Management", "Assign Privileges"),
        ("revoke", "user", "User Access Management", "Revoke Privileges"),
        ("update", "membership", "User Access Management", "Assign Privileges"),
        ("join", "membership", "Group Management", "Add User"),
        ("delete", "membership", "Group Management", "Remove User"),
        ("create", "environment", "Entity Management", "Create"),
        ("decrypt", "secret", "Entity Management", "Read"),
        ("rotate", "key_version", "Entity Management", "Update"),
        ("delete", "environment", "Entity Management", "Delete"),
        ("first_use", "api_key", "Entity Management", "first_use"),
        ("view", "audit_log", "Entity Management", "Read"),
        ("export", "audit_log", "Entity Management", "Read"),
        ("seal", "audit_log", "Entity Management", "seal"),
    ],
)
def test_an_action_is_of_its_class(
    action: str, resource_type: str, kind: str, activity: str
) -> None:
    event = event_of(action=action, resource_type=resource_type)
    assert (event["class_name"], event["activity_name"]) == (kind, activity)


def test_a_refused_request_is_api_activity_that_failed() -> None:
    event = event_of(
        action="access",
        resource_type="endpoint",
        resource_id=None,
        resource_label="DELETE /api/v1/{organization}/{project}",
        result="denied",
        context={"status": 403, "reason": "missing_ability", "repeats": 4},
    )
    assert (event["class_name"], event["activity_name"]) == ("API Activity", "Delete")
    assert event["api"]["operation"] == "DELETE /api/v1/{organization}/{project}"
    assert (event["status"], event["status_code"]) == ("Failure", "403")
    assert (event["status_detail"], event["count"]) == ("missing_ability", 5)
    assert event["severity"] == "Medium"


def test_grants_name_giver_privileges_and_receiver() -> None:
    changes = {"permissions": [["audit_read"], ["audit_read", "audit_export"]]}
    event = event_of(
        action="grant",
        resource_type="user",
        resource_label="bob@example.org",
        actor_type="api_key",
        actor_label="deploy",
        changes=changes,
    )
    assert event["privileges"] == ["audit_export"]
    assert event["user"]["name"] == "bob@example.org"
    key = ulid.to_text(uuid.UUID("019a0000-0000-7000-8000-00000000000b"))
    assert event["actor"]["user"] == {
        "credential_uid": key,
        "name": "deploy",
        "type": "API Key",
        "type_id": 99,
        "uid": key,
    }
    changes = {"permissions": [["audit_read", "audit_export"], ["audit_read"]]}
    revoked = event_of(action="revoke", resource_type="user", changes=changes)
    assert revoked["privileges"] == ["audit_export"]


def test_a_role_is_the_privilege_of_a_member() -> None:
    made = event_of(
        action="join",
        resource_type="membership",
        resource_label="bob@example.org",
        changes={"user_id": [None, "01J"], "role": [None, "auditor"]},
    )
    assert made["user"] == {"name": "bob@example.org", "type_id": 1, "uid": "01J"}
    assert made["privileges"] == ["auditor"]
    assert made["group"]["uid"] == made["metadata"]["tenant_uid"]
    changed = event_of(
        action="update", resource_type="membership", changes={"role": ["auditor", "admin"]}
    )
    assert changed["privileges"] == ["admin"]


def test_the_token_by_which_a_person_called_is_the_credential() -> None:
    event = event_of(context={"access_token": "01JTOKEN"})
    assert event["actor"]["user"]["credential_uid"] == "01JTOKEN"


rows = st.builds(
    Row,
    id=st.integers(0, 253_402_300_799_999).map(lambda ms: uuid.UUID(int=ms << 80 | 12345)),
    organization_id=st.uuids(),
    actor_id=ids,
    resource_id=ids,
    request_id=ids,
    ip=st.none() | st.ip_addresses().map(str),
    actor_type=st.sampled_from([*policy.ActorType, "odd"]),
    actor_label=texts,
    action=st.sampled_from([*(action.name for action in policy.ACTIONS), "unknown ünë"]),
    resource_type=st.sampled_from([*policy.RESOURCE_TYPES, "odd"]),
    resource_label=texts,
    result=st.sampled_from([*policy.Result, "odd"]),
    interface=st.sampled_from([*policy.Interface, "odd"]),
    user_agent=texts,
    changes=st.dictionaries(
        names | st.sampled_from(["role", "user_id", "permissions"]),
        st.none() | st.tuples(values, values).map(list),
        max_size=4,
    ),
    context=st.dictionaries(
        names | st.sampled_from(["reason", "status", "repeats", "access_token"]), values, max_size=4
    ),
)


@settings(deadline=None)
@given(rows, st.none() | st.integers(1, 2**31 - 1))
def test_an_event_is_valid_whatever_the_entry_and_says_all_of_it(row: Row, seq: int | None) -> None:
    entry = Entry(**vars(row), seq=seq, resource_seq=seq, actor_seq=seq)
    [line] = ocsf.events([as_read(entry)])
    assert "\n" not in line
    event = json.loads(line)
    check(event)
    said = as_json.as_json(entry)
    metadata, unmapped = event["metadata"], event["unmapped"]
    assert metadata["uid"] == said["id"]
    assert event["time"] == round(entry.time.timestamp() * 1000)
    assert metadata["tenant_uid"] == said["organization"]
    assert metadata["event_code"] == said["action"]
    assert metadata.get("sequence") == said["seq"]
    assert metadata.get("correlation_uid") == said["request_id"]
    assert event["src_endpoint"].get("ip") == said["ip"]
    assert event["actor"]["user"].get("uid") == said["actor"]["id"]
    assert event["actor"]["user"]["name"] == (said["actor"]["label"] or said["actor"]["type"])
    for name in ("changes", "changed_fields", "context", "result", "interface"):
        assert unmapped[name] == said[name]
    assert unmapped["actor_type"] == said["actor"]["type"]
    assert unmapped["resource_type"] == said["resource"]["type"]
    assert (unmapped.get("resource_seq"), unmapped.get("actor_seq")) == (seq, seq)
    assert resource_in(event) == (said["resource"]["id"], said["resource"]["label"])


def resource_in(event: dict[str, Any]) -> tuple[str | None, str]:
    """Id and label of the resource, from wherever its class keeps them."""
    unmapped = event["unmapped"]
    if "api" in event:
        operation = event["api"]["operation"]
        label = "" if operation == event["metadata"]["event_code"] else operation
        return unmapped.get("resource_id"), label
    subject = event.get("entity") or event["user"]
    label = "" if subject.get("name") == unmapped["resource_type"] else subject.get("name", "")
    if unmapped["resource_type"] == "membership":
        return unmapped.get("resource_id"), label
    return subject.get("uid"), label
