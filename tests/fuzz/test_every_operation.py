"""Unexpected calls, generated from the API's own description, to each operation.

No call crashes, none changes an audited row without an entry of that very request, and none that
asks or is refused changes anything at all. The calls are the same in each run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from dotenv_cloud.wsgi import application
from organizations import ulid
from tests.fuzz.conftest import PROJECTS, Watch, World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"]),
]

CALLS = 5
ASKS_BY_POST = ("/retrieve", "/secrets/versions", "/pending")

SCHEMA = schemathesis.openapi.from_dict(
    SchemaGenerator().get_schema(public=True),  # type: ignore[no-untyped-call]
    # Every call has a token that holds; what comes without one never gets as far.
    config=SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}}),
)
SCHEMA.app = application


def _operations() -> Iterator[APIOperation]:
    for found in SCHEMA.get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


OPERATIONS = list(_operations())


def test_the_walk_sees_the_whole_api() -> None:
    assert len(OPERATIONS) > 60


def put_in_place(case: Case, world: World, data: st.DataObject) -> None:
    """Let most calls be about what is there: made-up names alone would all be answered 404."""
    names = world.names | {"project": data.draw(st.sampled_from(PROJECTS), label="project")}
    left = data.draw(st.sampled_from([None, None, None, *names]), label="made up")
    for given_values in (case.path_parameters, case.body):
        if isinstance(given_values, dict):
            for name in given_values.keys() & names.keys() - {left}:
                given_values[name] = names[name]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_call_crashes_or_changes_anything_unrecorded(
    operation: Any, world: World, watch: Watch
) -> None:
    # The calls share the database: what one takes away is put back before the next.
    @settings(
        max_examples=CALLS,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        ),
        caller=st.sampled_from(["api key", "person"]),
        data=st.data(),
    )
    def call(case: Case, caller: str, data: st.DataObject) -> None:
        if world.needs_mending:
            world.mend()
            watch.changes()
        put_in_place(case, world, data)
        response = case.call(headers={"Authorization": f"Bearer {world.tokens[caller]}"})
        changed = watch.changes()
        world.needs_mending = bool(changed)

        assert response.status_code < 500, case.as_curl_command()
        [request_id] = response.headers["x-request-id"]
        assert changed <= watch.recorded(ulid.parse(request_id)), case.as_curl_command()
        asks = case.method == "GET" or operation.path.endswith(ASKS_BY_POST)
        if asks or response.status_code >= 400:
            assert not changed, case.as_curl_command()

    call()
