"""The organisation's rules for sign-in, its identity provider, its audit log, and access of operators."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.web.decorators import action_of, outside_transaction
from koppel.organisations.access import domain_verification, security_policy, sessions
from koppel.organisations.forms.security import DomainForm, ProviderForm, SecurityPolicyForm, SupportForm
from koppel.organisations.models import IdentityProvider, Organisation
from koppel.organisations.requests import AuthenticatedRequest, recent_sign_in_required
from koppel.organisations.roles import Permission
from koppel.organisations.sso import services as single_sign_on


@recent_sign_in_required
def show_security(request: AuthenticatedRequest) -> HttpResponse:
    """Show all that the page holds; change the rules for everybody."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    form = SecurityPolicyForm.of(request)
    if request.method == "POST":
        with form.refusals():
            security_policy.update_security_policy(request.actor, form.policy)
            messages.success(request, _("Saved."))
            return _redirect()
    return _page(request, policy_form=form)


@recent_sign_in_required
def add_domain(request: AuthenticatedRequest) -> HttpResponse:
    """Add an e-mail domain, which then waits for its DNS record."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    form = DomainForm.of(request)
    if request.method == "POST":
        with form.refusals():
            domain = domain_verification.add_domain(request.actor, form.input)
            messages.success(request, _("%s is added. Create the DNS record below.") % domain)
            return HttpResponseRedirect(reverse("organisations:security") + "#email-domains")
    return _page(request, domain_form=form)


@recent_sign_in_required
def configure_provider(request: AuthenticatedRequest) -> HttpResponse:
    """Store the identity provider."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    form = ProviderForm.of(request)
    if request.method == "POST":
        with form.refusals():
            single_sign_on.configure(request.actor, form.input)
            messages.success(request, _("Saved. Test it before switching it on."))
            _flush_deleted_session(request)
            return _redirect()
    return _page(request, provider_form=form)


@action_of("organisations:security")
@recent_sign_in_required
def prepare_provider(request: AuthenticatedRequest) -> HttpResponse:
    """Prepare an identity provider, so that its redirect address exists before the form is complete."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    single_sign_on.prepare(request.actor)
    messages.success(
        request, _("Register the redirect address at your identity provider, then fill in the form.")
    )
    return _redirect()


@action_of("organisations:security")
@recent_sign_in_required
def disable_provider(request: AuthenticatedRequest) -> HttpResponse:
    """Switch off sign-in through the identity provider."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    count = single_sign_on.disable_provider(request.actor)
    message = ngettext(
        "The identity provider is switched off. %(count)d session ended.",
        "The identity provider is switched off. %(count)d sessions ended.",
        count,
    )
    messages.success(request, message % {"count": count})
    _flush_deleted_session(request)
    return _redirect()


@action_of("organisations:security")
@outside_transaction
@recent_sign_in_required
def test_provider(request: AuthenticatedRequest) -> HttpResponse:
    """Ask the provider whether it knows us; it is switched on when it does."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    single_sign_on.test_and_enable_provider(request.actor)
    messages.success(request, _("The identity provider works. Users can now sign in with it."))
    return _redirect()


@action_of("organisations:security")
@recent_sign_in_required
def require_sso(request: AuthenticatedRequest) -> HttpResponse:
    """Require single sign-on of all members."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    single_sign_on.require_sso(request.actor, request.session.get("sso_organisation_id"))
    messages.success(request, _("Single sign-on is now required."))
    return _redirect()


@action_of("organisations:security")
@recent_sign_in_required
def allow_other_sign_ins(request: AuthenticatedRequest) -> HttpResponse:
    """Let members sign in with their own passwords and passkeys again."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    single_sign_on.allow_other_sign_ins(request.actor)
    messages.success(request, _("Members can sign in with their own password or passkey again."))
    return _redirect()


@recent_sign_in_required
def grant_support(request: AuthenticatedRequest) -> HttpResponse:
    """Let the operator of the installation look in for a while."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    form = SupportForm.of(request)
    if request.method == "POST":
        with form.refusals():
            security_policy.grant_operator_access(request.actor, form.values["hours"])
            messages.success(request, _("Support access granted."))
            return _redirect()
    return _page(request, support_form=form)


@action_of("organisations:security")
def withdraw_support(request: AuthenticatedRequest) -> HttpResponse:
    """End the operators' access."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    security_policy.withdraw_operator_access(request.actor)
    messages.success(request, _("Support access ended."))
    return _redirect()


def _page(
    request: AuthenticatedRequest,
    *,
    policy_form: SecurityPolicyForm | None = None,
    provider_form: ProviderForm | None = None,
    domain_form: DomainForm | None = None,
    support_form: SupportForm | None = None,
) -> HttpResponse:
    """Return the page, with what was typed in the form that was refused."""
    organisation = Organisation.objects.get(pk=request.actor.organisation_id)
    access_ends_at = organisation.operator_access_until
    provider = single_sign_on.provider_of(organisation.pk)
    context = {
        "nav_section": "security",
        "organisation": organisation,
        "policy_form": policy_form if policy_form and policy_form.is_bound else _stored_policy(organisation),
        "provider_form": provider_form
        if provider_form and provider_form.is_bound
        else _stored_provider(provider),
        "support_form": support_form or SupportForm(),
        "own_address": request.actor.ip_address,
        "years": security_policy.AUDIT_YEARS,
        "provider": provider,
        "domain_form": domain_form or DomainForm(),
        "domains": domain_verification.list_domains(request.actor),
        "sso_sessions": sessions.count_sso_sessions(organisation.pk),
        "is_sso_session": "sso_organisation_id" in request.session,
        "redirect_uri": single_sign_on.redirect_uri(provider) if provider else "",
        "sign_in_url": settings.PUBLIC_URL + reverse("sign_in_through", args=[provider.pk])
        if provider
        else "",
        "support_hours": security_policy.OPERATOR_ACCESS_HOURS,
        "support_is_open": access_ends_at is not None and access_ends_at > timezone.now(),
    }
    return render(request, "organisations/security.html", context)


def _stored_policy(organisation: Organisation) -> SecurityPolicyForm:
    policy = security_policy.security_policy_of(organisation)
    return SecurityPolicyForm(
        initial=vars(policy) | {name: ", ".join(vars(policy)[name]) for name in ("email_domains", "networks")}
    )


def _stored_provider(provider: IdentityProvider | None) -> ProviderForm:
    fields = ("name", "issuer", "client_id")
    return ProviderForm(initial={field: getattr(provider, field, "") for field in fields})


def _flush_deleted_session(request: AuthenticatedRequest) -> None:
    """Leave a session that has ended with the provider that had begun it: without its row it could not be
    saved.
    """
    session = request.session
    if "sso_organisation_id" in session and not session.exists(str(session.session_key)):
        session.flush()


def _redirect() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("organisations:security"))
