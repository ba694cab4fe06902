"""Collects all output of the commands of `koppel`: tables, JSON, refusals and failures."""

import io
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import click

from koppel.administrations.models import Administration
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from tests.cli.test_permissions import NEVER_ENDS, acts_as_somebody, build_arguments, commands
from tests.fixtures.stack import Connected

WELL = (("check",), ("check", "--json"), ("migrate",))
AMISS = (("check",), ("keys", "status"), ("connections", "list"))
URLS = ("DATABASE_URL", "KOPPEL_OWNER_DATABASE_URL")
DESTROYS_LAST = (
    "connections delete",
    "administrations erase",
    "administrations withdraw",
    "administrations offboard",
)


def all_command_output(firm: Connected) -> str:
    """By every command about this firm, and by the programs where something is wrong with what surrounds
    them.
    """
    said = "\n".join([*_run_commands(firm), *_run_programs(firm)])
    assert said.count(firm.connection.account) > 4, "Some of them answered."
    return said


def _run_commands(firm: Connected) -> Iterator[str]:
    arguments = _arguments(firm)
    email = User.objects.get(pk=firm.actor.user_id).email
    all_commands = sorted(commands(), key=lambda one: (one[0] in DESTROYS_LAST, one[0]))
    for name, command in all_commands:
        if name in NEVER_ENDS:
            continue
        somebody = ("--as", email) if acts_as_somebody(command) else ()
        nobody = ("--as", "nobody@example.test") if somebody else ()
        right, wrong = build_arguments(command, arguments), build_arguments(command, {})
        as_json = ("--json",) if any(one.name == "as_json" for one in command.params) else ()
        for words in (
            (*wrong, *somebody),
            (*right, *nobody),
            right,
            (*right, *somebody),
            (*right, *somebody, *as_json),
        ):
            yield f"koppel {name}: {_command_output(command, words)}"
        yield f"koppel {name}: {_command_output(command, (*right, '--no-such-option'))}"


def _arguments(firm: Connected) -> dict[str, str]:
    with organisation_scope(firm.actor.organisation_id):
        administration_id = str(Administration.objects.order_by("pk").values_list("pk", flat=True)[0])
    places = ("one", "ids", "administration")
    return {
        "connection": str(firm.connection.pk),
        "member": str(firm.actor.membership_id),
        **dict.fromkeys(places, administration_id),
    }


def _command_output(command: Any, words: tuple[str, ...] | list[str]) -> str:
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(printed):
        try:
            command.main(args=list(words), prog_name="koppel", standalone_mode=False)
        except click.ClickException as usage:
            printed.write(usage.format_message())
        except BaseException:
            # A shell shows one sentence of a refusal; what a traceback would tell must not hold more.
            printed.write(traceback.format_exc())
    return printed.getvalue()


def _run_programs(firm: Connected) -> Iterator[str]:
    environment = {**os.environ, "KOPPEL_AS": User.objects.get(pk=firm.actor.user_id).email}
    nobody_listens = {name: re.sub(r"(127\.0\.0\.1):\d+", r"\1:9", environment[name]) for name in URLS}
    no_such_port = {name: re.sub(r"(127\.0\.0\.1):\d+", r"\1:99999", environment[name]) for name in URLS}
    no_such_role = {name: environment[name].replace("://", "://not_") for name in URLS}
    no_key = {"KOPPEL_VAULT_KEYS": environment["KOPPEL_VAULT_KEYS"] + "="}
    for words in WELL:
        yield _run(words, environment)
    for surroundings in (nobody_listens, no_such_port, no_such_role, no_key):
        for words in AMISS:
            yield _run(words, environment | surroundings)


def _run(words: tuple[str, ...], surroundings: dict[str, str]) -> str:
    command = [sys.executable, "-m", "koppel.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False, timeout=120)
    return f"koppel {' '.join(words)}: {done.returncode} {done.stdout} {done.stderr}"
