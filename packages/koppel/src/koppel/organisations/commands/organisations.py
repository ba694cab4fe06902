"""`koppel organisations`: organisations and their first Administrators. Only from the shell of the
installation.
"""

import dataclasses
import sys
from typing import Annotated

import typer
from django.conf import settings

from koppel.kit.cli.output import AsJson, Language, print_json, print_record, print_rows
from koppel.organisations import bootstrap
from koppel.organisations.access import domain_owners, security_policy, sso_requirement
from koppel.organisations.bootstrap import LinkKind, RecoveryLink
from koppel.organisations.commands.acting import current_shell_operator
from koppel.organisations.inputs import OrganisationInput
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import Invitation
from koppel.organisations.roles import Role

app = typer.Typer(no_args_is_help=True)

Email = Annotated[str, typer.Option(help="Address of the Administrator, used to sign in.")]
PersonName = Annotated[
    str,
    typer.Option(
        "--administrator-name", help="The Administrator's name; default: asked for on the page of the link."
    ),
]
LanguageOption = Annotated[
    Language, typer.Option(help="Language of the mail, and at first of this person's pages.")
]


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Name of the organisation, as shown to its people.")],
    email: Email,
    person_name: PersonName = "",
    language: LanguageOption = Language.ENGLISH,
    as_json: AsJson = False,
) -> None:
    """Create an organisation and print the link on which its first Administrator chooses a password."""
    administrator = InvitationInput(email=email, name=person_name, role=Role.ADMINISTRATOR)
    created = bootstrap.create_organisation(
        current_shell_operator(), OrganisationInput(name=name), administrator, language=language
    )
    link = bootstrap.invitation_link(created)
    if as_json:
        print_json(
            {"organisation": created.organisation_id, "name": created.organisation.name, **link_as_json(link)}
        )
        return
    sys.stdout.write(
        f"{created.organisation.name} is created (organisation {created.organisation_id}),"
        f" with {created.email} as its Administrator.\n"
    )
    print_link(link)


@app.command("list")
def list_organisations(as_json: AsJson = False) -> None:
    """List all organisations of this installation, with their Administrators."""
    columns = ("id", "name", "people", "administrators", "invited", "created_at")
    print_rows(bootstrap.list_organisation_summaries(), columns, as_json=as_json)


@app.command("add-administrator")
def add_administrator(
    organisation: Annotated[int, typer.Argument(help="Id; `koppel organisations list` has them.")],
    email: Email,
    person_name: PersonName = "",
    language: LanguageOption = Language.ENGLISH,
    as_json: AsJson = False,
) -> None:
    """Add an Administrator, when the first address was mistyped or all Administrators have left."""
    invitation_input = InvitationInput(email=email, name=person_name, role=Role.ADMINISTRATOR)
    created = bootstrap.add_administrator(
        current_shell_operator(), organisation, invitation_input, language=language
    )
    if not isinstance(created, Invitation):
        print_record({"id": created.pk, "email": created.user.email, "role": created.role}, as_json=as_json)
    elif as_json:
        print_json({"organisation": organisation, **link_as_json(bootstrap.invitation_link(created))})
    else:
        print_link(bootstrap.invitation_link(created))


@app.command("list-domains")
def list_domains(as_json: AsJson = False) -> None:
    """List the e-mail domains of organisations, how each was verified, and whether sign-in uses it."""
    columns = ("domain", "organisation", "name", "state", "method", "verified_at", "checked_at", "is_used")
    print_rows(domain_owners.list_domain_summaries(), columns, as_json=as_json)


@app.command("confirm-domain")
def confirm_domain(
    organisation: Annotated[int, typer.Argument(help="Id; `koppel organisations list` has them.")],
    domain: Annotated[
        str, typer.Argument(help="The part after the @ in its people's addresses, firm.example.")
    ],
    as_json: AsJson = False,
) -> None:
    """Verify a domain without DNS, where Koppel reaches no name server. Make sure first that the domain is
    theirs: addresses in it lead to the organisation's identity provider.
    """
    confirmed = domain_owners.confirm(current_shell_operator(), organisation, domain)
    print_record({"domain": confirmed.domain, "organisation": organisation}, as_json=as_json)


@app.command("unconfirm-domain")
def unconfirm_domain(
    domain: Annotated[str, typer.Argument(help="`koppel organisations list-domains` has them.")],
    as_json: AsJson = False,
) -> None:
    """Take a domain from its owner, however it was verified: its addresses lead to no identity provider."""
    withdrawn_domain = domain_owners.withdraw(current_shell_operator(), domain)
    print_record({"domain": withdrawn_domain, "confirmed": False}, as_json=as_json)


@app.command("allow-all-networks")
def allow_all_networks(
    organisation: Annotated[int, typer.Argument(help="Id; `koppel organisations list` has them.")],
    as_json: AsJson = False,
) -> None:
    """Remove the restriction to networks, when the organisation has locked itself out."""
    changed = security_policy.allow_all_networks(current_shell_operator(), organisation)
    print_record({"organisation": changed.pk, "networks": changed.networks}, as_json=as_json)


@app.command("allow-password-sign-in")
def allow_password_sign_in(
    organisation: Annotated[int, typer.Argument(help="Id; `koppel organisations list` has them.")],
    as_json: AsJson = False,
) -> None:
    """Let members sign in without the identity provider again, when it no longer works. Its Administrators
    are notified.
    """
    changed = sso_requirement.end_sso_requirement(current_shell_operator(), organisation)
    print_record({"organisation": changed.pk, "requires_sso": False}, as_json=as_json)


def link_as_json(link: RecoveryLink) -> dict[str, object]:
    """Return the link as JSON. `mailed`: it is sent by mail as well."""
    return {**dataclasses.asdict(link), "mailed": settings.SENDS_MAIL and link.kind is LinkKind.INVITATION}


def print_link(link: RecoveryLink) -> None:
    """Print the link on a line of its own, to be copied, and its purpose."""
    purpose = (
        "accept the invitation and choose a password"
        if link.kind is LinkKind.INVITATION
        else "choose a new password"
    )
    valid_until = link.valid_until.astimezone().strftime("%Y-%m-%d %H:%M")
    sys.stdout.write(
        f"\nOpen this link to {purpose}. It works once, until {valid_until}:\n\n  {link.link}\n\n"
    )
    if not settings.SENDS_MAIL:
        sys.stdout.write(
            f"Koppel sends no mail yet (KOPPEL_SMTP_URL is not set): give {link.email} the link yourself.\n"
        )
    elif link.kind is LinkKind.INVITATION:
        sys.stdout.write(f"A mail with it goes to {link.email} as soon as a worker runs.\n")
