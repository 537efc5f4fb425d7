"""Sealing moves and numbers entries; who asks the log sees the same ones before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from audit.ledger import sealing
from organizations.models import Environment
from tests.api.conftest import Api, ApiWith

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

LOG = "/organizations/{o}/audit"
NUMBERED = ("seq", "resource_seq", "actor_seq")
QUESTION = "until=2099-01-01&type=project,target,environment,key_version,api_key"


def asked(reader: Api) -> dict[str, Any]:
    """What the log answers about the hierarchy, in each of its forms."""
    exported = reader.get(f"{LOG}/entries/export?{QUESTION}&action=create")
    listed = reader.get(f"{LOG}/entries?{QUESTION}&per_page=100").json()["data"]
    return {
        "list": listed,
        "one": [reader.get(f"{LOG}/entries/{entry['id']}").json()["data"] for entry in listed],
        "export": [json.loads(line) for line in b"".join(exported.streaming_content).splitlines()],
        "facets": reader.get(f"{LOG}/facets?{QUESTION}").json()["data"],
        "histogram": sum(
            bucket["count"] for bucket in reader.get(f"{LOG}/histogram?{QUESTION}").json()["data"]
        ),
    }


def attributes(answers: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("list", "one"):
        yield from (entry["attributes"] for entry in answers[name])
    yield from answers["export"]


def test_the_same_entries_before_and_after(api: Api, api_with: ApiWith, live: Environment) -> None:
    reader = api_with("audit:read", "audit:export")
    api.patch("/{o}/shop", {"description": "Changed"})
    api.post("/{o}/shop/encryption-key/rotate")
    api.delete("/{o}/shop/web")
    before = asked(reader)
    assert len(before["list"]) == before["histogram"] > 8
    assert all(entry[name] is None for entry in attributes(before) for name in NUMBERED)

    assert sealing.seal().entries > 0
    after = asked(reader)
    numbers = [entry["attributes"]["seq"] for entry in after["list"]]
    assert numbers == sorted(numbers, reverse=True)
    assert all(isinstance(number, int) for number in numbers)
    for entry in [*attributes(before), *attributes(after)]:
        for name in NUMBERED:
            del entry[name]
    assert after == before
