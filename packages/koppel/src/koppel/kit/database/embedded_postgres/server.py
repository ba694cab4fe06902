"""PostgreSQL in a data directory: created on first use, started, restarted after a crash, stopped.

The directory contains `cluster/` (PostgreSQL's), `access.json` (passwords and port, 0600), `postgres.log` and
`lock`. One process owns it; the server is that process's child and ends with it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from koppel.kit.database.embedded_postgres.binaries import Binaries, find_binaries
from koppel.kit.database.embedded_postgres.credentials import (
    DATABASE_PORTS,
    SUPERUSER,
    Addresses,
    DirectoryLock,
    ServerCredentials,
    choose_free_port,
    is_free,
)
from koppel.kit.database.embedded_postgres.database_roles import create_database_and_roles
from koppel.kit.database.embedded_postgres.errors import EmbeddedPostgresError, OtherMajorVersion, StartFailed
from koppel.kit.database.embedded_postgres.failure_reason import failure_reason
from koppel.kit.database.embedded_postgres.os_user import OsUser, choose_os_user, make_folder
from koppel.kit.database.embedded_postgres.reader_processes import ReaderProcesses
from koppel.kit.database.embedded_postgres.stale_processes import clear_stale_pid_file
from koppel.kit.database.health.service_notifications import notify

CONNECTIONS_MAX = 300
READY_SECONDS = 60
"""How long a start may take without any sign of life from the server."""
RETRY_SECONDS = 20
"""How long a start is retried: after `kill -9` the old server's children hold its shared memory for a
moment.
"""
STOP_SECONDS = 15
LOG_BYTES_MAX = 10 * 1024 * 1024


class EmbeddedPostgres:
    """An embedded server.

    `port` None: the previous port when it is free, else any free one. `durable=False` gives up crash safety
    for speed, in tests.
    """

    def __init__(self, data_dir: Path, port: int | None = None, *, durable: bool = True) -> None:
        self.data_dir = data_dir.absolute()
        self._fixed_port = port
        self._durable = durable
        self._lock = DirectoryLock(self.data_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._credentials: ServerCredentials | None = None
        self._os_user: OsUser | None = None
        self._binaries: Binaries | None = None
        self._reader_processes: ReaderProcesses | None = None

    def start(self) -> Addresses:
        """Start the server, on first use create the database; return its addresses.

        Raises `EmbeddedPostgresError`.
        """
        if self._process is not None and self._process.poll() is None:
            return self.addresses
        make_folder(self.data_dir)
        self._lock.acquire()
        try:
            self._prepare()
            self._launch()
            create_database_and_roles(self._required_credentials)
        except BaseException:
            self.stop()
            raise
        return self.addresses

    def ensure_running(self) -> bool:
        """Restart the server on the same port if it has died; return whether it had.

        Raises `EmbeddedPostgresError`.
        """
        if self._process is None:
            raise EmbeddedPostgresError("The embedded database was never started.")
        if self._process.poll() is None:
            return False
        self._launch()
        return True

    def stop(self) -> None:
        """End the server's sessions, write a checkpoint and stop it. Does nothing when it is not running."""
        process, self._process = self._process, None
        self._stop_reader_processes()
        try:
            if process is not None:
                _terminate(process)
        finally:
            self._lock.release()

    @property
    def addresses(self) -> Addresses:
        return self._required_credentials.addresses

    @property
    def pid(self) -> int | None:
        """The process id of the server, while this process owns it."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _cluster(self) -> Path:
        return self.data_dir / "cluster"

    @property
    def _log(self) -> Path:
        return self.data_dir / "postgres.log"

    @property
    def _required_credentials(self) -> ServerCredentials:
        if self._credentials is None:
            raise EmbeddedPostgresError("The embedded database was never started.")
        return self._credentials

    def _prepare(self) -> None:
        self._binaries = find_binaries()
        self._os_user = choose_os_user(self._cluster, self._binaries.directory)
        file = self.data_dir / "access.json"
        if self._cluster.exists():
            _require_same_major(self._cluster, self._os_user, self._binaries.major)
            clear_stale_pid_file(self._cluster)
            credentials = ServerCredentials.read(file)
            if credentials is None:
                raise EmbeddedPostgresError(
                    f"{file} is missing; restore it from the backup of the data directory."
                )
        else:
            credentials = ServerCredentials.read(file) or ServerCredentials.generate(0)
            credentials.write(file)
            _initialise(self._cluster, self._binaries, self._os_user, credentials, durable=self._durable)
        last = credentials.port if credentials.port and is_free(credentials.port) else None
        port = self._fixed_port or last or choose_free_port(DATABASE_PORTS)
        self._credentials = credentials.with_port(port)
        self._credentials.write(file)
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES_MAX:
            self._log.replace(self._log.with_suffix(".log.old"))

    def _launch(self) -> None:
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            clear_stale_pid_file(self._cluster)
            log_begins = self._log.stat().st_size if self._log.exists() else 0
            self._process = self._spawn()
            if self._becomes_ready(self._process):
                self._stop_reader_processes()
                self._reader_processes = ReaderProcesses(self._process.pid)
                self._reader_processes.start()
                return
            if time.monotonic() > deadline:
                reason = failure_reason(self.data_dir, log_begins)
                raise StartFailed(f"The embedded database did not start: {reason}")
            time.sleep(0.1)

    def _stop_reader_processes(self) -> None:
        if self._reader_processes is not None:
            self._reader_processes.stop()
            self._reader_processes = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        if self._binaries is None or self._os_user is None:
            raise EmbeddedPostgresError("The embedded database was never started.")
        options = {**_options(self._required_credentials.port), **({} if self._durable else _NOT_DURABLE)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [self._binaries.program("postgres"), "-D", str(self._cluster), *arguments]
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            return self._os_user.popen(command, dies_with_us=True, output=log)

    def _becomes_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while process.poll() is None:
            try:
                psycopg.connect(self._required_credentials.maintenance_url, connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if any(message in str(error) for message in _STARTING_MESSAGES):
                    deadline = time.monotonic() + READY_SECONDS
                notify(WATCHDOG=1)
                if time.monotonic() > deadline:
                    raise StartFailed(
                        f"The embedded database started but does not answer; see {self._log}."
                    ) from None
                time.sleep(0.02)
            else:
                return process.poll() is None
        return False


def running_addresses(data_dir: Path) -> Addresses | None:
    """Return the addresses of a server that another process runs in this data directory.

    None when no server answers.
    """
    credentials = ServerCredentials.read(data_dir.absolute() / "access.json")
    if credentials is None:
        return None
    try:
        psycopg.connect(credentials.addresses.superuser_url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return None
    return credentials.addresses


_STARTING_MESSAGES = ("is starting up", "not yet accepting connections", "in recovery mode")
"""Messages during recovery after a crash, which may take minutes; stopping the server would restart the
recovery.
"""
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def _options(port: int) -> dict[str, str]:
    return {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(CONNECTIONS_MAX),
        "shared_buffers": "256MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "max_wal_size": "2GB",
        "jit": "off",  # compiling a policy's subplan costs more than the short queries it serves
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "tcp_keepalives_idle": "15",
        "client_connection_check_interval": "10s",  # a statement whose client has gone ends
    }


def _initialise(
    cluster: Path, binaries: Binaries, os_user: OsUser, credentials: ServerCredentials, *, durable: bool
) -> None:
    """Run `initdb` in a temporary folder and rename it when complete.

    An incomplete cluster is therefore never started.
    """
    fresh = cluster.with_name("cluster.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    password = cluster.with_name("password.new")
    password.touch(mode=0o600)
    password.write_text(credentials.superuser_password)
    os_user.chown(fresh)
    os_user.chown(password)
    try:
        result = os_user.run(_initdb_command(binaries, fresh, password, durable=durable))
    finally:
        password.unlink()
    if result.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise StartFailed(f"The embedded database could not be made: {result.stderr.strip()[-400:]}")
    fresh.rename(cluster)


def _initdb_command(binaries: Binaries, cluster: Path, password: Path, *, durable: bool) -> list[str]:
    command = [binaries.program("initdb"), "-D", str(cluster), "-U", SUPERUSER, f"--pwfile={password}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    if binaries.major >= 17:
        # Sort by bytes; lower() and upper() by Unicode: the same on every machine.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return command if durable else [*command, "--no-sync"]


def _require_same_major(cluster: Path, os_user: OsUser, major: int) -> None:
    result = os_user.run(["cat", str(cluster / "PG_VERSION")])
    written_by = result.stdout.strip()
    if written_by != str(major):
        raise OtherMajorVersion(
            f"The database in {cluster} was written by PostgreSQL {written_by or 'of an unknown version'} "
            f"and this Koppel"
            f" brings PostgreSQL {major}; nothing was changed. Run the Koppel that wrote it, "
            f"or move the data over as"
            ' docs/operations.md says under "Another major version".'
        )


def _terminate(process: subprocess.Popen[bytes]) -> None:
    for stop_signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(stop_signal)
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return
