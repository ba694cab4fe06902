"""The list of people and each person's page."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.kit.confirmation import unconfirmed
from koppel.kit.parameters import IDENTIFIER, PAGE, TEXT, UnknownParameter, one_of, unknown_value
from koppel.organisations import directory, handover, invitations, people, second_step, sessions, tokens
from koppel.organisations.directory import PAGE_SIZE, Asked
from koppel.organisations.errors import Refused
from koppel.organisations.invitation_lines import end_of_day
from koppel.organisations.models import ApiToken, Invitation, Membership
from koppel.organisations.pages import questions
from koppel.organisations.people import Access
from koppel.organisations.policy import Actor, Permission, Role
from koppel.web.doors import MemberRequest, takes


@takes(q=TEXT, role=one_of(*Role.values), division=IDENTIFIER, access=one_of(*directory.Access), page=PAGE)
def listing(request: MemberRequest) -> HttpResponse:
    """Everybody with role, divisions and access; open invitations above them."""
    request.actor.require(Permission.PEOPLE)
    asked = asked_for(request.GET)
    if asked.division and not directory.has_division(request.actor, asked.division):
        raise UnknownParameter([unknown_value("division", str(asked.division))])
    found = directory.people_of(request.actor, asked)
    total = found.count()
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(pages, number(request.GET.get("page")) or 1)
    context = {
        "place": "people",
        "asked": asked,
        "is_filtered": asked != Asked(),
        "rows": directory.rows(found, max(1, page)),
        "total": total,
        "page": page,
        "pages": pages,
        "query": _query_without_page(request.GET),
        "invitations": _invitations(request.actor),
        "roles": Role.choices,
        "divisions": directory.divisions_of(request.actor),
    }
    return render(request, "organisations/people.html", context)


def person(request: MemberRequest, membership_id: int) -> HttpResponse:
    """What somebody may, holds and is signed in from; the form that changes the first."""
    request.actor.require(Permission.PEOPLE)
    one = _member(request, membership_id)
    if request.method == "POST":
        wanted = _wanted(request.POST, one)
        try:
            if one.is_live and not people.is_live_with(wanted):
                people.check_change(request.actor, one.pk, wanted)
                if page := unconfirmed(request, questions.take_away_access(one, wanted, request.POST)):
                    return page
            people.change_access(request.actor, one.pk, wanted)
            messages.success(request, _("Saved."))
        except Refused as refusal:
            messages.error(request, str(refusal))
        return _to(one)
    return render(request, "organisations/person.html", _about(request.actor, one))


@require_POST
def hand_over(request: MemberRequest, membership_id: int) -> HttpResponse:
    """All that the person holds goes to a colleague, and their access ends when that is ticked."""
    request.actor.require(Permission.PEOPLE)
    one, heir = _member(request, membership_id), number(request.POST.get("to")) or 0
    ends = request.POST.get("deactivate") == "1"
    try:
        transfer = handover.preview(request.actor, one.pk, heir, deactivate=ends)
        if not transfer.moving and (not ends or not one.is_active):
            messages.success(request, _("Nothing is left to hand over."))
            return _to(one)
        if page := unconfirmed(request, questions.hand_over(transfer)):
            return page
        handover.hand_over(request.actor, one.pk, heir, deactivate=ends, confirmed=transfer)
        messages.success(request, _("Everything is handed over."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _to(one)


@require_POST
def end_sessions(request: MemberRequest, membership_id: int) -> HttpResponse:
    request.actor.require(Permission.PEOPLE)
    one = _reachable(request, membership_id)
    if one is not None:
        if page := unconfirmed(request, questions.end_sessions(one)):
            return page
        sessions.end_sessions_of(request.actor, one)
        messages.success(request, _("The sessions are ended. The person must sign in again."))
    return HttpResponseRedirect(reverse("organisations:person", args=[membership_id]))


@require_POST
def reset_second_step(request: MemberRequest, membership_id: int) -> HttpResponse:
    """For somebody who lost the phone: the second step is removed, to be set up again at the next sign-in."""
    request.actor.require(Permission.PEOPLE)
    one = _reachable(request, membership_id)
    if one is not None:
        try:
            second_step.reset(request.actor, one)
            messages.success(request, _("The second step is removed. It is set up again at the next sign-in."))
        except Refused as refusal:
            messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("organisations:person", args=[membership_id]))


@require_POST
def revoke_token(request: MemberRequest, membership_id: int, token_id: int) -> HttpResponse:
    request.actor.require(Permission.PEOPLE)
    one = _reachable(request, membership_id)
    token = ApiToken.objects.filter(pk=token_id, membership_id=membership_id, revoked_at=None).first()
    if one is not None and token is not None:
        if page := unconfirmed(request, questions.revoke_token(one, token)):
            return page
        try:
            tokens.revoke_token(request.actor, token_id)
            messages.success(request, _("The token is revoked. Programs that use it are refused from now on."))
        except Refused as refusal:
            messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("organisations:person", args=[membership_id]))


def asked_for(query: QueryDict) -> Asked:
    role, access = query.get("role"), query.get("access")
    return Asked(
        words=query.get("q", "").replace("\0", "").strip(),
        role=Role(role) if role in Role.values else None,
        division=number(query.get("division")),
        access=directory.Access(access) if access in list(directory.Access) else None,
    )


def number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 18 else None


def _about(actor: Actor, one: Membership) -> dict[str, Any]:
    role = Role(one.role)
    others = Membership.objects.filter(organisation_id=actor.organisation_id, is_active=True).exclude(pk=one.pk)
    return {
        "place": "people",
        "person": one,
        "access": directory.access(one),
        "may_change": people.may_give(actor, role),
        "roles": [(key, label) for key, label in Role.choices if people.may_give(actor, Role(key))],
        "divisions": directory.divisions_of(actor),
        "own_divisions": set(one.divisions.values_list("division_id", flat=True)),
        "holdings": handover.holdings_of(actor, one),
        "heirs": others.select_related("user").order_by("user__name"),
        "sessions": sessions.sessions_of(one.user_id, actor.organisation_id),
        "tokens": ApiToken.objects.filter(membership=one, revoked_at=None).order_by("-pk"),
        "second_steps": second_step.names_of(one.user_id),
    }


def _wanted(form: QueryDict, one: Membership) -> Access:
    role, day = form.get("role"), form.get("until")
    until = end_of_day(day) if day else None
    chosen = frozenset(int(key) for key in form.getlist("divisions") if number(key))
    # What the form does not offer it cannot have taken away.
    chosen |= frozenset(one.divisions.exclude(division__archived_at=None).values_list("division_id", flat=True))
    wanted = Role(role) if role in Role.values else Role(one.role)
    return Access(wanted, form.get("is_active") == "1", until, chosen)


def _member(request: MemberRequest, membership_id: int) -> Membership:
    try:
        return people.member(request.actor, membership_id)
    except Refused as refusal:
        raise Http404(str(refusal)) from None


def _reachable(request: MemberRequest, membership_id: int) -> Membership | None:
    """None, with the refusal said, when the person is out of the actor's reach."""
    one = _member(request, membership_id)
    try:
        people.refuse_out_of_reach(request.actor, Role(one.role))
    except Refused as refusal:
        messages.error(request, str(refusal))
        return None
    return one


def _invitations(actor: Actor) -> list[tuple[Invitation, str]]:
    """With the link to hand over, where no mail is sent."""
    own = invitations.open_invitations(actor.organisation_id)
    found = own.select_related("invited_by__user", "organisation").order_by("-created_at", "-pk")
    return invitations.with_links(actor, found)


def _query_without_page(query: QueryDict) -> str:
    kept = query.copy()
    kept.pop("page", None)
    return kept.urlencode()


def _to(one: Membership) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("organisations:person", args=[one.pk]))
