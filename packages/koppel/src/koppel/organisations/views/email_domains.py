"""Buttons for e-mail domains on the page about security; `views.security` adds one."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import action_of, outside_transaction
from koppel.organisations.access import domain_verification
from koppel.organisations.models import DomainCheck, EmailDomain
from koppel.organisations.requests import AuthenticatedRequest, recent_sign_in_required
from koppel.organisations.roles import Permission
from koppel.organisations.views import confirmations


@action_of("organisations:security")
@outside_transaction
def check_domain(request: AuthenticatedRequest, domain_id: int) -> HttpResponse:
    """Look up the DNS record of a domain, now."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    domain = domain_verification.check_domain_now(request.actor, domain_id)
    if domain.check_result == DomainCheck.PRESENT:
        messages.success(request, _("The record was found: %s is verified.") % domain)
    else:
        messages.error(request, _explanation(domain))
    return HttpResponseRedirect(reverse("organisations:security") + "#email-domains")


@action_of("organisations:security")
@recent_sign_in_required
def remove_domain(request: AuthenticatedRequest, domain_id: int) -> HttpResponse:
    """Remove a domain, after a confirmation."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    domain = domain_verification.get_domain(request.actor, domain_id)
    if page := unconfirmed(request, confirmations.confirm_removing_domain(domain)):
        return page
    domain_verification.remove_domain(request.actor, domain_id)
    messages.success(request, _("%s is removed.") % domain)
    return HttpResponseRedirect(reverse("organisations:security") + "#email-domains")


def _explanation(domain: EmailDomain) -> str:
    match domain.check_result:
        case DomainCheck.MISSING:
            message = _(
                "The record of %s was not found. A new record can take some hours to appear; check its name "
                "and value."
            )
        case DomainCheck.OTHER_OWNER:
            message = _(
                "The record was found, but %s belongs to another organisation of this installation. It "
                "becomes yours when the other record is removed from DNS."
            )
        case _:
            message = _("The name servers gave no answer about %s. Nothing has changed; try again later.")
    return message % domain
