"""Pages of invitations: invite people, and accept an invitation by its link."""

from http import HTTPStatus
from typing import Any

from allauth.account.internal.flows.login import perform_login
from allauth.account.models import Login
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.web.client_ip import client_ip
from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import action_of, public, shows_refusals_on
from koppel.organisations.forms.people import AcceptForm, InvitationForm, InvitationListForm
from koppel.organisations.invitations import csv_import
from koppel.organisations.invitations import services as invitations
from koppel.organisations.models import Invitation, Organisation, User
from koppel.organisations.people import list as people_list
from koppel.organisations.people import services as people_services
from koppel.organisations.people.services import save_language
from koppel.organisations.requests import (
    AuthenticatedRequest,
    require_recent_sign_in,
    require_recent_sign_in_for_roles,
    switch_organisation,
)
from koppel.organisations.roles import Actor, Permission, Role
from koppel.organisations.views import confirmations

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def invite_person(request: AuthenticatedRequest) -> HttpResponse:
    """Invite one person; the page leads to inviting many, too."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    form = InvitationForm.of(request)
    if request.method == "POST":
        with form.refusals():
            require_recent_sign_in_for_roles(request, form.input.role)
            invitation = invitations.invite(request.actor, form.input)
            _add_sent_message(request, _("Invitation sent to %s.") % invitation.email, invitation.email)
            return HttpResponseRedirect(reverse("organisations:people"))
    return render(request, "organisations/invite.html", {**_choices(request.actor), "form": form})


def invite_people(request: AuthenticatedRequest) -> HttpResponse:
    """Invite a list of people: preview the result of each line, then send the invitations."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    form = InvitationListForm.of(request)
    context: dict[str, Any] = {"nav_section": "people", "form": form, "text": form["text"].value() or ""}
    if request.method == "POST":
        with form.refusals():
            context |= _invite_lines(request, **form.values)
    return render(request, "organisations/invite_many.html", context)


@action_of("organisations:people")
def resend_invitation(request: AuthenticatedRequest, invitation_id: int) -> HttpResponse:
    """Send a new email; the link in the older one opens nothing any more."""
    invitation = invitations.resend(request.actor, invitation_id)
    message = _("A new invitation was sent to %s. The previous link no longer works.") % invitation.email
    _add_sent_message(request, message, invitation.email)
    return HttpResponseRedirect(reverse("organisations:people"))


@action_of("organisations:people")
def revoke_invitation(request: AuthenticatedRequest, invitation_id: int) -> HttpResponse:
    """Revoke an invitation."""
    open_invitation = invitations.open_invitation(request.actor, invitation_id)
    if page := unconfirmed(request, confirmations.confirm_revoking_invitation(open_invitation)):
        return page
    invitation = invitations.revoke(request.actor, invitation_id)
    messages.success(request, _("The invitation of %s is revoked.") % invitation.email)
    return HttpResponseRedirect(reverse("organisations:people"))


@public
@shows_refusals_on("organisations/invitation_gone.html", HTTPStatus.GONE)
def accept_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Accept the invitation as a signed-in person, or with a name and a password chosen here."""
    invitation, organisation = invitations.get_open_invitation(token)
    with translation.override(language := _language(request, invitation)):
        response = _page(request, token, invitation, organisation)
    response.headers["Content-Language"] = language
    return response


def _language(request: HttpRequest, invitation: Invitation) -> str:
    """Return that of the email, as the pages behind it will be, until the person chooses another one."""
    has_chosen = request.user.is_authenticated or settings.LANGUAGE_COOKIE_NAME in request.COOKIES
    return translation.get_language() or "" if has_chosen else invitation.language


def _page(
    request: HttpRequest, token: str, invitation: Invitation, organisation: Organisation
) -> HttpResponse:
    by = User.objects.get(pk=request.user.pk) if request.user.is_authenticated else None
    is_sso_session = by is not None and "sso_organisation_id" in request.session
    is_post = request.method == "POST"
    form = AcceptForm.of(request, initial={"name": invitation.name})
    context: dict[str, Any] = {
        "invitation": invitation,
        "organisation": organisation,
        "form": form,
        "is_known": invitations.has_account(invitation.email),
        "is_other": by is not None and by.email.lower() != invitation.email.lower(),
        "is_sso_session": is_sso_session,
        "refusal": invitations.rejection_reason(invitation),
    }
    # An identity provider vouches for accounts of its own organisation only: the person accepts with their
    # own credentials.
    is_forbidden = context["refusal"] or (is_sso_session and is_post)
    if is_post and not is_forbidden:
        with form.refusals():
            return _join(request, token, by, form)
    return render(request, "organisations/invitation.html", context, status=403 if is_forbidden else 200)


def _join(request: HttpRequest, token: str, by: User | None, form: AcceptForm) -> HttpResponse:
    invitation, _organisation = invitations.get_open_invitation(token)
    user = invitations.accept(token, by, **form.values, ip_address=client_ip(request))
    switch_organisation(request, invitation.organisation_id)
    if by is not None:
        return redirect(settings.LOGIN_REDIRECT_URL)
    if settings.LANGUAGE_COOKIE_NAME in request.COOKIES:
        save_language(user.pk, translation.get_language() or "")
    user.backend = BACKEND
    return perform_login(request, Login(user=user, redirect_url=resolve_url(settings.LOGIN_REDIRECT_URL)))  # type: ignore[no-any-return]


def _invite_lines(request: AuthenticatedRequest, *, text: str, file: str, confirmed: bool) -> dict[str, Any]:
    """Invite the people in the lines if `confirmed`; else preview. Return the page's context. Raises
    `Refused`.
    """
    text = file or text
    lines = csv_import.preview(request.actor, text)
    if confirmed:
        if str(Role.ADMINISTRATOR.label) in {line.role for line in lines}:
            require_recent_sign_in(request)
        lines = csv_import.invite_all(request.actor, text)
    valid_count = sum(not line.problem for line in lines)
    if confirmed:
        message = ngettext("%(count)d person invited.", "%(count)d people invited.", valid_count)
        messages.success(request, message % {"count": valid_count})
    bad_count = len(lines) - valid_count
    return {"text": text, "lines": lines, "good": valid_count, "bad": bad_count, "done": confirmed}


def _add_sent_message(request: AuthenticatedRequest, message: str, email: str) -> None:
    """Add the message about the mail; without a mail server, a warning, but in the demo."""
    if settings.SENDS_MAIL:
        messages.success(request, message)
    elif settings.IS_DEMO:
        messages.success(request, _("%s was invited. The list of people has the link.") % email)
    else:
        messages.warning(
            request, _("%s was invited. E-mail is not set up, so pass on the link yourself.") % email
        )


def _choices(actor: Actor) -> dict[str, Any]:
    roles = [(key, label) for key, label in Role.choices if people_services.can_grant_role(actor, Role(key))]
    return {"nav_section": "people", "roles": roles, "divisions": people_list.divisions_of(actor)}
