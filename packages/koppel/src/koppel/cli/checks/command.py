"""`koppel check`: report configuration errors to people, machines and support."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from koppel.cli.checks.result import CheckFinding
from koppel.cli.environment import data_directory, load_installation, load_module
from koppel.cli.options import DataDir, Port
from koppel.cli.ports import WEB_PORT
from koppel.kit import logging


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
    """Report configuration errors. The exit code is 1 when there are any."""
    logging.configure()
    home = data_directory(data_dir)
    with load_installation(home, start_database=(home / "postgres").exists()):
        all_findings: list[CheckFinding] = load_module("koppel.cli.checks.installation").run_checks(port)
        if mail_to:
            all_findings.append(load_module("koppel.cli.checks.connectivity").send_test_mail(mail_to))
        if support_bundle:
            load_module("koppel.cli.checks.support_bundle").write_bundle(support_bundle, all_findings)
    for finding in all_findings:
        if as_json:
            _print_as_json(finding)
        else:
            _print(finding)
    raise typer.Exit(0 if all(finding.is_ok for finding in all_findings) else 1)


def _print_as_json(finding: CheckFinding) -> None:
    row = {"topic": finding.topic, "ok": finding.is_ok, "text": finding.text}
    sys.stdout.write(f"{json.dumps(row, ensure_ascii=False)}\n")


def _print(finding: CheckFinding) -> None:
    console = Console()
    mark = "[red]✗[/]" if not finding.is_ok else "[yellow]![/]" if finding.is_advice else "[green]✓[/]"
    console.print(f"{mark} {finding.topic}: ", end="")
    console.print(finding.text, markup=False, highlight=False, soft_wrap=True)
