"""A project of a thousand levels is rotated over HTTP while clients read and write it, while others
rotate too, and while the process that does it is killed. Its clients look at it from outside."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dotenv_cloud.demo import embedded
from tests.compat.client import Key, Sdk, SdkError, open_blob, seal
from tests.operations.conftest import Site, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LEVELS = 1000

FILL = f"""
import django
django.setup()
from django.db import transaction
from keys import blobs, crypto, data_keys, numbering, retrieval
from keys.models import Secret
from organizations.models import Environment, Project
from tests.factories import TargetFactory
with transaction.atomic():
    project = Project.objects.get()
    target = TargetFactory.create(project=project)
    key = data_keys.data_key(retrieval.active(project))
    environments = Environment.objects.bulk_create(
        Environment(organization_id=project.organization_id, target=target, name=f"env {{n}}",
                    slug=f"env-{{n}}") for n in range({LEVELS})
    )
    numbers = numbering.take(project.organization_id, {LEVELS})
    contents = [crypto.encrypt(key, b"N=%d" % n) for n in range({LEVELS})]
    Secret.objects.bulk_create(
        Secret(organization_id=project.organization_id, project=project, target=target,
               environment=environment, number=number, content=content, key_version=1,
               size_bytes=blobs.text_length(content))
        for environment, number, content in zip(environments, numbers, contents, strict=True)
    )
"""

EVERYTHING = {b"N=%d" % number for number in range(LEVELS)}
HELD = """
    SELECT json_agg(json_build_array(key_version, encode(content, 'base64'))) FROM keys_secret
"""
# The application's own, and held for long: the sealer always has one.
IS_ROTATING = f"""
    SELECT EXISTS (
        SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
        AND usename = '{embedded.APPLICATION}' AND backend_xid IS NOT NULL
        AND xact_start < clock_timestamp() - interval '200 ms'
    )
"""

ROTATIONS = "SELECT count(*) FROM audit_entry WHERE action = 'rotate'"


@pytest.fixture(scope="module")
def thousand(site: Site) -> Site:
    site.run("-c", FILL)
    return site


@pytest.fixture
def sdk(thousand: Site) -> Sdk:
    return client(thousand)


def client(site: Site) -> Sdk:
    return Sdk(f"http://127.0.0.1:{site.port}", site.token, site.slug)


def contents(site: Site, key: Key) -> set[bytes]:
    """Each level's plaintext. Fails unless every blob is under this key."""
    [rows] = site.query(HELD)
    assert len(rows) == LEVELS
    assert {version for version, _ in rows} == {key.version}
    data_key = key.data_key
    return {open_blob(data_key, content.replace("\n", "")) for _, content in rows}


def workers(site: Site) -> list[int]:
    master = site.processes["web"].pid
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


@contextmanager
def rotating(site: Site) -> Iterator[Future[str]]:
    """Inside, a rotation is in the middle of its work."""
    with ThreadPoolExecutor(1) as pool:
        rotation = pool.submit(client(site).rotate_key, site.project)
        wait_until(lambda: site.query(IS_ROTATING) == (True,) or rotation.done())
        assert not rotation.done(), rotation.exception()
        yield rotation


def again_and_again(work: Callable[[], Any], until: threading.Event) -> list[Any]:
    results = [work()]
    while not until.is_set():
        results.append(work())
    return results


def test_a_killed_worker_leaves_everything_under_the_old_key(thousand: Site, sdk: Sdk) -> None:
    before, rotations = sdk.key(thousand.project), thousand.query(ROTATIONS)
    with rotating(thousand) as rotation:
        for pid in workers(thousand):
            os.kill(pid, signal.SIGKILL)
        assert isinstance(rotation.exception(60), httpx.TransportError)
    wait_until(lambda: thousand.get("/health/live", token=None) is not None)
    after = sdk.key(thousand.project)
    assert (after.version, after.key) == (before.version, before.key)
    assert contents(thousand, after) == EVERYTHING
    assert len(sdk.key_history(thousand.project)) == before.version
    assert thousand.query(ROTATIONS) == rotations
    # Nothing of it holds up the next.
    wait_until(lambda: thousand.query(IS_ROTATING) == (False,))
    assert sdk.rotate_key(thousand.project) == str(before.version + 1)
    assert thousand.query(ROTATIONS) > rotations
    assert contents(thousand, sdk.key(thousand.project)) == EVERYTHING


def test_of_two_rotations_one_succeeds_and_the_other_is_refused(thousand: Site, sdk: Sdk) -> None:
    before = sdk.key(thousand.project)
    with rotating(thousand) as rotation:
        with pytest.raises(SdkError) as refused:
            sdk.rotate_key(thousand.project)
        assert refused.value.status == 409
        assert sdk.last is not None
        assert sdk.last.json()["error"] == "rotation_in_progress"
        assert rotation.result(60) == str(before.version + 1)
    assert contents(thousand, sdk.key(thousand.project)) == EVERYTHING


def test_reading_continues_during_a_rotation(thousand: Site) -> None:
    path = f"{thousand.project}/backend/env-7"
    with rotating(thousand) as rotation, ThreadPoolExecutor(1) as pool:
        done = threading.Event()
        rotation.add_done_callback(lambda _: done.set())
        reader = client(thousand)
        pulled = pool.submit(again_and_again, lambda: pull_whole(reader, path), done)
        client(thousand).secrets(*path.split("/"))
        assert not rotation.done()
        assert set(pulled.result(60)) == {b"N=7"}


def pull_whole(sdk: Sdk, path: str) -> bytes:
    """A pull is two requests: when the key was replaced between them, both are made again."""
    for _ in range(5):
        before = sdk.key(path.split("/")[0])
        answer = sdk.secrets(*path.split("/"))
        if sdk.key(path.split("/")[0]).version == before.version:
            content = answer["data"]["attributes"]["levels"]["environment"]["content"]
            return open_blob(before.data_key, content)
    raise AssertionError("the key never stayed the same")


def test_what_is_pushed_during_a_rotation_is_under_the_new_key_or_refused(
    thousand: Site, sdk: Sdk
) -> None:
    old = sdk.key(thousand.project)
    place = {"project": thousand.project, "target": "backend"}

    def push(number: int) -> str:
        """With the key that was true when the client asked for it."""
        content = seal(old.data_key, b"N=%d" % number)
        try:
            client(thousand).store(**place, environment=f"env-{number}", content=content)
        except SdkError as error:
            assert error.status == 422, error
            assert "key" in error.message
            return "refused"
        return "stored"

    with rotating(thousand), ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(push, range(8)))
    assert set(outcomes) <= {"refused", "stored"}
    new = sdk.key(thousand.project)
    assert new.version == old.version + 1
    assert contents(thousand, new) == EVERYTHING
    fresh = seal(new.data_key, b"N=other")
    sdk.store(**place, environment="env-0", content=fresh)
    held = sdk.secrets(thousand.project, "backend", "env-0")["data"]["attributes"]["levels"]
    assert held["environment"]["content"] == fresh
