"""What the commands of slices share: who acts, in which organisation, and how an answer is printed.

A command acts as a member, under that person's name and role, like a page does. `--as` (or `KOPPEL_AS`) names the person.
"""

import dataclasses
import datetime
import decimal
import getpass
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from koppel.audit.models import Door
from koppel.cli.errors import Refusal
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.errors import NotAllowed
from koppel.organisations.installing import at_the_shell
from koppel.organisations.models import Membership, User
from koppel.organisations.policy import Actor
from koppel.organisations.sign_in import actor_of

AsPerson = Annotated[
    str,
    typer.Option("--as", envvar="KOPPEL_AS", help="E-mail address of the member who acts; kept in the audit trail."),
]
OfOrganisation = Annotated[
    str,
    typer.Option("--organisation", envvar="KOPPEL_ORGANISATION", help="Name, for a member of several organisations."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


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


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what a service refuses into a `Refusal`: exit code 2 and its sentence, never a traceback.

    Such an exception says so with the attribute `is_refusal`; its class docstring serves when it carries no sentence."""
    try:
        yield
    except NotAllowed as refusal:
        raise Refusal(str(refusal)) from None
    except Exception as refusal:
        if not getattr(refusal, "is_refusal", False):
            raise
        sentence = str(refusal) or (type(refusal).__doc__ or "").partition("\n")[0]
        raise Refusal(sentence) from None


def print_rows(rows: Sequence[Any], columns: Sequence[str], *, as_json: bool, title: str = "") -> None:
    """Dataclasses or mappings, as a table of `columns` or as a JSON array of whole rows."""
    shown = [as_mapping(row) for row in rows]
    if as_json:
        print_json(shown)
        return
    table = Table(*(name.replace("_", " ") for name in columns), title=title or None)
    for row in shown:
        # As it stands: a name such as "Jansen [oud]" is no instruction for the terminal.
        table.add_row(*(Text(_cell(row.get(name))) for name in columns))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def print_one(answer: Any, *, as_json: bool) -> None:
    """One dataclass or mapping, as lines of `name: value` or as a JSON object."""
    row = as_mapping(answer)
    if as_json:
        print_json(row)
        return
    for name, value in row.items():
        sys.stdout.write(f"{name.replace('_', ' ')}: {_cell(value)}\n")


def print_json(value: Any) -> None:
    """Moments in ISO 8601, amounts as exact text."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=_plain) + "\n")


def as_mapping(row: Any) -> Mapping[str, Any]:
    return dataclasses.asdict(row) if dataclasses.is_dataclass(row) and not isinstance(row, type) else dict(row)


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


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime.datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M")
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return str(value)
