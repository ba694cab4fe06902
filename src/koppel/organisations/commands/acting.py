"""Who acts in a command, and in which organisation.

A command acts as a member, with that member's role, as a page does. `--as` (or `KOPPEL_AS`) names the member.
"""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from koppel.audit.models import Door
from koppel.kit.cli.errors import Refusal, refusals
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access.actors import actor_of
from koppel.organisations.bootstrap import at_the_shell
from koppel.organisations.models import Membership, User
from koppel.organisations.roles import Actor

AsPerson = Annotated[
    str,
    typer.Option("--as", envvar="KOPPEL_AS", help="E-mail address of the member who acts; kept in the audit trail."),
]
OfOrganisation = Annotated[
    str,
    typer.Option("--organisation", envvar="KOPPEL_ORGANISATION", help="Name, for a member of several organisations."),
]


def actor_named(email: str, organisation: str = "") -> Actor:
    """The member who acts. Raises `Refusal` with what to type instead."""
    if not email:
        raise Refusal("Say who acts: --as with a member's e-mail address, or KOPPEL_AS.")
    user = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
    wanted = _organisation_id(user, organisation) if user else None
    actor = actor_of(user.pk, wanted, _place(), Door.CLI) if user else None
    if actor is None or wanted not in (None, actor.organisation_id):
        raise Refusal(f"{email} is not a member who may sign in here.")
    return actor


@contextmanager
def acting(email: str, organisation: str = "") -> Iterator[Actor]:
    """The actor, within one transaction in their organisation's scope. What services refuse becomes one sentence."""
    actor = actor_named(email, organisation)
    with refusals(), organisation_scope(actor.organisation_id):
        yield actor


def operator_at_the_shell() -> Actor:
    """Whoever runs the installation, named by the account of the shell."""
    return at_the_shell(account_of_shell(), _place())


def account_of_shell() -> str:
    """Who types: with sudo, the person and not the account that the command runs as."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "shell"


def _organisation_id(user: User, name: str) -> int | None:
    if not name:
        return None
    with installation_scope("command line"):
        found = Membership.objects.filter(user=user, organisation__name__iexact=name.strip())
        one = found.values_list("organisation_id", flat=True).first()
    if one is None:
        raise Refusal(f"{user.email} is not a member of {name!r}.")
    return int(one)


def _place() -> str:
    """From where: the account of the shell, as the audit trail keeps an address."""
    account = account_of_shell()
    return account if account == "shell" else f"shell: {account}@{socket.gethostname()}"[:60]
