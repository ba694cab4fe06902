"""`koppel email-domains`: the domains that lead to the identity provider, from the shell."""

from typing import Annotated

import typer

from koppel.audit.services import actor_scope
from koppel.kit.cli.output import AsJson, print_record, print_rows
from koppel.organisations.access import domain_verification
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as, get_actor
from koppel.organisations.inputs import DomainInput
from koppel.organisations.models import EmailDomain

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("id", "domain", "state", "method", "verified_at", "checked_at", "check_result")
RECORD_COLUMNS = (*COLUMNS, "record_name", "record_value")

DomainId = Annotated[int, typer.Argument(help="Id of the domain; `koppel email-domains list` has them.")]


@app.command("list")
def list_domains(person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False) -> None:
    """List the e-mail domains of the organisation with their states."""
    with acting_as(person, organisation) as actor:
        rows = [_as_record(domain, RECORD_COLUMNS) for domain in domain_verification.list_domains(actor)]
    print_rows(rows, RECORD_COLUMNS if as_json else COLUMNS, as_json=as_json)


@app.command("create")
def create_domain(
    domain: Annotated[str, typer.Argument(help="The part after the @ in addresses, firm.example.")],
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Add a domain and print the TXT record that verifies it."""
    with acting_as(person, organisation) as actor:
        added = domain_verification.add_domain(actor, DomainInput(domain=domain))
    print_record(_as_record(added, RECORD_COLUMNS), as_json=as_json)


@app.command("check")
def check_domain(
    domain: DomainId, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """Look up the record of a domain now."""
    actor = get_actor(person, organisation)
    with actor_scope(actor.audit):
        checked = domain_verification.check_domain_now(actor, domain)
    print_record(_as_record(checked, COLUMNS), as_json=as_json)


@app.command("delete")
def delete_domain(
    domain: DomainId, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """Delete a domain: its addresses no longer lead to the identity provider."""
    with acting_as(person, organisation) as actor:
        domain_verification.remove_domain(actor, domain)
    print_record({"id": domain, "deleted": True}, as_json=as_json)


def _as_record(domain: EmailDomain, columns: tuple[str, ...]) -> dict[str, object]:
    return {column: getattr(domain, column) for column in columns}
