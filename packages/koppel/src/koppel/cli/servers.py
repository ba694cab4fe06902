"""`koppel up`, `web`, `worker`, `migrate`, `check`, `sandbox`: run Koppel, and report what is wrong."""

import json
import math
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer
from django.conf import settings
from rich.console import Console

from koppel.cli import first_steps
from koppel.cli.checks.result import Finding
from koppel.cli.demo.sandbox import SANDBOX_MODULE, require_sandbox
from koppel.cli.environment import (
    data_directory,
    export_environment,
    external_database,
    has_external_database,
    installation,
    load_installation,
    load_module,
    set_up_django,
    stop_seconds,
)
from koppel.cli.ports import LOOPBACK, WEB_PORT, require_free
from koppel.cli.stack import Stack, StackOptions
from koppel.cli.supervisor import stoppable
from koppel.kit import logging

PREPARATION = "koppel.cli.preparation"
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data directory [KOPPEL_DATA_DIR, else ./data].")
]
Port = Annotated[int, typer.Option("--port", help="Port of the web.")]
Host = Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.")]
Quarantined = Annotated[
    bool,
    typer.Option(
        "--quarantined",
        help="Put the installation into quarantine first: nothing leaves it. Use it for every restored copy.",
    ),
]
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
        with stoppable(), stack:
            console.print(f"Koppel runs at [bold]{stack.public_url}[/]. Ctrl-C stops it.")
            if stack.quarantine:
                console.print(stack.quarantine, markup=False, highlight=False, soft_wrap=True)
            for line in first_steps.lines(stack.installation_state, stack.environment, host):
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            stack.watch()
    except KeyboardInterrupt:
        console.print("Koppel has stopped.")


def web(
    data_dir: DataDir = None,
    host: Host = LOOPBACK,
    port: Port = WEB_PORT,
    workers: Annotated[int, typer.Option(min=1, help="Web processes.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Requests that one process answers at a time.")] = 8,
    quarantined: Quarantined = False,
) -> None:
    """Serve the web pages and the REST API."""
    require_free(port, "--port")
    enter_environment_only(data_directory(data_dir))
    if quarantined:
        logging.configure()
        set_up_django()
        _begin_quarantine()
    # A web process ends when it no longer waits for a token, see `connections.vault.graceful_shutdown`.
    patience = str(math.ceil(stop_seconds(os.environ)) + 10)
    _become_program(
        "granian",
        *("--interface", "wsgi", "--host", host, "--port", str(port), "--workers", str(workers)),
        *("--blocking-threads", str(threads), "--no-ws", "--http", "auto", "--respawn-failed-workers"),
        *("--workers-kill-timeout", patience, "--log-level", "error", "koppel.web.wsgi:application"),
    )


def worker(data_dir: DataDir = None, concurrency: Concurrency = 20, quarantined: Quarantined = False) -> None:
    """Process the queue: syncs, notices, the schedule. Run any number, on any machine."""
    logging.configure()
    with load_installation(data_directory(data_dir), start_database=False):
        if quarantined:
            _begin_quarantine()
        if not settings.SENDS_MAIL:
            structlog.get_logger(__name__).warning("mail_not_sent", directory=settings.EMAIL_FILE_PATH)
        load_module("koppel.sync.worker.process").main(concurrency)


def migrate(data_dir: DataDir = None) -> None:
    """Create or upgrade the tables, as the role that owns them (KOPPEL_OWNER_DATABASE_URL)."""
    with load_installation(data_directory(data_dir), start_database=True, generate=True):
        load_module(PREPARATION).migrate(verbosity=1)
    Console(stderr=True).print("All migrations are applied.")


def prepare(demo_sandbox_url: Annotated[str, typer.Option()] = "", quarantined: Quarantined = False) -> None:
    """Migrate, start the quarantine if requested, and create the demo firm if there is a sandbox.

    Prints the facts of the demo, and who is here, as JSON."""
    logging.configure()
    with load_installation(data_directory(None), start_database=False):
        preparation = load_module(PREPARATION)
        preparation.migrate()
        if quarantined:
            _begin_quarantine()
        facts = (
            preparation.seed_demo(demo_sandbox_url, os.environ["KOPPEL_PUBLIC_URL"])
            if demo_sandbox_url
            else {}
        )
        facts["installation_state"] = preparation.installation_state()
        facts["quarantine"] = preparation.quarantine_sentence()
    sys.stdout.write(json.dumps(facts))


def check(
    data_dir: DataDir = None,
    port: Port = WEB_PORT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per finding.")] = False,
    support_bundle: Annotated[
        Path | None,
        typer.Option(help="Also write a ZIP for support: versions, settings, counts; no secrets."),
    ] = None,
    mail_to: Annotated[str, typer.Option("--mail-to", help="Also send a test mail to this address.")] = "",
) -> None:
    """Report what is configured wrongly. Exit code 1 when something is."""
    logging.configure()
    home = data_directory(data_dir)
    with load_installation(home, start_database=(home / "postgres").exists()):
        results: list[Finding] = load_module("koppel.cli.checks.installation").findings(port)
        if mail_to:
            results.append(load_module("koppel.cli.checks.connectivity").try_mail(mail_to))
        if support_bundle:
            load_module("koppel.cli.checks.support_bundle").write_bundle(support_bundle, results)
    console = Console()
    for finding in results:
        if as_json:
            sys.stdout.write(
                json.dumps(
                    {"topic": finding.topic, "ok": finding.is_well, "text": finding.text}, ensure_ascii=False
                )
                + "\n"
            )
        else:
            mark = (
                "[red]✗[/]" if not finding.is_well else "[yellow]![/]" if finding.is_advice else "[green]✓[/]"
            )
            console.print(f"{mark} {finding.topic}: ", end="")
            console.print(finding.text, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if all(finding.is_well for finding in results) else 1)


def sandbox(context: typer.Context) -> None:
    """Run the sandbox, which plays the vendor. Arguments go to `python -m koppel_sandbox`; see its --help."""
    require_sandbox()
    _become_program(SANDBOX_MODULE, *context.args)


def enter_environment_only(home: Path) -> None:
    """Set this process's environment for a program that loads Django itself."""
    if has_external_database():
        export_environment({**installation(home, generate=False), **external_database()})
    else:
        load_installation(home, start_database=False)


def _begin_quarantine() -> None:
    load_module("koppel.cli.commands.quarantine").begin()


def _become_program(module: str, *arguments: str) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - our own interpreter
