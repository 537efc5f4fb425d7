"""The page of what each route records is measured: someone who may requests every route."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audit.coverage.declared import ROUTES
from audit.coverage.routes import ANY, all_routes
from tests.promises import recordings
from tests.promises.recordings import Call
from tests.promises.walk import BESIDES, REQUESTS, Besides, Left, Scene, Sent, left_by, make_scene

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REFUSED = frozenset({("access", "endpoint")})


pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    return make_scene()


def test_each_route_records_what_the_page_says(scene: Scene) -> None:
    wrong: list[str] = []
    for route in all_routes():
        declared = ROUTES[route.path]
        for method in METHODS:
            said = declared.get(method) or declared.get(ANY)
            if said is None:
                continue
            requests = REQUESTS.get((method, route.path), [Sent()])
            left = [left_by(scene, method, route.path, sent) for sent in requests]
            found = frozenset[tuple[str, str]]().union(*(each.pairs for each in left))
            if found != frozenset(said.entries):
                wrong.append(
                    f"{method} {route.path} (answers {[each.status for each in left]}):"
                    f" recorded {sorted(found)}, but the page says {sorted(said.entries)}"
                )
            if method == "GET":
                for sent, by_get in zip(requests, left, strict=True):
                    wrong += wrong_by_head(scene, route.path, sent, by_get)
    assert not wrong, "\n".join(wrong)


def wrong_by_head(scene: Scene, path: str, sent: Sent, by_get: Left) -> list[str]:
    """HEAD reveals the length of an answer. It records what GET records, or is refused."""
    by_head = left_by(scene, "HEAD", path, sent)
    if by_head.pairs == by_get.pairs if by_head.status < 400 else by_head.pairs <= REFUSED:
        return []
    return [f"HEAD {path} (answers {by_head.status}): recorded {sorted(by_head.pairs)}"]


def test_refusals_and_uses_are_recorded_wherever_they_happen(scene: Scene) -> None:
    wrong = []
    for what, (method, path, sent, recorded) in BESIDES.items():
        left = left_by(scene, method, path, sent)
        if left.entries != frozenset(recorded):
            wrong.append(f"{what} (answers {left.status}): recorded {sorted(left.entries)}")
    assert not wrong, "\n".join(wrong)


# -- Whether it would be noticed


BY_OTHER_TESTS = {
    # How an export ends that fails midway: tests/web/test_export.py.
    ("audit/export/download.py", "__next__"),
    # A log that was altered, a pack that fails midway: tests/api/test_evidence.py.
    ("audit/questions/reading.py", "record_mismatch"),
    ("audit/export/packs.py", "record_mismatch"),
    ("audit/export/packs.py", "__next__"),
    ("dotenv_cloud/api/evidence.py", "mismatch"),
    # The same, as pages answer it: tests/web/test_proofs.py.
    ("audit/review/entry.py", "_mismatch"),
    # A command: tests/promises/test_evidence.py.
    ("audit/management/commands/audit_verify.py", "_record"),
    # Acts of which only the facts are recorded: tests/promises/test_secrets.py.
    ("keys/secrets.py", "store"),
    ("keys/secrets.py", "delete"),
    # A command: tests/web/test_leaving.py.
    ("dotenv_cloud/management/commands/changepassword.py", "handle"),
    # What no request does: tests/promises/test_completeness.py.
    ("keys/master_key.py", "rewrap_all"),
}


def test_a_recording_that_is_taken_out_is_noticed(scene: Scene) -> None:
    """By one of the two tests above: each call that records is taken out, and the first request
    that came by it made again."""
    calls = recordings.calls()
    assert len(calls) > 50
    came_by: dict[Call, list[Besides]] = {call: [] for call in calls}
    for request in every_request():
        reached: set[Call] = set()

        def hear(under_way: list[tuple[str, int]], reached: set[Call] = reached) -> bool:
            reached |= {call for call in calls if recordings.is_in(call, under_way)}
            return True

        with recordings.watched(hear):
            left = left_by(scene, request.method, request.path, request.sent)
        for call in reached:
            came_by[call].append(request._replace(recorded=sorted(left.entries)))
    unnoticed = [
        str(call)
        for call, requests in came_by.items()
        if (call.path, call.function) not in BY_OTHER_TESTS
        and not any(is_noticed(scene, call, request) for request in requests)
    ]
    assert not unnoticed, "\n".join(unnoticed)


def every_request() -> Iterator[Besides]:
    for route in all_routes():
        for method in (method for method in METHODS if method in ROUTES[route.path]):
            for sent in REQUESTS.get((method, route.path), [Sent()]):
                yield Besides(method, route.path, sent, ())
    yield from BESIDES.values()


def is_noticed(scene: Scene, call: Call, request: Besides) -> bool:
    """Whether the request records something else without the call."""
    with recordings.watched(lambda under_way: not recordings.is_in(call, under_way)):
        left = left_by(scene, request.method, request.path, request.sent)
    return left.status < 500 and left.entries != frozenset(request.recorded)
