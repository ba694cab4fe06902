"""The page with every component in its states, in the demo only, or where `KOPPEL_STYLEGUIDE` allows it."""

import json
from functools import cache

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render

from koppel.kit.web.forms import Form, TextField
from koppel.kit.web.schemas import Input
from koppel.organisations.requests import AuthenticatedRequest
from koppel.web.build.built import STATIC_SOURCE

SERIES = [12, 14, 13, 16, 15, 18, 22, 21, 24, 23, 27, 30]
ROWS = [
    {
        "name": "Drukkerij Voorbeeld B.V.",
        "status": "Active",
        "kind": "ok",
        "owner": "Ada Beheer",
        "balance": "88,781.11",
    },
    {"name": "Eksempel AS", "status": "Configuring", "kind": "busy", "owner": "Lars Leider", "balance": "–"},
    {
        "name": "Van Dam Holding",
        "status": "Failed",
        "kind": "bad",
        "owner": "Ada Beheer",
        "balance": "-4,784.94",
    },
    {
        "name": "Åkeri Sjöberg AB",
        "status": "Needs attention",
        "kind": "warn",
        "owner": "Rosa Lezer",
        "balance": "1.00",
    },
]


class ExampleForm(Form[Input]):
    """A valid and a refused field. No input type: an example without a use case."""

    name = TextField(label="Name", help_text="As clients know the firm.")
    address = TextField(label="E-mail address", required=True)


def show_styleguide(request: AuthenticatedRequest) -> HttpResponse:
    if not (settings.DEBUG or settings.STYLEGUIDE):
        raise Http404
    form = ExampleForm({"name": "Voorbeeldkantoor", "address": ""})
    context = {
        "form": form,
        "rows": ROWS,
        "series": SERIES,
        "options": [("leiden", "Leiden"), ("delft", "Delft")],
        "icons": icon_names(),
        "nav_section": "",
    }
    return render(request, "web/styleguide.html", context)


@cache
def icon_names() -> list[str]:
    """Return the icons of the vendored set."""
    packages = json.loads((STATIC_SOURCE / "vendor" / "manifest.json").read_text())["packages"]
    return sorted(icon for package in packages for file in package["files"] for icon in file.get("icons", ()))
