"""`koppel`: the command tree. Modules of commands are imported by name, and only those of the command that is
called.
"""

import gc
import os
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from itertools import pairwise

import typer

from koppel.cli.commands.command_table import COMMAND_GROUPS, COMMANDS, CommandGroup, TopLevelCommand
from koppel.cli.options import Version

PRIVATE = 0o077
"""Files of Koppel and its programs (books, mail, logs, exports) are readable by its own account only."""
GARBAGE_THRESHOLD = 20_000
"""What is imported is no garbage: Python's own 700 makes looking for it a sixth of the start."""
REFUSALS = "koppel.cli.commands.refusals"
ENVIRONMENT = "koppel.cli.environment"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. A refusal is one sentence on stderr and exit code 2 (1 for a failed check, or a database
    that broke it off), never a traceback.
    """
    os.umask(PRIVATE)
    gc.set_threshold(GARBAGE_THRESHOLD)
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if refusal := _empty_value(argv):
        import_module(REFUSALS).exit_with_message(refusal, 2)
    try:
        with ExitStack() as until_done:
            command_tree(argv, until_done)(args=argv, prog_name="koppel")
    except Exception as failure:
        import_module(REFUSALS).exit_after(failure)


def _empty_value(argv: Sequence[str]) -> str:
    """Return a refusal of an empty argument: a script's variable that is not set never means all."""
    for before, word in pairwise(["koppel", *argv]):
        is_empty_option = re.fullmatch(r"--[a-z-]+=", word)
        if word.strip() and not is_empty_option:
            continue
        option = word.rstrip("=") if is_empty_option else before
        if option.startswith("--"):
            return f"The value of {option} is empty. Leave the option out, or give it a value."
        return f"The argument after “{before}” is empty."
    return ""


def command_tree(arguments: Sequence[str], exit_stack: ExitStack) -> typer.Typer:
    """Return all commands. Only what is named in `arguments` is imported, because apps need Django and Django
    the database; the others have their name and line of help.
    """
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_root)
    called = arguments[0] if arguments else ""
    for command in COMMANDS:
        _add(app, command, is_called=command.name == called)
    for group in COMMAND_GROUPS:
        if group.name == called:
            _mount(app, group, arguments, exit_stack)
        else:
            app.add_typer(typer.Typer(), name=group.name, help=group.help)
    return app


def _root(*, version: Version = False) -> None:
    """Koppel links all of a firm's client books."""


def _add(app: typer.Typer, command: TopLevelCommand, *, is_called: bool) -> None:
    settings = (
        {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
        if command.passes_on
        else {}
    )
    function = getattr(import_module(command.module), command.attribute) if is_called else _not_called
    app.command(
        command.name,
        help=None if is_called else command.help,
        hidden=command.hidden,
        context_settings=settings,
    )(function)


def _not_called() -> None:
    """Stand in the list of commands for one that is not called."""


def _mount(app: typer.Typer, group: CommandGroup, arguments: Sequence[str], exit_stack: ExitStack) -> None:
    wants_help = "--help" in arguments or len(arguments) == 1
    environment = import_module(ENVIRONMENT)
    exit_stack.enter_context(environment.load_for_group(starts_database=not wants_help))
    app.add_typer(getattr(import_module(group.module), group.attribute), name=group.name, help=group.help)
