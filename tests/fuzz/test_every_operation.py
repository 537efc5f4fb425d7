"""Calls that nobody would think of, made from the API's own description, to each operation.

No call crashes, each is answered as described, and none changes an audited row without an entry of
that very request. The calls are the same in each run.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig

from dotenv_cloud.wsgi import application
from organizations import ulid
from tests.fuzz.conftest import Watch, World

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])

CALLS = 20
READ_BY_POST = ("/retrieve", "/secrets/versions", "/pending")
"""Questions that come with a body. Like GET, they change nothing."""

SCHEMA = schemathesis.openapi.from_dict(
    SchemaGenerator().get_schema(public=True), config=SchemathesisConfig()
)
SCHEMA.app = application
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]


def test_the_walk_sees_the_whole_api() -> None:
    assert len(OPERATIONS) > 60


def put_in_place(case: Case, world: World, data: st.DataObject) -> None:
    """Let most calls be about what is there: made-up names alone would all be answered 404."""
    for given_values in (case.path_parameters, case.body):
        if isinstance(given_values, dict):
            for name in sorted(given_values.keys() & world.names.keys()):
                if data.draw(st.integers(0, 9), label=f"{name} made up if 0"):
                    given_values[name] = world.names[name]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_call_crashes_or_changes_anything_unrecorded(
    operation: Any, world: World, watch: Watch
) -> None:
    # Examples share the database on purpose: `mend` brings back what the one before took away.
    @settings(
        max_examples=CALLS,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
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
        world.mend()
        put_in_place(case, world, data)
        before = watch.digests()
        response = case.call(headers={"Authorization": f"Bearer {world.tokens[caller]}"})
        after = watch.digests()

        case.validate_response(response, checks=[not_a_server_error])
        changed = {name for name in before if before[name] != after[name]}
        [request_id] = response.headers["x-request-id"]
        told = {resource for resource, result in watch.told(as_uuid(request_id))}
        missing = {name for name in changed if name.split(" ")[0] not in told}
        assert not missing, (case.as_curl_command(), response.status_code, changed, told)
        if case.method == "GET" or operation.path.endswith(READ_BY_POST):
            assert not changed
        if response.status_code >= 400:
            assert not changed

    call()


def as_uuid(text: str) -> uuid.UUID:
    found = ulid.parse(text)
    assert found is not None
    return found
