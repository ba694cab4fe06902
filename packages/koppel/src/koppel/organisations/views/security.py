"""The organisation's rules for sign-in, its identity provider, its audit log, and access of operators."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.kit.web.decorators import outside_transaction
from koppel.kit.web.parameters import id_of
from koppel.organisations.access import domains, security_policy, sessions
from koppel.organisations.access.security_policy import SecurityPolicy
from koppel.organisations.errors import Refused
from koppel.organisations.models import Organisation
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission
from koppel.organisations.sso import services as single_sign_on
from koppel.organisations.sso.services import ProviderForm


def rules(request: AuthenticatedRequest) -> HttpResponse:
    """Show the rules, and all forms of the page."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    organisation = Organisation.objects.get(pk=request.actor.organisation_id)
    if request.method == "POST":
        form = request.POST
        try:
            names = security_policy.parse_domains(form.get("email_domains", ""))
            years = id_of(form.get("audit_years", "")) or 0
            security_policy.update_security_policy(
                request.actor, SecurityPolicy(form.get("requires_mfa") == "1", names, years)
            )
            messages.success(request, _("Saved."))
        except Refused as refusal:
            messages.error(request, str(refusal))
        return _redirect()
    access_ends_at = organisation.operator_access_until
    provider = single_sign_on.provider_of(organisation.pk)
    context = {
        "nav_section": "security",
        "organisation": organisation,
        "years": security_policy.AUDIT_YEARS,
        "provider": provider,
        "unconfirmed_domains": domains.unconfirmed(organisation),
        "sso_sessions": sessions.sso_sessions(organisation.pk),
        "is_sso_session": "sso_organisation_id" in request.session,
        "redirect_uri": single_sign_on.redirect_uri(provider) if provider else "",
        "sign_in_url": settings.PUBLIC_URL + reverse("sign_in_through", args=[provider.pk]) if provider else "",
        "support_hours": security_policy.OPERATOR_ACCESS_HOURS,
        "support_is_open": access_ends_at is not None and access_ends_at > timezone.now(),
    }
    return render(request, "organisations/security.html", context)


@require_POST
def provider(request: AuthenticatedRequest) -> HttpResponse:
    """Prepare, store or switch off the identity provider."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    form = request.POST
    try:
        if form.get("action") == "off":
            count = single_sign_on.switch_off(request.actor)
            message = ngettext(
                "Nobody signs in through the identity provider any more. %(count)d session that it began has ended.",
                "Nobody signs in through the identity provider any more. %(count)d sessions that it began have ended.",
                count,
            )
            messages.success(request, message % {"count": count})
        elif form.get("action") == "prepare":
            single_sign_on.prepare(request.actor)
            messages.success(
                request, _("Register the redirect address at your identity provider, then fill in the form.")
            )
        else:
            fields = (form.get(key, "") for key in ("name", "issuer", "client_id", "client_secret"))
            single_sign_on.configure(request.actor, ProviderForm(*fields))
            messages.success(request, _("Saved. Test it to switch it on."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    session = request.session
    if "sso_organisation_id" in session and not session.exists(str(session.session_key)):
        # It ended with the provider that had begun it; a session without its row could not be saved.
        session.flush()
    return _redirect()


@require_POST
@outside_transaction
def test_provider(request: AuthenticatedRequest) -> HttpResponse:
    """Test the provider, and switch it on when it works."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    try:
        single_sign_on.test(request.actor)
        messages.success(request, _("The identity provider knows Koppel. People can sign in through it now."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _redirect()


@require_POST
def support(request: AuthenticatedRequest) -> HttpResponse:
    """Let operators of the installation read, or end it."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    try:
        if request.POST.get("action") == "withdraw":
            security_policy.withdraw_operator_access(request.actor)
            messages.success(request, _("Nobody from outside looks in any more."))
        else:
            security_policy.grant_operator_access(request.actor, id_of(request.POST.get("hours", "")) or 0)
            messages.success(request, _("The operator of this installation may look in."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _redirect()


def _redirect() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("organisations:security"))
