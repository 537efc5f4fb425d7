"""The page of what each route records is measured: each is walked, by somebody who may."""

from __future__ import annotations

from typing import Any

import pytest

from audit.coverage.declared import ROUTES
from audit.coverage.routes import ANY, all_routes
from dotenv_cloud.environment import Limit
from tests.promises.walk import REQUESTS, Left, Scene, Sent, left_by, make_scene

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REFUSED = frozenset({("access", "endpoint")})


@pytest.fixture
def scene(transactional_db: None, settings: Any) -> Scene:
    settings.RATE_LIMITS = {
        name: Limit(limit.requests if name.startswith("sign_in") else 100_000, limit.seconds)
        for name, limit in settings.RATE_LIMITS.items()
    }
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
    """HEAD tells the length of an answer: it records what GET records, or is refused."""
    status, found = left_by(scene, "HEAD", path, sent)
    if found == by_get.pairs if status < 400 else found <= REFUSED:
        return []
    return [f"HEAD {path} (answers {status}): recorded {sorted(found)}"]
