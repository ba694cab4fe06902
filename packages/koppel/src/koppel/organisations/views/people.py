"""The list of people and each person's page."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import takes
from koppel.kit.web.parameters import IDENTIFIER, PAGE, TEXT, UnknownParameter, id_of, one_of, unknown_value
from koppel.organisations.access import api_tokens, mfa, sessions
from koppel.organisations.errors import Refused
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.csv_import import parse_end_of_day
from koppel.organisations.models import ApiToken, Invitation, Membership
from koppel.organisations.people import handover
from koppel.organisations.people import list as people_list
from koppel.organisations.people import services as people_services
from koppel.organisations.people.list import PAGE_SIZE, MemberFilter
from koppel.organisations.people.services import MembershipTerms
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Permission, Role
from koppel.organisations.views import confirmations


@takes(q=TEXT, role=one_of(*Role.values), division=IDENTIFIER, access=one_of(*people_list.MemberStatus), page=PAGE)
def list_people(request: AuthenticatedRequest) -> HttpResponse:
    """Show people with role, divisions and access, and open invitations."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    filters = parse_filter(request.parameters)
    if filters.division and not people_list.has_division(request.actor, filters.division):
        raise UnknownParameter([unknown_value("division", str(filters.division))])
    memberships = people_list.people_of(request.actor, filters)
    page = Paginator(memberships, PAGE_SIZE).get_page(request.parameters["page"])
    context = {
        "nav_section": "people",
        "filters": filters,
        "is_filtered": filters != MemberFilter(),
        "rows": people_list.list_member_rows(page),
        "total": page.paginator.count,
        "page": page.number,
        "pages": page.paginator.num_pages,
        "query": _query_without_page(request.GET),
        "invitations": _invitations(request.actor),
        "roles": Role.choices,
        "divisions": people_list.divisions_of(request.actor),
    }
    return render(request, "organisations/people.html", context)


