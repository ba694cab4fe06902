"""The list of people and each person's page."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import action_of, query_parameters
from koppel.kit.web.parameters import IDENTIFIER, PAGE, TEXT, UnknownParameter, one_of, unknown_value
from koppel.organisations.access import api_tokens, mfa, sessions
from koppel.organisations.forms.people import AccessForm, HandOverForm
from koppel.organisations.invitations import services as invitations
from koppel.organisations.models import ApiToken, Invitation, Membership
from koppel.organisations.people import handover
from koppel.organisations.people import list as people_list
from koppel.organisations.people import services as people_services
from koppel.organisations.people.list import PAGE_SIZE, MemberFilter
from koppel.organisations.people.services import MembershipTerms
from koppel.organisations.requests import (
    AuthenticatedRequest,
    recent_sign_in_required,
    require_recent_sign_in_for_roles,
)
from koppel.organisations.roles import Actor, Permission, Role
from koppel.organisations.sso import links
from koppel.organisations.views import confirmations


@query_parameters(
    q=TEXT,
    role=one_of(*Role.values),
    division=IDENTIFIER,
    access=one_of(*people_list.MemberStatus),
    page=PAGE,
)
def list_people(request: AuthenticatedRequest) -> HttpResponse:
    """Show all members with role, divisions and access, below the open invitations."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    filters = parse_filter(request.parameters)
    if filters.division and not people_list.has_division(request.actor, filters.division):
        raise UnknownParameter([unknown_value("division", str(filters.division))])
    memberships = people_list.list_memberships(request.actor, filters)
    page = Paginator(memberships, PAGE_SIZE).get_page(request.parameters["page"])
    context = {
        "nav_section": "people",
        "filters": filters,
        "is_filtered": filters != MemberFilter(),
        "rows": people_list.list_member_rows(page),
        "total": page.paginator.count,
        "page": page.number,
        "pages": page.paginator.num_pages,
        **_pager_urls(request.parameters, page),
        "invitations": _invitations(request.actor),
        "roles": Role.choices,
        "divisions": people_list.divisions_of(request.actor),
    }
    return render(request, "organisations/people.html", context)


