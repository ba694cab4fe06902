"""Inviting people, and the page of an invitation's link."""

from typing import Any

from allauth.account.internal.flows.login import perform_login
from allauth.account.models import Login
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.kit.tabular.reader import TableError
from koppel.kit.web.client_ip import client_ip
from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import public
from koppel.kit.web.parameters import id_of
from koppel.organisations.errors import Refused
from koppel.organisations.invitations import csv_import
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.csv_import import parse_end_of_day
from koppel.organisations.invitations.services import InvitationData
from koppel.organisations.models import Invitation, Organisation, User
from koppel.organisations.people import list as people_list
from koppel.organisations.people import services as people_services
from koppel.organisations.people.services import save_language
from koppel.organisations.requests import AuthenticatedRequest, switch_organisation
from koppel.organisations.roles import Actor, Permission, Role
from koppel.organisations.views import confirmations

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def invite(request: AuthenticatedRequest) -> HttpResponse:
    """Invite one person, or go to the page for many."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    problem = ""
    if request.method == "POST":
        try:
            invitation = invitations.invite(request.actor, _parse_form(request))
            _add_sent_message(request, _("%s is invited. The mail is on its way.") % invitation.email, invitation.email)
            return HttpResponseRedirect(reverse("organisations:people"))
        except Refused as refusal:
            problem = str(refusal)
    context = {**_choices(request.actor), "problem": problem, "form": request.POST}
    return render(request, "organisations/invite.html", context)


def invite_many(request: AuthenticatedRequest) -> HttpResponse:
    """Invite from a list: first the preview of each line, then the result."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    context: dict[str, Any] = {"nav_section": "people", "text": ""}
    if request.method == "POST":
        try:
            text = _text(request)
            commit = request.POST.get("confirmed") == "1"
            lines = (csv_import.invite_all if commit else csv_import.preview)(request.actor, text)
            valid_count = sum(not line.problem for line in lines)
            context |= {
                "text": text,
                "lines": lines,
                "good": valid_count,
                "bad": len(lines) - valid_count,
                "done": commit,
            }
            if commit:
                message = ngettext("%(count)d person is invited.", "%(count)d people are invited.", valid_count)
                messages.success(request, message % {"count": valid_count})
        except (Refused, TableError) as refusal:
            context |= {"problem": str(refusal), "text": request.POST.get("text", "")}
    return render(request, "organisations/invite_many.html", context)


@require_POST
def resend(request: AuthenticatedRequest, invitation_id: int) -> HttpResponse:
    request.actor.require(Permission.MANAGE_PEOPLE)
    try:
        invitation = invitations.resend(request.actor, invitation_id)
        _add_sent_message(
            request,
            _("%s gets a new mail. The link in the older one does not work any more.") % invitation.email,
            invitation.email,
        )
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("organisations:people"))


def _add_sent_message(request: AuthenticatedRequest, message: str, email: str) -> None:
    """Say that a mail is sent, or that there is no mail server."""
    if settings.SENDS_MAIL:
        messages.success(request, message)
    else:
        messages.warning(
            request, _("%s is invited, but Koppel sends no mail yet: hand over the link yourself.") % email
        )


@require_POST
def revoke(request: AuthenticatedRequest, invitation_id: int) -> HttpResponse:
    request.actor.require(Permission.MANAGE_PEOPLE)
    try:
        open_invitation = invitations.open_invitation(request.actor, invitation_id)
        if page := unconfirmed(request, confirmations.revoke_invitation(open_invitation)):
            return page
        invitation = invitations.revoke(request.actor, invitation_id)
        messages.success(request, _("The invitation of %s is revoked.") % invitation.email)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("organisations:people"))


@public
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """Make the invited person a member: signed in already, or with a name and a password chosen here."""
    try:
        invitation, organisation = invitations.get_open_invitation(token)
    except Refused as refusal:
        return render(request, "organisations/invitation_gone.html", {"message": str(refusal)}, status=410)
    with translation.override(language := _language(request, invitation)):
        response = _page(request, token, invitation, organisation)
    response.headers["Content-Language"] = language
    return response


def _language(request: HttpRequest, invitation: Invitation) -> str:
    """Use the language of the mail until the person chooses another."""
    has_chosen = request.user.is_authenticated or settings.LANGUAGE_COOKIE_NAME in request.COOKIES
    return translation.get_language() or "" if has_chosen else invitation.language


def _page(request: HttpRequest, token: str, invitation: Invitation, organisation: Organisation) -> HttpResponse:
    by = User.objects.get(pk=request.user.pk) if request.user.is_authenticated else None
    is_sso_session = by is not None and "sso_organisation_id" in request.session
    context: dict[str, Any] = {
        "invitation": invitation,
        "organisation": organisation,
        "is_known": invitations.has_account(invitation.email),
        "is_other": by is not None and by.email.lower() != invitation.email.lower(),
        "is_sso_session": is_sso_session,
        "name": request.POST.get("name", invitation.name),
        "refusal": invitations.rejection_reason(invitation),
    }
    if context["refusal"]:
        return render(request, "organisations/invitation.html", context, status=403)
    if is_sso_session:
        # An organisation's identity provider vouches for nobody outside it; the person accepts by their own proof.
        return render(
            request, "organisations/invitation.html", context, status=403 if request.method == "POST" else 200
        )
    if request.method == "POST":
        try:
            return _join(request, token, by)
        except Refused as refusal:
            context["problems"] = [str(refusal)]
        except ValidationError as weak:
            context["problems"] = weak.messages
    return render(request, "organisations/invitation.html", context)


def _join(request: HttpRequest, token: str, by: User | None) -> HttpResponse:
    form, address = request.POST, client_ip(request)
    invitation, _organisation = invitations.get_open_invitation(token)
    user = invitations.accept(
        token, by, name=form.get("name", ""), password=form.get("password", ""), ip_address=address
    )
    switch_organisation(request, invitation.organisation_id)
    if by is not None:
        return redirect(settings.LOGIN_REDIRECT_URL)
    if settings.LANGUAGE_COOKIE_NAME in request.COOKIES:
        save_language(user.pk, translation.get_language() or "")
    user.backend = BACKEND
    return perform_login(request, Login(user=user, redirect_url=resolve_url(settings.LOGIN_REDIRECT_URL)))  # type: ignore[no-any-return]


def _parse_form(request: AuthenticatedRequest) -> InvitationData:
    form = request.POST
    role = Role(form["role"]) if form.get("role") in Role.values else Role.USER
    expires_at = parse_end_of_day(form["until"]) if form.get("until") else None
    divisions = frozenset(filter(None, map(id_of, form.getlist("divisions"))))
    return InvitationData(form.get("email", ""), form.get("name", ""), role, divisions, expires_at)


def _text(request: AuthenticatedRequest) -> str:
    upload = request.FILES.get("file")
    return csv_import.decode(upload.read()) if upload is not None else request.POST.get("text", "")


def _choices(actor: Actor) -> dict[str, Any]:
    roles = [(key, label) for key, label in Role.choices if people_services.can_grant_role(actor, Role(key))]
    return {"nav_section": "people", "roles": roles, "divisions": people_list.divisions_of(actor)}
