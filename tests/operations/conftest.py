"""A site as in production: a primary and a replica of their own, gunicorn with two workers and a
sealer, each a process. What breaks here is broken for real.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.conf import settings

from dotenv_cloud.demo import embedded
from dotenv_cloud.demo.embedded import Server

METRICS_TOKEN = "a-token-that-only-prometheus-has"

SEED = """
import json, django
django.setup()
from django.db import transaction
from tests.factories import ApiKeyFactory, OrganizationFactory, ProjectFactory
with transaction.atomic():
    organization = OrganizationFactory.create(name="Acme", owner__email="o@example.org")
    token = ApiKeyFactory.create(organization=organization).token
    project = ProjectFactory.create(organization=organization)
print(json.dumps({"slug": organization.slug, "token": token, "project": project.slug}))
"""


def wait_until(holds: Callable[[], bool], within: float = 20) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


@dataclass
class Site:
    primary: Server
    replica: Server
    directory: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    slug: str = ""
    token: str = ""
    project: str = ""
    port: int = 0

    # -- Databases

    @property
    def user(self) -> pwd.struct_passwd | None:
        return embedded._system_user(self.primary)

    def query(self, sql: str, server: Server | None = None) -> Any:
        with psycopg.connect(
            (server or self.primary).url(embedded.SUPERUSER), autocommit=True
        ) as connection:
            found = connection.execute(sql)
            return found.fetchone() if found.description else None

    def follow(self) -> None:
        """Make the replica from the primary as it is now, and start it."""
        embedded._make_directories(self.replica, self.user)
        embedded._run(
            self.replica,
            self.user,
            "pg_basebackup",
            *("--host", str(self.primary.socket_dir), "--port", str(embedded.PORT)),
            *("--username", embedded.SUPERUSER, "--pgdata", str(self.replica.cluster)),
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        )
        self.start_database(self.replica)

    def start_database(self, server: Server) -> None:
        embedded._launch(server, self.user)

    def stop_database(self, server: Server, mode: str = "immediate") -> None:
        embedded._run(
            server, self.user, "pg_ctl", "stop", f"--pgdata={server.cluster}", f"--mode={mode}"
        )

    def catch_up(self) -> None:
        """Wait until the replica has what the primary has now."""
        (lsn,) = self.query("SELECT pg_current_wal_lsn()::text")
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"
        wait_until(lambda: self.query(reached, self.replica) == (True,))

    # -- Processes

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "dotenv_cloud.settings",
            "DOTENV_TEST": "1",
            "DATABASE_URL": self.primary.url(embedded.APPLICATION),
            "DATABASE_OWNER_URL": self.primary.url(embedded.OWNER),
            "DATABASE_SEALER_URL": self.primary.url(embedded.SEALER),
            "DATABASE_REPLICA_URL": self.replica.url(embedded.APPLICATION),
            "REPLICA_MAX_LAG_SECONDS": "2",
            "HEALTH_SEALING_SECONDS": "3",
            "METRICS_TOKEN": METRICS_TOKEN,
            "AUDIT_MEMORY": str(self.directory / "signed"),
            "RATE_LIMIT_API": "100000/60",
            "DATABASE_POOL": "8",
            "WEB_CONCURRENCY": "2",
            "PORT": str(self.port),
            "LOG_LEVEL": "INFO",
        }

    def run(self, *command: str, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            env=self.environment | more,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, *command: str) -> None:
        with open(self.log(name), "ab") as output:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command],
                env=self.environment,
                cwd=settings.BASE_DIR,
                stdout=output,
                stderr=output,
            )

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(30)

    def start_web(self) -> None:
        self.start("web", "-m", "gunicorn", "--config", "python:dotenv_cloud.gunicorn_config")
        wait_until(lambda: self.get("/health/live", token=None) is not None)

    def start_sealer(self) -> None:
        self.start("sealer", "manage.py", "seal", "--wait")

    def start_evidence(self) -> None:
        self.start("evidence", "manage.py", "audit_evidence", "--wait")

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    # -- HTTP

    def request(
        self, method: str, path: str, token: str | None = "", timeout: float = 30, **more: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"} if token is not None else {}
        return httpx.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            headers=headers,
            timeout=timeout,
            **more,
        )

    def get(self, path: str, token: str | None = "") -> httpx.Response | None:
        """None while nobody answers."""
        try:
            return self.request("GET", path, token)
        except httpx.TransportError:
            return None

    def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.request(method, f"/api/v1/organizations/{self.slug}{path}", **more)

    def rename(self, name: str) -> httpx.Response:
        path = f"/api/v1/{self.slug}/{self.project}"
        return self.request("PATCH", path, json={"name": name})

    def entries(self) -> dict[str, Any]:
        answer = self.api("GET", "/audit/entries?per_page=5")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def newest_change(self) -> Any:
        """What the newest change of a project's name made of it, according to the log."""
        answer = self.api("GET", "/audit/entries?action=update&type=project&per_page=1")
        data = answer.json()["data"]
        return data[0]["attributes"]["changes"]["name"][1] if data else None

    def health(self) -> tuple[int, dict[str, Any]]:
        answer = self.request("GET", "/health", METRICS_TOKEN)
        return answer.status_code, answer.json()

    def metrics(self) -> dict[str, float]:
        text = self.request("GET", "/metrics", METRICS_TOKEN).text
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}


GAPLESS = """
SELECT bool_and(n = size AND first = 1 AND last = size) FROM (
    SELECT l.size, count(e.seq) AS n, min(e.seq) AS first, max(e.seq) AS last
    FROM audit_log AS l JOIN audit_ledger AS e USING (organization_id) GROUP BY 1, organization_id
) AS logs
"""
EMPTY = "SELECT count(*) = 0 FROM audit_inbox"


def assert_sealed_without_a_gap(site: Site) -> None:
    wait_until(lambda: site.query(EMPTY) == (True,))
    assert site.query(GAPLESS) == (True,)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if settings.EMBEDDED_SERVER is None:
        pytest.skip("two servers are started here, which takes the embedded one's binaries")
    directory = tmp_path_factory.mktemp("site")
    binaries = settings.EMBEDDED_SERVER.binaries
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = Site(
        primary=embedded.at(directory / "primary", binaries, durable=False),
        replica=embedded.at(directory / "replica", binaries, durable=False),
        directory=directory,
        port=port,
    )
    site.replica.data_dir.mkdir()
    embedded.start(site.primary)
    try:
        site.run("manage.py", "migrate", "--database", "owner", "--verbosity", "0")
        for name, value in json.loads(site.run("-c", SEED)).items():
            setattr(site, name, value)
        site.follow()
        site.start_sealer()
        site.start_evidence()
        site.start_web()
        yield site
    finally:
        for name in list(site.processes):
            site.stop(name)
        if (site.replica.cluster / "postmaster.pid").exists():
            site.stop_database(site.replica)
        embedded.release(site.primary)
