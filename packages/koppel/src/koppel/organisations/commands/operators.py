"""`koppel operators`: the operators of the installation. Shell only: its user can read the installation's
secrets anyway.
"""

from typing import Annotated

import typer

from koppel.kit.cli.output import AsJson, print_record, print_rows
from koppel.organisations.models import User
from koppel.organisations.people.operators import grant_operator

app = typer.Typer(no_args_is_help=True)
Email = Annotated[str, typer.Argument(help="E-mail address of a person who has an account.")]


@app.command("list")
def list_operators(as_json: AsJson = False) -> None:
    """List the operators."""
    users = User.objects.filter(is_operator=True).order_by("email")
    rows = [{"email": user.email, "name": user.name, "active": user.is_active} for user in users]
    print_rows(rows, ("email", "name", "active"), as_json=as_json)


@app.command("add")
def add_operator(email: Email, as_json: AsJson = False) -> None:
    """Make a person an operator. An organisation must still grant them access, for a limited time."""
    _set_operator(email, is_operator=True, as_json=as_json)


@app.command("remove")
def remove_operator(email: Email, as_json: AsJson = False) -> None:
    """End a person's role as operator, from the next request on."""
    _set_operator(email, is_operator=False, as_json=as_json)


def _set_operator(email: str, *, is_operator: bool, as_json: bool) -> None:
    user = grant_operator(email, is_operator=is_operator)
    print_record({"email": user.email, "operator": user.is_operator}, as_json=as_json)
