"""Whatever a body holds: it is answered within a second, in little memory, with few words."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from dotenv_cloud.api import bodies, errors
from keys import abilities
from organizations.models import Environment, Project
from tests.api.conftest import Api

pytestmark = pytest.mark.django_db

ORDINARY = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
LARGE = settings.CLIENT_ROTATION_MAX_BYTES


def filled(size: int, item: str, before: str = "[", after: str = "]", between: str = ",") -> bytes:
    """A document of nearly `size` bytes: as many of `item` as fit."""
    count = (size - len(before) - len(after)) // len((item + between).encode())
    return (before + between.join([item] * count) + after).encode()


def costly(size: int, name: str) -> Iterator[bytes]:
    """Documents whose list or text called `name` is as costly to read as its size allows."""
    opening = f'{{"{name}":['
    for item in ("0", "[]", "{}", '""', "null", '{"id":0}', '"a":"b"', "[[[[]]]]"):
        yield filled(size, item, opening, "]}")
    text = f'{{"{name}":"'
    for piece in ("a", "é", "😀", r"\/", r"\"", r"\u00e9", r"\ud83d\ude00", ","):
        yield filled(size, piece, text, '"}', "")
        yield filled(size, piece, text, "", "")  # not ended
    yield filled(size, "a", text + r"\ud83d\ude00", '"}', "")
    yield filled(size, "[", opening, "", "")
    yield filled(size, '{"a":', opening, "", "")
    yield filled(size, "9", opening, "]}", "")
    yield filled(size, '"a":1', "{", "}")
    yield filled(min(size, 27 * 5_000), '{"id":"1","content":"AA=="}', opening, "]}")


def cost_of(send: Any) -> tuple[float, int, Any]:
    """Seconds of the processor (others may be busy with it too) and bytes; measured apart, as
    tracing takes time itself."""
    started = time.process_time()
    send()
    seconds = time.process_time() - started
    tracemalloc.start()
    response = send()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak, response


@pytest.mark.slow
@pytest.mark.usefixtures("no_limits")
@pytest.mark.parametrize(
    ("path", "name", "size"),
    [
        ("/organizations/{o}/api-keys", "abilities", ORDINARY),
        ("/{o}/secrets/store", "content", ORDINARY),
        ("/{o}/shop/secrets/rotate-client-keys", "secrets", LARGE),
    ],
)
def test_the_largest_body_is_answered_within_a_second_and_50_megabytes(
    api: Api, live: Environment, path: str, name: str, size: int
) -> None:
    for document in costly(size, name):
        assert len(document) <= size
        # What the test's client sends is a copy that it keeps in this very process.
        seconds, peak, response = cost_of(lambda d=document: api.post(path, d))
        peak -= len(document)
        what = (document[:60], response.content[:200], seconds, peak)
        assert 400 <= response.status_code < 500, what
        assert seconds < 1, what
        assert peak < 50_000_000, what
        assert len(response.content) < 10_000, what


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/organizations/{o}/api-keys", {"name": "a", "abilities": [0.5, {}, []] * 33}),
        (
            "/organizations/{o}/api-keys",
            {"name": "a", "abilities": ["*"], "scoped_permissions": [0] * 200},
        ),
        (
            "/{o}/secrets/retrieve",
            {"project": "shop", "action": "read", "filters": {"names": [{}] * 500}},
        ),
        ("/{o}/shop/secrets/re-encrypt-history", {"versions": [{}] * 100, "key_proof": ""}),
        ("/{o}/shop/secrets/rotate-client-keys", {"secrets": [0] * 5_000}),
    ],
)
def test_at_most_ten_errors_are_listed(api: Api, live: Environment, path: str, body: Any) -> None:
    response = api.post(path, body)
    assert response.status_code in (400, 422)
    reported = response.json()["errors"].values()
    count = sum(1 if isinstance(texts, str) else len(texts) for texts in reported)
    assert 0 < count <= errors.MOST_REPORTED
    assert len(response.json()["message"]) < 2_000


def test_a_key_is_not_narrowed_in_thousands_of_ways_nor_twice_in_one(
    api: Api, shop: Project
) -> None:
    scope = {"permission": "secret:read", "project": "shop"}

    def make(count: int) -> Any:
        body = {"name": "a", "abilities": ["secret:read"], "scoped_permissions": [scope] * count}
        return api.post("/organizations/{o}/api-keys", body)

    assert make(5_000).status_code == 422
    twice = make(2)
    assert twice.status_code == 422
    assert "scoped_permissions.1: This restriction is listed twice." in twice.json()["message"]
    assert make(1).status_code == 201


def test_a_text_may_hold_as_many_commas_and_brackets_as_fit(api: Api, shop: Project) -> None:
    content = '{"a": [1, 2, "\\"", {}]},' * 40_000
    assert len(content) < settings.SECRET_MAX_BYTES
    response = api.post("/{o}/secrets/store", {"project": "shop", "content": content})
    assert response.status_code == 200, response.content[:300]


def test_the_maximum_is_what_it_says(api: Api, shop: Project) -> None:
    values = b",".join([b"0"] * bodies.MOST_VALUES)
    assert api.post("/{o}/projects", b"[%s]" % values).status_code == 422
    assert api.post("/{o}/projects", b"[%s,0]" % values).status_code == 413


def _arrays(schema: Any, where: str, components: Any) -> Iterator[tuple[str, Any]]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from _arrays(components[name], name, components)
    if schema.get("type") == "array":
        yield where, schema
        yield from _arrays(schema["items"], f"{where}[]", components)
    for name, inner in schema.get("properties", {}).items():
        yield from _arrays(inner, f"{where}.{name}", components)
    for inner in schema.get("allOf", []):
        yield from _arrays(inner, where, components)


def test_the_schema_has_the_maximum_of_every_list_in_a_body() -> None:
    document = Api(None).get("/openapi.json").json()
    components = document["components"]["schemas"]
    found = {
        where: array.get("maxItems")
        for operations in document["paths"].values()
        for operation in operations.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for where, array in _arrays(content["schema"], "", components)
    }
    assert {where.rpartition(".")[2]: most for where, most in found.items()} == {
        "abilities": abilities.MOST_ABILITIES,
        "scoped_permissions": abilities.MOST_SCOPES,
        "names": bodies.MOST_NAMES,
        "tags": bodies.MOST_NAMES,
        "secrets": bodies.MOST_BLOBS,
        "versions": 100,
    }, json.dumps(found)
