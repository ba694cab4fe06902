"""The actor of a command and its organisation.

A command acts as a member, with that member's role, as a page does. `--as` (or `KOPPEL_AS`) names the member.
"""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from koppel.audit.models import Interface
from koppel.audit.services import actor_scope
from koppel.kit.cli.errors import CommandError
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access.actors import resolve_actor
from koppel.organisations.bootstrap import shell_operator
from koppel.organisations.models import Membership, User
from koppel.organisations.roles import Actor

ActAs = Annotated[
    str,
    typer.Option(
        "--as", envvar="KOPPEL_AS", help="E-mail address of the acting member; recorded in the audit log."
    ),
]
InOrganisation = Annotated[
    str,
    typer.Option(
        "--organisation",
        envvar="KOPPEL_ORGANISATION",
        help="Name of the organisation, for a member of several.",
    ),
]


def get_actor(email: str, organisation: str = "") -> Actor:
    """Return the acting member. Raises `CommandError` with what to type instead."""
    if not email:
        raise CommandError("Say who acts: --as with a member's e-mail address, or KOPPEL_AS.")
    user = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
    organisation_id = _organisation_id(user, organisation) if user else None
    actor = resolve_actor(user.pk, organisation_id, _shell_address(), Interface.CLI) if user else None
    if actor is None or organisation_id not in (None, actor.organisation_id):
        raise CommandError(f"{email} is not a member who may sign in here.")
    return actor


@contextmanager
def acting_as(email: str, organisation: str = "") -> Iterator[Actor]:
    """Yield the actor, within one transaction in their organisation's scope."""
    actor = get_actor(email, organisation)
    with actor_scope(actor.audit), organisation_scope(actor.organisation_id):
        yield actor


def current_shell_operator() -> Actor:
    """Return the operator of the installation, named by the account of the shell."""
    return shell_operator(shell_account(), _shell_address())


def shell_account() -> str:
    """Return the account of the person who types: with sudo, not the one that the command runs as."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "shell"


def _organisation_id(user: User, name: str) -> int | None:
    if not name:
        return None
    with installation_scope("command line"):
        memberships = Membership.objects.filter(user=user, organisation__name__iexact=name.strip())
        membership_organisation_id = memberships.values_list("organisation_id", flat=True).first()
    if membership_organisation_id is None:
        raise CommandError(f"{user.email} is not a member of {name!r}.")
    return int(membership_organisation_id)


def _shell_address() -> str:
    """Return the account of the shell in the form of an address for the audit log."""
    account = shell_account()
    return account if account == "shell" else f"shell: {account}@{socket.gethostname()}"[:60]
