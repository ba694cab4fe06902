"""`koppel demo` and `koppel demo-once`: everything on one machine, with a made-up firm and the sandbox as
vendor.
"""

import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table

from koppel.cli.demo.smoke_run import SmokeRun, run
from koppel.cli.environment import DEMO_DATA_DIRECTORY, data_directory
from koppel.cli.ports import SANDBOX_PORT, WEB_PORT
from koppel.cli.stack import Stack, StackOptions
from koppel.cli.supervision.supervisor import interrupt_on_signals
from koppel.kit import logging
from koppel.kit.database.embedded_postgres import choose_free_port

Sie = Annotated[
    Path | None,
    typer.Option(
        "--sie", exists=True, help="A folder of SIE type 4 files; each becomes a company of the sandbox."
    ),
]
Companies = Annotated[int, typer.Option("--companies", min=0, help="Generated companies in the sandbox.")]
Quarantined = Annotated[
    bool, typer.Option("--quarantined", help="Start in quarantine, as a restored copy would.")
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Worker processes.")]


def demo(
    port: Annotated[int, typer.Option("--port", help="Port of Koppel.")] = WEB_PORT,
    sandbox_port: Annotated[int, typer.Option("--sandbox-port", help="Port of the sandbox.")] = SANDBOX_PORT,
    sie: Sie = None,
    companies: Companies = 40,
    workers: Workers = 1,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Data directory [KOPPEL_DATA_DIR, else ./data/demo].")
    ] = None,
    quarantined: Quarantined = False,
) -> None:
    """Start everything with a demo firm and a sandbox; print address and sign-ins; Ctrl-C stops it, the data
    stays.
    """
    logging.configure()
    console, began = Console(), time.monotonic()
    stack = Stack(
        StackOptions(
            home=data_directory(data_dir, DEMO_DATA_DIRECTORY),
            web_port=port,
            workers=workers,
            sandbox_port=sandbox_port,
            sandbox_arguments=sandbox_arguments(companies, sie),
            public_url=f"http://localhost:{port}",
            log_to_files=True,
            quarantined=quarantined,
        )
    )
    try:
        with interrupt_on_signals(), ExitStack() as until_done:
            with console.status("Starting Koppel, the sandbox and a worker …"):
                until_done.enter_context(stack)
            console.print(_welcome(stack, time.monotonic() - began))
            stack.watch()
    except KeyboardInterrupt:
        console.print("The demo has stopped. Its data stays where it is.")


def demo_once(
    administrations: Annotated[
        int, typer.Option("--administrations", min=1, help="How many to import.")
    ] = 40,
    sie: Sie = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    workers: Workers = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data directory and print its path.")] = False,
    timeout_seconds: Annotated[
        float, typer.Option("--timeout", help="Give up after this many seconds.")
    ] = 900,
) -> None:
    """Do the whole main job without a person, beside other instances. Exit code 0 when every administration
    is active.
    """
    logging.configure()
    home = Path(tempfile.mkdtemp(prefix="koppel-demo-once-"))
    web_port, sandbox_port = choose_free_port(), choose_free_port()
    stack = Stack(
        StackOptions(
            home=home,
            web_port=web_port,
            workers=workers,
            sandbox_port=sandbox_port,
            sandbox_arguments=sandbox_arguments(administrations, sie),
            public_url=f"http://localhost:{web_port}",
            log_to_files=True,
        )
    )
    try:
        with interrupt_on_signals(), stack:
            code = _run_once(stack, as_json=as_json, timeout_seconds=timeout_seconds)
    except KeyboardInterrupt:
        code = 130
    finally:
        if keep:
            Console(stderr=True).print(f"Data and logs: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    raise typer.Exit(code)


def sandbox_arguments(companies: int, sie: Path | None) -> tuple[str, ...]:
    """Return the flags of `python -m koppel_sandbox` besides the port."""
    return ("--companies", str(companies), *(("--sie", str(sie.absolute())) if sie else ()))


def _run_once(stack: Stack, *, as_json: bool, timeout_seconds: float) -> int:
    job = SmokeRun(
        public_url=stack.public_url,
        sandbox_url=stack.sandbox_url,
        facts=stack.facts,
        on_poll=stack.supervisor.restart_dead_programs,
        timeout_seconds=timeout_seconds,
    )
    return run(job, as_json=as_json)


def _welcome(stack: Stack, seconds: float) -> Panel:
    people = Table("Sign in with", "Password", "Role", box=None, pad_edge=False)
    for person in stack.facts.people:
        people.add_row(person.email, person.password, person.role)
    sandbox = (
        f"Visma.net is played by the sandbox at {stack.sandbox_url}\n"
        f"Its user: [bold]{stack.facts.sandbox_user}[/]   password: [bold]{stack.facts.sandbox_password}[/]"
    )
    places = f"Mail that Koppel sends: {stack.options.home / 'mail'}\nLogs and data: {stack.options.home}"
    text = Group(f"Open  [bold]{stack.public_url}[/]\n", people, f"\n{sandbox}\n\n{places}")
    return Panel(
        text, title="Koppel demo", subtitle=f"ready in {seconds:.1f} s, Ctrl-C stops it", expand=False
    )