def show_person(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    """Show a person's access, items and sessions; change the access."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    membership = people_services.get_member(request.actor, membership_id)
    form = AccessForm.of(request, initial=AccessForm.initial_of(membership))
    if request.method == "POST":
        with form.refusals():
            return _change_access(request, membership, form)
    return render(
        request, "organisations/person.html", _person_context(request.actor, membership) | {"form": form}
    )


@action_of("organisations:person", "membership_id")
def hand_over(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    """Hand all of the person's items over to a colleague, and end their access if that is ticked."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    membership = people_services.get_member(request.actor, membership_id)
    data = HandOverForm.of(request).input_or_refusal()
    if data.deactivate:
        require_recent_sign_in_for_roles(request, membership.role)
    transfer = handover.preview(request.actor, membership.pk, data)
    if not transfer.items and (not data.deactivate or not membership.is_active):
        messages.success(request, _("Nothing left to transfer."))
        return _redirect_to(membership)
    if page := unconfirmed(request, confirmations.confirm_handover(transfer)):
        return page
    handover.hand_over(request.actor, membership.pk, data, confirmed=transfer)
    messages.success(request, _("Transfer complete."))
    return _redirect_to(membership)


@action_of("organisations:person", "membership_id")
def end_sessions(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    """Sign the person out of this organisation everywhere."""
    membership = people_services.get_manageable_member(request.actor, membership_id)
    if page := unconfirmed(request, confirmations.confirm_ending_sessions(membership)):
        return page
    sessions.end_sessions_of(request.actor, membership)
    messages.success(request, _("Sessions ended. The user must sign in again."))
    return _redirect_to(membership)


@action_of("organisations:person", "membership_id")
@recent_sign_in_required
def reset_second_step(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    """Remove the second step of a person who lost the phone; the next sign-in sets it up again."""
    membership = people_services.get_manageable_member(request.actor, membership_id)
    mfa.reset_mfa(request.actor, membership)
    messages.success(
        request, _("Two-step verification removed. The user sets it up again at the next sign-in.")
    )
    return _redirect_to(membership)


@action_of("organisations:person", "membership_id")
def revoke_token(request: AuthenticatedRequest, membership_id: int, token_id: int) -> HttpResponse:
    """Revoke a token of the person's."""
    membership = people_services.get_manageable_member(request.actor, membership_id)
    token = api_tokens.get_token(request.actor, token_id, membership.pk)
    if page := unconfirmed(request, confirmations.confirm_revoking_token(membership, token)):
        return page
    api_tokens.revoke_token(request.actor, token.pk)
    messages.success(request, _("Token revoked. Programs using it no longer have access."))
    return _redirect_to(membership)


@action_of("organisations:person", "membership_id")
@recent_sign_in_required
def approve_link(request: AuthenticatedRequest, membership_id: int, link_id: int) -> HttpResponse:
    """Approve a person's sign-in with an identity whose address the provider does not confirm."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    membership = people_services.get_member(request.actor, membership_id)
    links.approve_link(request.actor, membership.pk, link_id)
    messages.success(request, _("Sign-in approved."))
    return _redirect_to(membership)


@action_of("organisations:person", "membership_id")
def reject_link(request: AuthenticatedRequest, membership_id: int, link_id: int) -> HttpResponse:
    """Reject a person's sign-in with an identity that waits for approval."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    membership = people_services.get_member(request.actor, membership_id)
    links.reject_link(request.actor, membership.pk, link_id)
    messages.success(request, _("Sign-in rejected."))
    return _redirect_to(membership)


def parse_filter(parameters: Mapping[str, Any]) -> MemberFilter:
    """Return the filters of the URL."""
    role, access = parameters["role"], parameters["access"]
    return MemberFilter(
        search=(parameters["q"] or "").replace("\0", "").strip(),
        role=Role(role) if role else None,
        division=parameters["division"],
        access=people_list.MemberStatus(access) if access else None,
    )


def _person_context(actor: Actor, membership: Membership) -> dict[str, Any]:
    role = Role(membership.role)
    may_approve = actor.can(Permission.MANAGE_ORGANISATION)
    colleagues = Membership.objects.for_actor(actor).filter(is_active=True).exclude(pk=membership.pk)
    return {
        "nav_section": "people",
        "person": membership,
        "access": people_list.status_of(membership),
        "may_change": people_services.can_grant_role(actor, role),
        "roles": [
            (key, label) for key, label in Role.choices if people_services.can_grant_role(actor, Role(key))
        ],
        "divisions": people_list.divisions_of(actor),
        "holdings": handover.owned_items(actor, membership),
        "heirs": colleagues.select_related("user").order_by("user__name"),
        "sessions": sessions.sessions_of(membership.user_id, actor.organisation_id),
        "tokens": ApiToken.objects.filter(membership=membership, revoked_at=None).order_by("-pk"),
        "waiting_link": links.waiting_link_of(actor, membership.pk) if may_approve else None,
        "second_steps": mfa.method_names(membership.user_id),
    }


def _change_access(request: AuthenticatedRequest, membership: Membership, form: AccessForm) -> HttpResponse:
    """Store the form's values; ask for confirmation when they remove access."""
    terms = _with_archived_divisions(form.input.terms, membership)
    require_recent_sign_in_for_roles(request, membership.role, terms.role)
    if membership.is_live and not people_services.allows_sign_in(terms):
        people_services.require_change_allowed(request.actor, membership.pk, terms)
        question = confirmations.confirm_loss_of_access(membership, terms.role, form.fields_to_confirm)
        if page := unconfirmed(request, question):
            return page
    people_services.update_membership(request.actor, membership.pk, terms)
    messages.success(request, _("Saved."))
    return _redirect_to(membership)


def _with_archived_divisions(terms: MembershipTerms, membership: Membership) -> MembershipTerms:
    """Return the terms with the archived divisions that the form does not offer, so that they stay."""
    archived = membership.divisions.exclude(division__archived_at=None)
    return replace(terms, divisions=terms.divisions | set(archived.values_list("division_id", flat=True)))


def _invitations(actor: Actor) -> list[tuple[Invitation, str]]:
    """List the open invitations with the link to hand over, where no mail is sent."""
    queryset = invitations.open_invitations(actor.organisation_id)
    open_invitations = queryset.select_related("invited_by__user", "organisation").order_by(
        "-created_at", "-pk"
    )
    return invitations.pair_with_links(actor, open_invitations)


def _pager_urls(parameters: Mapping[str, Any], page: Page[Membership]) -> dict[str, str]:
    """Return the URLs of the previous and the next page; '' for a missing one."""
    filters = {name: value for name, value in parameters.items() if value and name != "page"}
    return {
        "previous_url": "?" + urlencode(filters | {"page": page.number - 1}) if page.has_previous() else "",
        "next_url": "?" + urlencode(filters | {"page": page.number + 1}) if page.has_next() else "",
    }


def _redirect_to(membership: Membership) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("organisations:person", args=[membership.pk]))
