"""`koppel operators`: who operates the installation. From the shell alone: whoever runs it can read its secrets already."""

from typing import Annotated

import typer

from koppel.kit.cli.errors import user_errors
from koppel.kit.cli.output import AsJson, print_record, print_rows
from koppel.organisations.models import User
from koppel.organisations.people.operators import grant_operator

app = typer.Typer(no_args_is_help=True)
Email = Annotated[str, typer.Argument(help="E-mail address of somebody who has an account here.")]


@app.command("list")
def list_operators(as_json: AsJson = False) -> None:
    """Everybody who may look in when an organisation lets them."""
    users = User.objects.filter(is_operator=True).order_by("email")
    rows = [{"email": user.email, "name": user.name, "active": user.is_active} for user in users]
    print_rows(rows, ("email", "name", "active"), as_json=as_json)


@app.command("appoint")
def appoint(email: Email, as_json: AsJson = False) -> None:
    """Somebody becomes an operator. They open nothing by that: an organisation must let them in, for a while."""
    _set_operator(email, is_operator=True, as_json=as_json)


@app.command("dismiss")
def dismiss(email: Email, as_json: AsJson = False) -> None:
    """Somebody is an operator no longer, from their next request on."""
    _set_operator(email, is_operator=False, as_json=as_json)


def _set_operator(email: str, *, is_operator: bool, as_json: bool) -> None:
    with user_errors():
        user = grant_operator(email, is_operator=is_operator)
    print_record({"email": user.email, "operator": user.is_operator}, as_json=as_json)