def person(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    """Show a person's access, what they hold and their sessions, with the form for access."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    membership = _member(request, membership_id)
    if request.method == "POST":
        new_role = _parse_form(request.POST, membership)
        try:
            if membership.is_live and not people_services.is_live_with(new_role):
                people_services.check_change(request.actor, membership.pk, new_role)
                if page := unconfirmed(request, confirmations.take_away_access(membership, new_role, request.POST)):
                    return page
            people_services.update_membership(request.actor, membership.pk, new_role)
            messages.success(request, _("Saved."))
        except Refused as refusal:
            messages.error(request, str(refusal))
        return _redirect_to(membership)
    return render(request, "organisations/person.html", _person_context(request.actor, membership))


@require_POST
def hand_over(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    """Hand everything that the person holds to a colleague, and end their access when that is ticked."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    membership, successor_id = _member(request, membership_id), id_of(request.POST.get("to", "")) or 0
    deactivate = request.POST.get("deactivate") == "1"
    try:
        transfer = handover.preview(request.actor, membership.pk, successor_id, deactivate=deactivate)
        if not transfer.moving and (not deactivate or not membership.is_active):
            messages.success(request, _("Nothing is left to hand over."))
            return _redirect_to(membership)
        if page := unconfirmed(request, confirmations.hand_over(transfer)):
            return page
        handover.hand_over(request.actor, membership.pk, successor_id, deactivate=deactivate, confirmed=transfer)
        messages.success(request, _("Everything is handed over."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _redirect_to(membership)


@require_POST
def end_sessions(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    request.actor.require(Permission.MANAGE_PEOPLE)
    membership = _manageable_or_none(request, membership_id)
    if membership is not None:
        if page := unconfirmed(request, confirmations.end_sessions(membership)):
            return page
        sessions.end_sessions_of(request.actor, membership)
        messages.success(request, _("The sessions are ended. The person must sign in again."))
    return HttpResponseRedirect(reverse("organisations:person", args=[membership_id]))


@require_POST
def reset_second_step(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    """Remove the second step of a person who lost the phone; the next sign-in sets it up again."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    membership = _manageable_or_none(request, membership_id)
    if membership is not None:
        try:
            mfa.reset(request.actor, membership)
            messages.success(request, _("The second step is removed. It is set up again at the next sign-in."))
        except Refused as refusal:
            messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("organisations:person", args=[membership_id]))


@require_POST
def revoke_token(request: AuthenticatedRequest, membership_id: int, token_id: int) -> HttpResponse:
    request.actor.require(Permission.MANAGE_PEOPLE)
    membership = _manageable_or_none(request, membership_id)
    token = ApiToken.objects.filter(pk=token_id, membership_id=membership_id, revoked_at=None).first()
    if membership is not None and token is not None:
        if page := unconfirmed(request, confirmations.revoke_token(membership, token)):
            return page
        try:
            api_tokens.revoke_token(request.actor, token_id)
            messages.success(request, _("The token is revoked. Programs that use it are refused from now on."))
        except Refused as refusal:
            messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("organisations:person", args=[membership_id]))


def parse_filter(parameters: Mapping[str, Any]) -> MemberFilter:
    role, access = parameters["role"], parameters["access"]
    return MemberFilter(
        search=(parameters["q"] or "").replace("\0", "").strip(),
        role=Role(role) if role else None,
        division=parameters["division"],
        access=people_list.MemberStatus(access) if access else None,
    )


def _person_context(actor: Actor, membership: Membership) -> dict[str, Any]:
    role = Role(membership.role)
    colleagues = Membership.objects.filter(organisation_id=actor.organisation_id, is_active=True).exclude(
        pk=membership.pk
    )
    return {
        "nav_section": "people",
        "person": membership,
        "access": people_list.status_of(membership),
        "may_change": people_services.can_grant_role(actor, role),
        "roles": [(key, label) for key, label in Role.choices if people_services.can_grant_role(actor, Role(key))],
        "divisions": people_list.divisions_of(actor),
        "own_divisions": set(membership.divisions.values_list("division_id", flat=True)),
        "holdings": handover.owned_items(actor, membership),
        "heirs": colleagues.select_related("user").order_by("user__name"),
        "sessions": sessions.sessions_of(membership.user_id, actor.organisation_id),
        "tokens": ApiToken.objects.filter(membership=membership, revoked_at=None).order_by("-pk"),
        "second_steps": mfa.method_names(membership.user_id),
    }


def _parse_form(form: QueryDict, membership: Membership) -> MembershipTerms:
    role, day = form.get("role"), form.get("until")
    expires_at = parse_end_of_day(day) if day else None
    division_ids = frozenset(filter(None, map(id_of, form.getlist("divisions"))))
    # What the form does not offer it cannot have taken away.
    division_ids |= frozenset(
        membership.divisions.exclude(division__archived_at=None).values_list("division_id", flat=True)
    )
    new_role = Role(role) if role in Role.values else Role(membership.role)
    return MembershipTerms(new_role, form.get("is_active") == "1", expires_at, division_ids)


def _member(request: AuthenticatedRequest, membership_id: int) -> Membership:
    try:
        return people_services.member(request.actor, membership_id)
    except Refused as refusal:
        raise Http404(str(refusal)) from None


def _manageable_or_none(request: AuthenticatedRequest, membership_id: int) -> Membership | None:
    """Return None, with a message, when the actor may not manage this person."""
    membership = _member(request, membership_id)
    try:
        people_services.require_grantable_role(request.actor, Role(membership.role))
    except Refused as refusal:
        messages.error(request, str(refusal))
        return None
    return membership


def _invitations(actor: Actor) -> list[tuple[Invitation, str]]:
    """Return invitations with the link to pass on, where no mail is sent."""
    queryset = invitations.open_invitations(actor.organisation_id)
    open_invitations = queryset.select_related("invited_by__user", "organisation").order_by("-created_at", "-pk")
    return invitations.pair_with_links(actor, open_invitations)


def _query_without_page(query: QueryDict) -> str:
    params = query.copy()
    params.pop("page", None)
    return params.urlencode()


def _redirect_to(membership: Membership) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("organisations:person", args=[membership.pk]))
