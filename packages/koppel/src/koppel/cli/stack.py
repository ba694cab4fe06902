"""A whole Koppel on this machine: database, migrations, sandbox, web, workers. `up`, the demo and the browser
tests use it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from koppel.cli.backup.daily_backup import BackupSchedule, backup_directory, parse_backup_time
from koppel.cli.demo.sandbox import require_sandbox, sandbox_command
from koppel.cli.environment import (
    embedded_database_variables,
    environment_without_secrets,
    external_database_variables,
    has_external_database,
    installation_environment,
    require_secrets_of,
    restrict_permissions,
    stop_seconds,
    store_address,
    web_environment,
    worker_environment,
)
from koppel.cli.ports import LOOPBACK, SANDBOX_PORT, WEB_PORT, require_free, responds, wait_until
from koppel.cli.supervision.supervisor import Program, Supervisor
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import EmbeddedPostgres
from koppel.kit.database.health.service_notifications import notify_ready, notify_stopping
from koppel.kit.http.calls_in_progress import TOKEN_CALLS
from koppel.kit.web import paths

READY_SECONDS = 60
SEPARATE_LOGS = "logs"


@dataclass(frozen=True)
class StackOptions:
    """`sandbox_port` None: no sandbox and no demo firm. `log_to_files`: the programs write to files of the
    data directory. `quarantined`: set in the database before web and workers start.
    """

    home: Path
    host: str = LOOPBACK
    web_port: int = WEB_PORT
    web_workers: int = 1
    workers: int = 1
    concurrency: int = 20
    sandbox_port: int | None = None
    sandbox_arguments: tuple[str, ...] = ()
    public_url: str | None = None
    log_to_files: bool = False
    quarantined: bool = False


@dataclass(frozen=True)
class SignIn:
    """An account of the demo, as printed."""

    email: str
    name: str
    role: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class DemoAccounts:
    """The accounts, here and at the sandbox."""

    people: tuple[SignIn, ...] = ()
    sandbox_user: str = ""
    sandbox_password: str = field(default="", repr=False)


class Stack:
    """Start, watch, stop. Everything it starts ends with it."""

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self.facts = DemoAccounts()
        self.installation_state = self.quarantine = ""
        self.environment: dict[str, str] = {}
        self.supervisor = Supervisor(None)
        self._postgres: EmbeddedPostgres | None = None
        self._backups: BackupSchedule | None = None

    @property
    def public_url(self) -> str:
        return self.environment["KOPPEL_PUBLIC_URL"]

    @property
    def sandbox_url(self) -> str:
        return f"http://{LOOPBACK}:{self.options.sandbox_port or SANDBOX_PORT}"

    def start(self) -> None:
        """Start everything; return when web and sandbox answer. Raises `CommandError` or
        `EmbeddedPostgresError`.
        """
        self._check_requirements()
        try:
            self._start_database()
            if self.options.sandbox_port is not None:
                self._keep_running(
                    "sandbox", self._sandbox_command(), environment_without_secrets(self.environment)
                )
            self.facts = self._prepare()
            self._keep_running("web", self._web_command(), web_environment(self.environment), is_watched=True)
            environment = worker_environment(self.environment)
            for number in range(1, self.options.workers + 1):
                self._keep_running(f"worker-{number}", self._worker_command(), environment, is_watched=True)
            self._wait_until_ready()
            self._schedule_backups()
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Say that all is ready, and restart dead and hung programs until interrupted."""
        notify_ready()
        self.supervisor.watch()

    def stop(self) -> None:
        """Stop the programs first, the database last."""
        notify_stopping()
        if self._backups is not None:
            self._backups.close()
        self.supervisor.stop()
        if self._postgres is not None:
            self._postgres.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _check_requirements(self) -> None:
        require_free(self.options.web_port, "--port")
        parse_backup_time(os.environ)
        if self.options.sandbox_port is not None:
            require_free(self.options.sandbox_port, "--sandbox-port")
            require_sandbox()

    def _start_database(self) -> None:
        home, port = self.options.home, self.options.web_port
        restrict_permissions(home)
        if has_external_database():
            database: Mapping[str, str] = external_database_variables(waits=True)
        else:
            self._postgres = EmbeddedPostgres(home / "postgres")
            database = embedded_database_variables(self._postgres.start())
        require_secrets_of(database, home)
        public_url = (
            self.options.public_url or os.environ.get("KOPPEL_PUBLIC_URL") or f"http://localhost:{port}"
        )
        self.environment = {**os.environ, **installation_environment(home, public_url=public_url), **database}
        store_address(home, public_url)
        if self.options.sandbox_port is not None:
            self.environment.setdefault("KOPPEL_DEMO", "1")
            self.environment.setdefault("KOPPEL_STYLEGUIDE", "1")
            self.environment.setdefault("KOPPEL_REGISTERS_URL", f"{self.sandbox_url}/registers")
        self.supervisor = Supervisor(self._postgres, home / TOKEN_CALLS, stop_seconds(self.environment))

    def _schedule_backups(self) -> None:
        daily_at = parse_backup_time(self.environment)
        if daily_at is not None:
            directory = backup_directory(self.options.home, self.environment)
            command = [*_KOPPEL, "backup"]
            self._backups = BackupSchedule(command, self.environment, directory, daily_at).start()

    def _prepare(self) -> DemoAccounts:
        """Run migrations and create the demo firm in a separate process, so that this one stays small and
        free of Django.

        Also returns the `installation_state`, see `organisations.bootstrap`.
        """
        command = [*_KOPPEL, "prepare"]
        if self.options.sandbox_port is not None:
            command += ["--demo-sandbox-url", self.sandbox_url]
        if self.options.quarantined:
            command += ["--quarantined"]
        process = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if process.returncode != 0:
            error_lines = [line for line in process.stderr.splitlines() if line.strip()] or [
                "it said nothing"
            ]
            if process.returncode != 2:  # not a sentence for the user: show all of it
                sys.stderr.write(process.stderr)
            raise CommandError(
                error_lines[-1]
                if process.returncode == 2
                else f"The database could not be prepared: {error_lines[-1]}"
            )
        report = json.loads(process.stdout) if process.stdout.strip() else {}
        self.installation_state, self.quarantine = (
            report.pop("installation_state", ""),
            report.pop("quarantine", ""),
        )
        people = tuple(SignIn(**person) for person in report.pop("people", ()))
        return DemoAccounts(people=people, **report)

    def _keep_running(
        self, name: str, command: list[str], environment: Mapping[str, str], *, is_watched: bool = False
    ) -> None:
        output = self.options.home / SEPARATE_LOGS / f"{name}.log" if self.options.log_to_files else None
        self.supervisor.start(Program(name, command, environment, output, is_watched))

    def _sandbox_command(self) -> list[str]:
        return sandbox_command("--port", str(self.options.sandbox_port), *self.options.sandbox_arguments)

    def _web_command(self) -> list[str]:
        port, workers = str(self.options.web_port), str(self.options.web_workers)
        return [*_KOPPEL, "web", "--host", self.options.host, "--port", port, "--workers", workers]

    def _worker_command(self) -> list[str]:
        return [*_KOPPEL, "worker", "--concurrency", str(self.options.concurrency)]

    def _wait_until_ready(self) -> None:
        if not wait_until(self._is_ready, READY_SECONDS):
            silent = "web" if not responds(self.options.web_port, paths.READY) else "sandbox"
            program = next(running for running in self.supervisor.programs if running.name == silent)
            raise CommandError(f"The {silent} program does not answer: {program.last_output_line()}")

    def _is_ready(self) -> bool:
        for program in self.supervisor.programs:
            if not program.is_running:
                raise CommandError(f"The {program.name} program did not start: {program.last_output_line()}")
        sandbox = self.options.sandbox_port
        return responds(self.options.web_port, paths.READY) and (sandbox is None or responds(sandbox, "/"))


_KOPPEL = [sys.executable, "-m", "koppel.cli"]
