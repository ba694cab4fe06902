"""A member's own API tokens."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.kit.web.decorators import action_of
from koppel.organisations.access import api_tokens
from koppel.organisations.forms.account import TokenForm
from koppel.organisations.requests import AuthenticatedRequest, recent_sign_in_required
from koppel.organisations.roles import Actor, Role


@recent_sign_in_required
def list_tokens(request: AuthenticatedRequest) -> HttpResponse:
    """Show the tokens, and the form for another. A new token's text is in this one answer and nowhere
    else.
    """
    form = TokenForm.of(request)
    created: dict[str, Any] = {}
    if request.method == "POST":
        with form.refusals():
            token, text = api_tokens.create_token(request.actor, **form.values)
            created, form = {"created": token, "text": text.reveal()}, TokenForm()
    context = {
        **created,
        "account_place": "tokens",
        "form": form,
        "tokens": api_tokens.list_tokens(request.actor),
        "roles": _roles_below(request.actor),
        "days": [(str(days), days) for days in api_tokens.LIFETIME_DAYS],
    }
    response = render(request, "organisations/tokens.html", context)
    response["Cache-Control"] = "no-store"
    return response


@action_of("account:tokens")
def revoke_token(request: AuthenticatedRequest, token_id: int) -> HttpResponse:
    """Revoke one of the member's own tokens."""
    api_tokens.revoke_token(request.actor, token_id)
    messages.success(request, _("Token revoked. Programs using it no longer have access."))
    return HttpResponseRedirect(reverse("account:tokens"))


def _roles_below(actor: Actor) -> list[tuple[str, str]]:
    """Return the roles to which a token can be limited: those below the actor's."""
    all_roles = list(Role)
    return [(role.value, str(role.label)) for role in all_roles[all_roles.index(actor.role) + 1 :]]
