"""What a command imports before it works: help imports no application, and a command nothing that it does
not use.
"""

import inspect
import json
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from koppel.cli.commands.command_table import COMMAND_GROUPS, COMMANDS, TopLevelCommand

HEAVY = {"aiohttp", "django", "dns", "granian", "ninja", "psycopg", "pyarrow", "pydantic", "structlog"}
OUTSIDE_A_COMMAND = {"aiohttp", "dns", "granian", "ninja", "pyarrow", "xlsxwriter"}
"""Libraries of calls, pages and exports."""
PROGRAM = """
import json, sys
from koppel.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded_by(*words: str) -> set[str]:
    """The libraries that a process has loaded which executed this command."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [["--help"], ["--version"]], ids="".join)
def test_help_and_version_load_no_application(words: list[str]) -> None:
    assert loaded_by(*words) & HEAVY == set()


@pytest.mark.parametrize("group", ["administrations", "sync"])
def test_a_command_loads_no_library_of_calls_pages_or_exports(group: str) -> None:
    loaded = loaded_by(group, "--help")
    assert "django" in loaded
    assert loaded & OUTSIDE_A_COMMAND == set()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_line_of_help_is_the_commands_own(command: TopLevelCommand) -> None:
    function = getattr(import_module(command.module), command.attribute)
    text = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
    assert command.help == ("" if command.hidden else text)


def test_every_group_has_its_commands() -> None:
    names = [command.name for command in (*COMMANDS, *COMMAND_GROUPS)]
    assert len(names) == len(set(names))
    for group in COMMAND_GROUPS:
        tree = typer.main.get_command(getattr(import_module(group.module), group.attribute))
        assert getattr(tree, "commands", {}), group.name
