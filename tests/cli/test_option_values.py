"""Unknown, wrong and empty values of all arguments and options: one sentence, and nothing is changed."""

import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError as InputError

from koppel.cli.main import main
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.errors import KoppelError, refusal_text
from koppel.organisations.models import User
from tests.cli.test_permissions import ABSENT, NEVER_ENDS, acts_as_somebody, build_arguments, commands
from tests.web.factories import World, build_world
from tests.web.test_permissions import fingerprints

UNKNOWN = ("xyzzy", ABSENT, "9" * 20)
"""No choice, no id and no day."""
FREE_TEXT = {"name", "search", "reason", "text", "title", "out"}
COMMON = {"person", "organisation", "as_json", "help"}
NUMBERS = {"limit": (ABSENT,), "years": (), "weekday": ()}
"""Values of `UNKNOWN` that are values of a number."""
LISTED_AS_TABLES = ("audit", "outbox")


def values_of(command: Any, of_world: dict[str, str]) -> Iterator[tuple[Any, str, list[str]]]:
    """Each parameter of a command with an unknown value, and the words with which it is typed."""
    for param in command.params:
        name = str(param.name)
        if name in COMMON | FREE_TEXT or getattr(param, "is_flag", False):
            continue
        for value in UNKNOWN:
            if value in NUMBERS.get(name, ()):
                continue
            words = build_arguments(command, {**of_world, name: value})
            if param.param_type_name == "option" and not param.required:
                words += [param.opts[0], value]
            elif not param.required and name != "ids":
                words += [value]
            yield param, value, words


def outcome(command: Any, words: list[str]) -> str:
    """The sentence of a refusal; '' when the command takes the words."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            result = command.main(args=[*words, "--json"], prog_name="koppel", standalone_mode=False)
        except (KoppelError, InputError) as refusal:
            return refusal_text(refusal)
        except Exception as usage:
            if hasattr(usage, "format_message"):
                return str(usage.format_message())
            raise
    return "nothing changed" if result == 1 else ""


def test_unknown_values_are_refused_and_change_nothing(
    actor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_addresses: Addresses
) -> None:
    """`test_a_stranger_gets_nothing_and_changes_nothing` tries the ids of another organisation."""
    world: World = build_world(actor)
    monkeypatch.chdir(tmp_path)
    email = User.objects.get(pk=world.admin.user_id).email
    of_world = {
        "administration_id": str(world.active.pk),
        "administration": str(world.active.pk),
        "ids": str(world.active.pk),
        "connection": str(world.active.connection_id),
        "member": str(world.bystander.membership_id),
        "division": str(world.division.pk),
        "template": str(world.template.pk),
    }
    before = dict(fingerprints(database_addresses, world.admin.organisation_id))
    taken = []
    for name, command in commands():
        if not acts_as_somebody(command) or name in NEVER_ENDS:
            continue
        for param, value, words in values_of(command, of_world):
            sentence = outcome(command, [*words, "--as", email])
            if not sentence or sentence.count("\n") > 3:
                taken.append(f"koppel {name} {param.opts[0]} {value}")
    assert taken == [], "\n".join(taken)
    after = dict(fingerprints(database_addresses, world.admin.organisation_id))
    changed = [table for table in after if after[table] != before.get(table)]
    assert [table for table in changed if not table.startswith(LISTED_AS_TABLES)] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("administrations", "export", "--filter", ""), "The value of --filter is empty."),
        (("people", "update", "5", "--until="), "The value of --until is empty."),
        (("divisions", "create", " "), "The argument after “create” is empty."),
    ],
)
def test_an_empty_value_is_refused_before_anything_starts(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
