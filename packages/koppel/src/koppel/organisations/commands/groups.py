"""The commands that `koppel divisions` and `koppel templates` share: list, archive, unarchive and merge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from koppel.kit.cli.output import AsJson, print_record, print_rows
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as
from koppel.organisations.groups.named_group import GroupSummary, GroupType
from koppel.organisations.roles import Actor, Permission


@dataclass(frozen=True, kw_only=True)
class GroupCommands:
    """`list_help`, `archive_help` and `merge_help` are what `--help` says of each command."""

    group_type: GroupType[Any]
    columns: Sequence[str]
    list_summaries: Callable[[Actor], Sequence[GroupSummary]]
    get_summary: Callable[[Actor, int], GroupSummary]
    merge: Callable[[Actor, int, int], int]
    list_help: str
    archive_help: str
    merge_help: str

    def add_to(self, app: typer.Typer) -> None:
        """Add the four commands."""
        kind = self.group_type.kind.value
        id_help = f"Id of the {kind}; `koppel {kind}s list` has them."

        @app.command("list", help=self.list_help)
        def list_all(person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False) -> None:
            with acting_as(person, organisation) as actor:
                actor.require(Permission.MANAGE_PEOPLE)
                rows = self.list_summaries(actor)
            print_rows(rows, self.columns, as_json=as_json)

        @app.command("archive", help=self.archive_help)
        def archive(
            group_id: Annotated[int, typer.Argument(metavar=kind.upper(), help=id_help)],
            person: ActAs = "",
            organisation: InOrganisation = "",
            as_json: AsJson = False,
        ) -> None:
            with acting_as(person, organisation) as actor:
                self.group_type.set_archived(actor, group_id, archived=True)
                self.print_summary(actor, group_id, as_json=as_json)

        @app.command("unarchive", help=f"Take a {kind} out of the archive: it is offered again.")
        def unarchive(
            group_id: Annotated[int, typer.Argument(metavar=kind.upper(), help=id_help)],
            person: ActAs = "",
            organisation: InOrganisation = "",
            as_json: AsJson = False,
        ) -> None:
            with acting_as(person, organisation) as actor:
                self.group_type.set_archived(actor, group_id, archived=False)
                self.print_summary(actor, group_id, as_json=as_json)

        @app.command("merge", help=self.merge_help)
        def merge(
            group_id: Annotated[int, typer.Argument(metavar=kind.upper(), help=id_help)],
            into: Annotated[int, typer.Argument(help="Id of the one that remains.")],
            person: ActAs = "",
            organisation: InOrganisation = "",
            as_json: AsJson = False,
        ) -> None:
            with acting_as(person, organisation) as actor:
                moved_count = self.merge(actor, group_id, into)
            print_record({"id": group_id, "into": into, "administrations": moved_count}, as_json=as_json)

    def print_summary(self, actor: Actor, group_id: int, *, as_json: bool) -> None:
        """Print one of them as the list shows it."""
        print_record(self.get_summary(actor, group_id), as_json=as_json)
