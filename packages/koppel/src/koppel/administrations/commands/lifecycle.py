"""`koppel administrations`: set predecessors, mark clients who left, and withdraw imports."""

from datetime import date
from typing import Annotated

import typer

from koppel.administrations.access import administration_for
from koppel.administrations.commands.arguments import AdministrationId
from koppel.administrations.inputs import OffboardingInput, PredecessorInput, WithdrawalInput
from koppel.administrations.lifecycle import offboarding, predecessors
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, print_record
from koppel.kit.web.parameters import day_of
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as
from koppel.organisations.roles import Permission

app = typer.Typer(no_args_is_help=True)


@app.command("set-predecessor")
def set_predecessor(
    administration_id: AdministrationId,
    predecessor: Annotated[
        int | None, typer.Argument(help="Id of the one that it continues; default: none.")
    ] = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Set the administration that this one continues: renamed, merged, or moved to another system."""
    with acting_as(person, organisation) as actor:
        predecessors.set_predecessor(actor, administration_id, PredecessorInput(administration=predecessor))
    print_record({"id": administration_id, "predecessor": predecessor}, as_json=as_json)


@app.command("offboard")
def offboard(
    administration_id: AdministrationId,
    erase_on: Annotated[str, typer.Option(help="Day on which everything is erased.")],
    client_left_on: Annotated[str, typer.Option(help="Day on which the client left; default: today.")] = "",
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Offboard a client: syncing stops, books are kept until a day and then erased."""
    left_on, end = _day(client_left_on) if client_left_on else date.today(), _day(erase_on)  # noqa: DTZ011 - the day at the person's shell
    with acting_as(person, organisation) as actor:
        offboarding.offboard_client(
            actor, administration_id, OffboardingInput(client_left_on=left_on, erase_on=end)
        )
    print_record({"id": administration_id, "client_left_on": left_on, "erase_on": end}, as_json=as_json)


@app.command("withdraw")
def withdraw(
    administration_id: AdministrationId,
    sure: Annotated[bool, typer.Option("--yes", help="Confirm erasing, which cannot be undone.")] = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Cancel an import that waits, or erase a wrong one."""
    if not sure:
        raise CommandError(
            "This erases everything that was read of the administration and cannot be undone. "
            "Confirm with --yes."
        )
    with acting_as(person, organisation) as actor:
        actor.require(Permission.IMPORT_ADMINISTRATIONS)
        name = administration_for(actor, administration_id).name
        offboarding.withdraw(actor, administration_id, WithdrawalInput(name=name))
    print_record({"id": administration_id, "withdrawn": True}, as_json=as_json)


def _day(text: str) -> date:
    if (day := day_of(text)) is None:
        raise CommandError(f"{text!r} is not a date like 2026-12-31.")
    return day
