"""`koppel`: the command tree. An app's `commands.py` is mounted by name and imported only when it is used."""

import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

import psycopg
import typer
from django.db import DatabaseError, InterfaceError
from pydantic import ValidationError as InputError

from koppel.cli import servers
from koppel.cli.backup import commands as backup_commands
from koppel.cli.checks.command import check
from koppel.cli.commands import migrate
from koppel.cli.commands.adopt import adopt
from koppel.cli.commands.psql import psql
from koppel.cli.demo import commands as demo_commands
from koppel.cli.environment import data_directory, load_installation, load_module, set_up_django
from koppel.cli.options import Version
from koppel.kit import logging
from koppel.kit.cli.errors import CheckFailed, CommandError
from koppel.kit.database.embedded_postgres import EmbeddedPostgresError
from koppel.kit.database.outage import is_outage, sqlstate_of
from koppel.kit.errors import KoppelError, refusal_text

REFUSED = CommandError.exit_code
PRIVATE = 0o077
"""Files of Koppel and its programs (books, mail, logs, exports) are readable by its own account only."""


@dataclass(frozen=True)
class CommandGroup:
    """Commands of an app: `attribute` of `module` is a `typer.Typer`."""

    name: str
    module: str
    attribute: str
    help: str


COMMAND_GROUPS = (
    CommandGroup(
        "connections",
        "koppel.connections.commands.connections",
        "app",
        "List, pause, reconnect and delete connections.",
    ),
    CommandGroup(
        "app-registrations",
        "koppel.connections.commands.app_registrations",
        "app",
        "Manage app registrations that serve all organisations.",
    ),
    CommandGroup(
        "administrations", "koppel.administrations.commands", "app", "List and change administrations."
    ),
    CommandGroup(
        "issues", "koppel.administrations.issues.commands", "app", "List, assign, snooze and dismiss issues."
    ),
    CommandGroup("sync", "koppel.sync.commands", "app", "Start, watch and retry runs."),
    CommandGroup("books", "koppel.sync.commands", "books", "Normalise stored books again."),
    CommandGroup("export", "koppel.books.commands", "app", "Write books to files."),
    CommandGroup("sql-readers", "koppel.books.commands", "readers", "Manage roles that read books by SQL."),
    CommandGroup(
        "organisations",
        "koppel.organisations.commands.organisations",
        "app",
        "Create organisations and their Administrators; confirm domains.",
    ),
    CommandGroup(
        "people",
        "koppel.organisations.commands.people",
        "app",
        "Invite people, change their access, hand over.",
    ),
    CommandGroup(
        "email-domains",
        "koppel.organisations.commands.email_domains",
        "app",
        "Verify the e-mail domains that lead to the identity provider.",
    ),
    CommandGroup(
        "divisions",
        "koppel.organisations.commands.divisions",
        "app",
        "Manage groups of people and administrations.",
    ),
    CommandGroup(
        "templates", "koppel.organisations.commands.templates", "app", "Manage named sets of settings."
    ),
    CommandGroup(
        "activity", "koppel.administrations.audit_log.commands", "app", "Show who did what, and when."
    ),
    CommandGroup("audit", "koppel.cli.commands.audit", "app", "Verify the audit log, and manage its key."),
    CommandGroup(
        "operators",
        "koppel.organisations.commands.operators",
        "app",
        "Manage operators, who may read an organisation's data while it consents.",
    ),
    CommandGroup(
        "webhooks",
        "koppel.notifications.commands",
        "app",
        "Manage webhooks, which inform programs about events.",
    ),
    CommandGroup(
        "quarantine",
        "koppel.cli.commands.quarantine",
        "app",
        "Stop everything that leaves the installation, for a restored copy.",
    ),
    CommandGroup(
        "keys", "koppel.cli.commands.keys", "app", "Rotate the keys that encrypt tokens and client secrets."
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. A refusal is one sentence on stderr and exit code 2 (1 for a failed check, or a database
    that broke it off), never a traceback.
    """
    os.umask(PRIVATE)
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _refuse_empty_values(argv)
        with ExitStack() as until_done:
            command_tree(argv, until_done)(args=argv, prog_name="koppel")
    except (KoppelError, InputError) as refusal:
        _exit_with_message(
            refusal_text(refusal), refusal.exit_code if isinstance(refusal, CommandError) else REFUSED
        )
    except EmbeddedPostgresError as failure:
        _exit_with_message(str(failure), REFUSED)
    except (DatabaseError, InterfaceError, psycopg.Error) as failure:
        if not is_outage(failure):
            raise
        _exit_with_message(
            f"The database broke this command off ({sqlstate_of(failure) or 'no connection'}); its last step"
            " was not stored. Try again.",
            CheckFailed.exit_code,
        )


def _refuse_empty_values(argv: Sequence[str]) -> None:
    """Raise `CommandError` for an empty argument: a script's variable that is not set never means all."""
    for before, word in pairwise(["koppel", *argv]):
        is_empty_option = re.fullmatch(r"--[a-z-]+=", word)
        if word.strip() and not is_empty_option:
            continue
        option = word.rstrip("=") if is_empty_option else before
        if option.startswith("--"):
            raise CommandError(f"The value of {option} is empty. Leave the option out, or give it a value.")
        raise CommandError(f"The argument after “{before}” is empty.")


def _exit_with_message(message: str, exit_code: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.exit(exit_code)


def command_tree(arguments: Sequence[str], exit_stack: ExitStack) -> typer.Typer:
    """Return all commands. Only the group named in `arguments` is imported, because apps need Django and
    Django the database.
    """
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_root)
    app.command()(servers.up)
    app.command()(servers.web)
    app.command()(servers.worker)
    app.command()(migrate.migrate)
    app.command()(check)
    app.command()(backup_commands.backup)
    app.command()(backup_commands.restore)
    app.command()(adopt)
    app.command(hidden=True)(migrate.prepare)
    app.command("execute-run", hidden=True)(servers.execute_run)
    passes_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(context_settings=passes_on)(servers.sandbox)
    app.command(context_settings=passes_on)(psql)
    app.command()(demo_commands.demo)
    app.command("demo-once")(demo_commands.demo_once)
    for branch in COMMAND_GROUPS:
        _mount(app, branch, arguments, exit_stack)
    return app


def _root(*, version: Version = False) -> None:
    """Koppel links all of a firm's client books."""


def _mount(app: typer.Typer, group: CommandGroup, arguments: Sequence[str], exit_stack: ExitStack) -> None:
    if importlib.util.find_spec(group.module) is None:
        return
    if not arguments or arguments[0] != group.name:
        app.add_typer(typer.Typer(), name=group.name, help=group.help)
        return
    logging.configure()
    wants_help = "--help" in arguments or len(arguments) == 1
    exit_stack.enter_context(load_for_group(starts_database=not wants_help))
    commands = getattr(load_module(group.module), group.attribute, None)
    if commands is not None:
        app.add_typer(commands, name=group.name, help=group.help)


def load_for_group(*, starts_database: bool) -> ExitStack:
    """Load Django with the installation's database; for `--help` without one, so that help needs nothing
    running.
    """
    if starts_database:
        home = data_directory(None)
        return load_installation(home, start_database=(home / "postgres").exists())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koppel.settings")
    set_up_django()
    return ExitStack()
