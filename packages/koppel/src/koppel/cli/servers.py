"""`koppel up`, `web`, `worker` and `sandbox`: programs that run until they are stopped."""

import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer
from django.conf import settings
from rich.console import Console

from koppel.cli import first_steps
from koppel.cli.demo.sandbox import SANDBOX_MODULE, require_sandbox
from koppel.cli.environment import (
    OWNER_VARIABLE,
    PRIVILEGED_VARIABLES,
    begin_quarantine,
    data_directory,
    environment_without_secrets,
    export_environment,
    external_database_variables,
    has_external_database,
    installation_environment,
    load_installation,
    load_module,
    set_up_django,
    stop_seconds,
    web_environment,
)
from koppel.cli.options import DataDir, Host, Port, Quarantined
from koppel.cli.ports import LOOPBACK, WEB_PORT, require_free
from koppel.cli.stack import Stack, StackOptions
from koppel.cli.supervision.supervisor import interrupt_on_signals
from koppel.kit import logging

WEB_THREADS = "KOPPEL_WEB_THREADS"
CONNECTIONS_MAX = 4096
"""Of one web process, slow ones included."""
HEADER_SECONDS = 10
"""So long a client may take to send its headers."""
Workers = Annotated[int, typer.Option("--workers", min=1, help="Worker processes.")]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, help="Administrations that one worker syncs at a time.")
]


def up(
    data_dir: DataDir = None,
    host: Host = LOOPBACK,
    port: Port = WEB_PORT,
    web_workers: Annotated[int, typer.Option(min=1, help="Web processes.")] = 1,
    workers: Workers = 1,
    concurrency: Concurrency = 20,
    quarantined: Quarantined = False,
) -> None:
    """Run everything: the embedded PostgreSQL (unless DATABASE_URL is set), migrations, web and workers."""
    logging.configure()
    stack = Stack(
        StackOptions(
            home=data_directory(data_dir),
            host=host,
            web_port=port,
            web_workers=web_workers,
            workers=workers,
            concurrency=concurrency,
            quarantined=quarantined,
        )
    )
    console = Console(stderr=True)
    try:
        with interrupt_on_signals(), stack:
            console.print(f"Koppel runs at [bold]{stack.public_url}[/]. Ctrl-C stops it.")
            if stack.quarantine:
                console.print(stack.quarantine, markup=False, highlight=False, soft_wrap=True)
            for line in first_steps.describe_first_steps(stack.installation_state, stack.environment, host):
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            stack.watch()
    except KeyboardInterrupt:
        console.print("Koppel has stopped.")


def web(
    data_dir: DataDir = None,
    host: Host = LOOPBACK,
    port: Port = WEB_PORT,
    workers: Annotated[int, typer.Option(min=1, help="Web processes.")] = 1,
    threads: Annotated[
        int,
        typer.Option(min=1, envvar=WEB_THREADS, help="Requests that one process works on at a time."),
    ] = 8,
    quarantined: Quarantined = False,
) -> None:
    """Serve the web pages and the REST API."""
    require_free(port, "--port")
    logging.configure()
    prepare_environment(data_directory(data_dir))
    _remove_other_variables(web_environment(os.environ))
    _require_startable()
    if quarantined:
        begin_quarantine()
    # A web process ends when it no longer waits for a token, see `connections.vault.graceful_shutdown`.
    os.environ[WEB_THREADS] = str(threads)
    os.environ["KOPPEL_PROCESS"] = "web"
    patience = str(math.ceil(stop_seconds(os.environ)) + 10)
    _exec_module(
        "granian",
        *("--interface", "asgi", "--host", host, "--port", str(port), "--workers", str(workers)),
        *("--loop", "asyncio", "--backpressure", str(CONNECTIONS_MAX), "--backlog", str(CONNECTIONS_MAX)),
        *("--http1-header-read-timeout", str(HEADER_SECONDS * 1000), "--no-ws", "--http", "1"),
        *("--respawn-failed-workers", "--workers-kill-timeout", patience, "--log-level", "error"),
        "koppel.web.asgi:application",
    )


def worker(data_dir: DataDir = None, concurrency: Concurrency = 20, quarantined: Quarantined = False) -> None:
    """Process the queue: syncs, notifications, the schedule. Run any number, on any machine."""
    logging.configure()
    os.environ["KOPPEL_PROCESS"] = "worker"
    if [name for name in PRIVILEGED_VARIABLES if os.environ.pop(name, None)]:
        # Begin anew without them: what a process was started with stays readable in /proc.
        _exec_module("koppel.cli", *sys.argv[1:])
    with load_installation(data_directory(data_dir), start_database=False, waits=True):
        os.environ.pop(OWNER_VARIABLE, None)
        _require_startable()
        if quarantined:
            begin_quarantine()
        if not settings.SENDS_MAIL:
            structlog.get_logger(__name__).warning("mail_not_sent", directory=settings.EMAIL_FILE_PATH)
        load_module("koppel.sync.worker.process").main(concurrency)


def execute_run(data_dir: DataDir = None) -> None:
    """Execute the run that a worker gives on standard input, in a process of its own."""
    logging.configure()
    os.environ["KOPPEL_PROCESS"] = "worker"
    with load_installation(data_directory(data_dir), start_database=False):
        load_module("koppel.sync.worker.isolated_run").main()


def _require_startable() -> None:
    load_module("koppel.cli.checks.requirements").require_startable()


def sandbox(context: typer.Context) -> None:
    """Run the sandbox, which plays the vendor. Arguments go to `python -m koppel_sandbox`; see its --help."""
    require_sandbox()
    _remove_other_variables(environment_without_secrets(os.environ))
    _exec_module(SANDBOX_MODULE, *context.args)


def _remove_other_variables(environment: Mapping[str, str]) -> None:
    """Remove from this process's environment what is not in the given one."""
    for name in set(os.environ) - set(environment):
        del os.environ[name]


def prepare_environment(home: Path) -> None:
    """Set this process's environment, and load Django. Waits for the database."""
    if has_external_database():
        export_environment(
            {**installation_environment(home, generate=False), **external_database_variables(waits=True)}
        )
        set_up_django()
    else:
        load_installation(home, start_database=False)


def _exec_module(module: str, *arguments: str) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - our own interpreter
