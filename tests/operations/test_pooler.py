"""Through a pooler that lends sessions by transaction, an advisory lock excludes nobody: what
relies on one refuses to run. A pooler that keeps sessions apart makes no difference to it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from dotenv_cloud.demo import embedded
from tests.conftest import Databases
from tests.operations.conftest import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listens}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
{more}
"""

Pooled = Callable[..., dict[str, str]]


@pytest.fixture
def pooled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pooled]:
    """Starts PgBouncer before this run's database; returns the addresses of the roles behind it."""
    if PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    if settings.EMBEDDED_SERVER is None:
        pytest.skip("the pooler here trusts its users, as the embedded server does")
    running = []
    user = embedded._system_user(settings.EMBEDDED_SERVER)

    def start(mode: str, more: str = "") -> dict[str, str]:
        directory = tmp_path_factory.mktemp("pooler")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = conninfo_to_dict(databases.sealer)
        users = directory / "users.txt"
        users.write_text('"dotenv_owner" ""\n"dotenv_sealer" ""\n')
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                host=server["host"],
                port=server.get("port", embedded.PORT),
                listens=port,
                users=users,
                mode=mode,
                more=more,
            )
        )
        if user is not None:
            _let_in(directory, user.pw_uid)
        log = (directory / "log").open("wb")
        process = subprocess.Popen(
            [str(PGBOUNCER), str(configuration)],
            stdout=log,
            stderr=log,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        running.append(process)
        found = {
            role: f"postgresql://{role}@127.0.0.1:{port}/{server['dbname']}"
            for role in ("dotenv_owner", "dotenv_sealer")
        }
        wait_until(lambda: _answers(found["dotenv_sealer"]))
        return found

    yield start
    for process in running:
        process.terminate()
        process.wait(10)


def _let_in(directory: Path, uid: int) -> None:
    for path in (*directory.iterdir(), directory):
        os.chown(path, uid, -1)
    for parent in directory.parents:
        if parent.stat().st_uid == os.getuid() and parent.is_relative_to("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)


def _answers(address: str) -> bool:
    try:
        psycopg.connect(address, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def manage(databases: Databases, pooled: dict[str, str], *command: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        env=os.environ
        | databases.environment
        | {
            "DJANGO_SETTINGS_MODULE": "dotenv_cloud.settings",
            "DATABASE_OWNER_URL": pooled["dotenv_owner"],
            "DATABASE_SEALER_URL": pooled["dotenv_sealer"],
            "RETENTION_MONTHS": "6",
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


REFUSED = "through a pooler that shares sessions between transactions"


@pytest.mark.parametrize("command", ["seal --once", "seal --wait", "audit_pack", "audit_retention"])
def test_commands_that_lock_refuse_a_pooler_by_transaction(
    databases: Databases, pooled: Pooled, command: str
) -> None:
    code, said = manage(databases, pooled("transaction"), *command.split())
    assert (code, REFUSED in said) == (1, True), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("transaction", "default_pool_size = 1"),
        ("transaction", "server_round_robin = 1\nmin_pool_size = 4"),
        ("statement", ""),
    ],
)
def test_however_the_pool_is_used(
    databases: Databases, pooled: Pooled, mode: str, more: str
) -> None:
    code, said = manage(databases, pooled(mode, more), "seal", "--once")
    assert (code, REFUSED in said) == (1, True), said


def test_a_pooler_by_session_is_as_good_as_none(databases: Databases, pooled: Pooled) -> None:
    code, said = manage(databases, pooled("session"), "seal", "--once")
    assert (code, "Sealed 0 entries." in said) == (0, True), said
