"""A member's own API tokens."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.organisations.access import api_tokens
from koppel.organisations.errors import Refused
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Role


def list_tokens(request: AuthenticatedRequest) -> HttpResponse:
    """Show the tokens, and the form for another. A new token's text is in this one answer only."""
    context: dict[str, Any] = {}
    if request.method == "POST":
        form = request.POST
        days = int(form["days"]) if form.get("days", "").isdecimal() else 0
        role = Role(form["role"]) if form.get("role") in Role.values else None
        try:
            created, text = api_tokens.create_token(
                request.actor, name=form.get("name", ""), days=days, role=role, read_only=form.get("access") != "write"
            )
            context = {"created": created, "text": text.reveal()}
        except Refused as refusal:
            messages.error(request, str(refusal))
    context |= {
        "account_place": "tokens",
        "tokens": api_tokens.list_tokens(request.actor),
        "roles": _roles_below(request.actor),
        "days": api_tokens.LIFETIME_DAYS,
    }
    response = render(request, "organisations/tokens.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
def revoke(request: AuthenticatedRequest, token_id: int) -> HttpResponse:
    try:
        api_tokens.revoke_token(request.actor, token_id)
        messages.success(request, _("The token is revoked. Programs that use it are refused from now on."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("own:tokens"))


def _roles_below(actor: Actor) -> list[tuple[str, str]]:
    """Return the roles to which a token may be limited: those with fewer permissions than the actor's."""
    all_roles = list(Role)
    return [(role.value, str(role.label)) for role in all_roles[all_roles.index(actor.role) + 1 :]]
