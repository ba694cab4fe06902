"""`koppel operators`: who operates the installation. From the shell alone: whoever runs it can read its secrets already."""

from typing import Annotated

import typer

from koppel.kit.cli.errors import refusals
from koppel.kit.cli.output import AsJson, print_one, print_rows
from koppel.organisations.models import User
from koppel.organisations.people.operators import appoint

app = typer.Typer(no_args_is_help=True)
Email = Annotated[str, typer.Argument(help="E-mail address of somebody who has an account here.")]


@app.command("list")
def listing(as_json: AsJson = False) -> None:
    """Everybody who may look in when an organisation lets them."""
    found = User.objects.filter(is_operator=True).order_by("email")
    rows = [{"email": one.email, "name": one.name, "active": one.is_active} for one in found]
    print_rows(rows, ("email", "name", "active"), as_json=as_json)


@app.command("appoint")
def appoint_one(email: Email, as_json: AsJson = False) -> None:
    """Somebody becomes an operator. They open nothing by that: an organisation must let them in, for a while."""
    _appoint(email, is_operator=True, as_json=as_json)


@app.command("dismiss")
def dismiss_one(email: Email, as_json: AsJson = False) -> None:
    """Somebody is an operator no longer, from their next request on."""
    _appoint(email, is_operator=False, as_json=as_json)


def _appoint(email: str, *, is_operator: bool, as_json: bool) -> None:
    with refusals():
        user = appoint(email, is_operator=is_operator)
    print_one({"email": user.email, "operator": user.is_operator}, as_json=as_json)
