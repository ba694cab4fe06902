"""Every command on an organisation's data, run in every role and as a stranger.

The results are compared with docs/permissions.md. A new command fails here until the table has its row.
"""

import importlib
import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer
from django.utils import timezone
from pydantic import ValidationError as InputError

from koppel.cli.commands.command_table import COMMAND_GROUPS
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.errors import KoppelError, refusal_text
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Membership, Organisation, User
from koppel.organisations.roles import Actor, Role
from koppel.web.permission_matrix import TABLE
from tests.web.factories import IMPORT, World, build_world
from tests.web.test_permissions import FROM_LEAST, WHO, fingerprints, secrets_of

ROW = re.compile(r"^\| `koppel (?P<command>[a-z -]+)` \| (?P<who>[^|]*?) \|$", re.MULTILINE)
REFUSES = "Your role does not allow this"
SHELL = "the operator"
ABSENT = "987654"
WORDS = {
    "resource": "accounts",
    "erase_on": "2099-01-01",
    "policy": "wait",
    "until": "2099-01-01",
    "file": "absent.csv",
    "on": "--on",
    "email": "lured@example.test",
    "url": "https://example.test/hook",
    "name": "9 lured",
}
"""What is typed for a value that a command needs. A number of nothing for the others: whoever may is told of
that.
"""
NEVER_ENDS = {"sync watch"}


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to write into; nothing named by the surroundings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "absent.csv").write_text("code;client number\n")
    for name in ("KOPPEL_AS", "KOPPEL_ORGANISATION"):
        monkeypatch.delenv(name, raising=False)


def commands() -> Iterator[tuple[str, Any]]:
    for branch in COMMAND_GROUPS:
        tree = typer.main.get_command(getattr(importlib.import_module(branch.module), branch.attribute))
        for name, command in getattr(tree, "commands", {}).items():
            yield f"{branch.name} {name}", command


def acts_as_somebody(command: Any) -> bool:
    return any(one.name == "person" for one in command.params)


def build_arguments(command: Any, arguments: dict[str, str]) -> list[str]:
    """The words that the command needs."""
    typed_words: list[str] = []
    for param in command.params:
        if not param.required:
            continue
        value = arguments.get(str(param.name), WORDS.get(str(param.name), ABSENT))
        if param.param_type_name == "option":
            typed_words += [value] if param.is_flag else [param.opts[0], value]
        else:
            typed_words.append(value)
    flags = [param.opts[0] for param in command.params if param.name in ("sure", "yes")]
    some = [arguments.get("ids", ABSENT)] if any(param.name == "ids" for param in command.params) else []
    return [*typed_words, *some, *flags]


def run_as(actor: Actor, command: Any, arguments: dict[str, str] | None = None) -> str:
    """Everything that comes back."""
    return invoke(
        command, *build_arguments(command, arguments or {}), "--as", User.objects.get(pk=actor.user_id).email
    )


def invoke(command: Any, *words: str) -> str:
    """The command's output, or its refusal. Anything else is a mistake of the command or of the test."""
    with redirect_stdout(io.StringIO()) as printed:
        try:
            command.main(args=[*words, "--json"], prog_name="koppel", standalone_mode=False)
        except (KoppelError, InputError) as refusal:
            return f"{printed.getvalue()} {refusal_text(refusal)}"
    return printed.getvalue()


def test_permissions_of_commands_match_the_table(world: World, shell: None) -> None:
    written = {row["command"]: row["who"] for row in ROW.finditer(TABLE.read_text())}
    registered = dict(commands())
    assert sorted(written.keys() ^ registered.keys()) == [], "Commands and rows must be the same."
    wrong = []
    for name, command in registered.items():
        if not acts_as_somebody(command):
            seen = SHELL
        elif name in NEVER_ENDS:
            continue
        else:
            let_in = [role for role in FROM_LEAST if REFUSES not in run_as(world.people[role], command)]
            assert let_in == list(FROM_LEAST[-len(let_in) :]), (name, let_in)
            seen = next(word for word, role in WHO.items() if role == let_in[0])
        if seen != written[name]:
            wrong.append(f"koppel {name}: the table says {written[name]}, but it serves: {seen}")
    assert not wrong, "\n".join(wrong)


def test_a_stranger_gets_nothing_and_changes_nothing(
    world: World, actor: Any, shell: None, database_addresses: Addresses
) -> None:
    stranger = actor(Role.ADMINISTRATOR, name="Vreemde")
    administration_id, member = str(world.active.pk), str(world.bystander.membership_id)
    lure = {
        "one": administration_id,
        "ids": administration_id,
        "administration": administration_id,
        "connection": str(world.active.connection_id),
        "member": member,
        "people": member,
        "division": str(world.division.pk),
        "template": str(world.template.pk),
        "import": str(IMPORT),
        "to": str(world.admin.membership_id),
        "into": str(world.division.pk),
    }
    secrets = re.compile("|".join(map(re.escape, secrets_of(world))))
    before = dict(fingerprints(database_addresses, world.admin.organisation_id))
    leaked = [
        name
        for name, command in commands()
        if acts_as_somebody(command)
        and name not in NEVER_ENDS
        and secrets.search(run_as(stranger, command, lure))
    ]
    assert leaked == []
    assert dict(fingerprints(database_addresses, world.admin.organisation_id)) == before


def test_the_organisation_option_selects_the_organisation(world: World, actor: Any) -> None:
    """Whose membership there has ended acts there no more, and in no other one instead."""
    elsewhere = actor(Role.ADMINISTRATOR)
    with organisation_scope(elsewhere.organisation_id):
        Organisation.objects.update(name="Elders")
        membership = Membership.objects.create(
            organisation_id=elsewhere.organisation_id, user_id=world.admin.user_id, role="administrator"
        )
    create = dict(commands())["divisions create"]
    as_admin = ["--as", User.objects.get(pk=world.admin.user_id).email, "--organisation", "Elders"]
    assert json.loads(invoke(create, "Zuid", *as_admin).splitlines()[-1])["people"] == 0
    with organisation_scope(elsewhere.organisation_id):
        Membership.objects.filter(pk=membership.pk).update(expires_at=timezone.now())
    assert "not a member" in invoke(create, "Oost", *as_admin)
