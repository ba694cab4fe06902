"""The buttons of a connection: probe, sign in again, pause, owner, release, remove. Each is safe to press twice."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import wraps
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.connections import overview, ownership, queries, repair, settling
from koppel.connections.dependants import Fate
from koppel.connections.doors import sign_in_at_vendor
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.connections.handover import hand_over_question
from koppel.connections.models import ConnectionEvent, ConsentPurpose, Release
from koppel.connections.probe import probe as call
from koppel.connections.same_company import OTHER_COMPANY
from koppel.connector.registry import connectors
from koppel.kit.confirmation import unconfirmed
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest, outside_transaction

Act = Callable[[MemberRequest, int], HttpResponse]


def _kept(act: Act) -> Act:
    """A refusal is a sentence on the connection's page; a connection that is gone says so on the list."""

    @wraps(act)
    def view(request: MemberRequest, connection_id: int) -> HttpResponse:
        try:
            return act(request, connection_id)
        except (Refused, ConsentRefused) as refusal:
            messages.error(request, str(refusal))
            return _to(connection_id)
        except NoSuchConnection:
            messages.info(request, _("This connection does not exist any more."))
            return HttpResponseRedirect("/connections/")

    return view


@require_POST
@_kept
def reconnect(request: MemberRequest, connection_id: int) -> HttpResponse:
    """Sign in again, in place: administrations, settings and checkpoints stay as they are."""
    one = queries.connection_for(request.actor, connection_id)
    back = (
        f"/connections/repair/?{urlencode({'since': since})}"
        if (since := _since(request))
        else f"/connections/{one.pk}/"
    )
    return sign_in_at_vendor(
        request, request.actor, one.app_id, ConsentPurpose.RECONNECT, back, connection_id=one.pk, force_sign_in=True
    )


@require_POST
@_kept
def take_over(request: MemberRequest, connection_id: int) -> HttpResponse:
    """The new owner signs in with an account of their own."""
    one = queries.connection_for(request.actor, connection_id)
    return sign_in_at_vendor(
        request, request.actor, one.app_id, ConsentPurpose.TAKE_OVER, f"/connections/{one.pk}/",
        connection_id=one.pk, force_sign_in=True,
    )  # fmt: skip


@require_POST
@outside_transaction
def probe(request: MemberRequest, connection_id: int) -> HttpResponse:
    """One cheap call, now."""
    try:
        found = call(request.actor, connection_id)
    except NoSuchConnection:
        raise Http404 from None
    if found.answered:
        facts = {"company": found.company, "milliseconds": found.milliseconds}
        named = _("It works: %(company)s answered in %(milliseconds)d ms.")
        unnamed = _("It works: the accounting system answered in %(milliseconds)d ms.")
        messages.success(request, (named if found.company else unnamed) % facts)
    else:
        messages.error(request, _("It does not work now: %s") % _(found.sentence))
    return _to(connection_id)


@require_POST
@_kept
def pause(request: MemberRequest, connection_id: int) -> HttpResponse:
    if repair.pause(request.actor, connection_id):
        messages.success(request, _("Paused. Nothing is read until somebody resumes it."))
    return _to(connection_id)


@require_POST
@_kept
def resume(request: MemberRequest, connection_id: int) -> HttpResponse:
    if repair.resume(request.actor, connection_id):
        messages.success(request, _("Resumed. What waited goes on now."))
    return _to(connection_id)


@require_POST
@_kept
def owner(request: MemberRequest, connection_id: int) -> HttpResponse:
    """Ask somebody to take the connection over; the owner's own name takes that back."""
    if ownership.ask_to_take_over(request.actor, connection_id, _number(request, "membership")):
        one = queries.connection_for(request.actor, connection_id)
        noted = _("Noted. Until the new owner has signed in, it runs on the old account.")
        messages.success(request, noted if one.next_owner_id else _("%s is its owner.") % one.owner.user)
    return _to(connection_id)


@require_POST
@_kept
def release(request: MemberRequest, connection_id: int) -> HttpResponse:
    """Which companies others than the owner may import."""
    request.actor.require(Permission.CONNECTIONS)
    which = request.POST.get("which", "")
    if which not in Release.values:
        raise Refused(_("Choose what is released."))
    chosen = numbers_of(request.POST.getlist("companies"))
    count = repair.release(request.actor, connection_id, Release(which), chosen)
    text = ngettext("%d company is released for import.", "%d companies are released for import.", count)
    messages.success(request, text % count)
    return _to(connection_id)


@require_POST
@_kept
def change(request: MemberRequest, connection_id: int) -> HttpResponse:
    """Take over what changed at the accounting system, or leave it; of another company: yes, it is the same, or no. For one
    administration, or for all that are ticked."""
    code, take = request.POST.get("code", ""), request.POST.get("take") == "1"
    ids = numbers_of(request.POST.getlist("administration"))
    if not ids and code == OTHER_COMPANY:
        raise Refused(_("Tick the administrations that you decide about."))
    marks = request.POST.getlist("mark")
    count = settling.settle_changes(
        request.actor, connection_id, ids or [0], code, take=take, seen=_seen(request), shown=marks
    )
    if code != OTHER_COMPANY:
        return _to(connection_id, "#companies")
    if count and take:
        text = ngettext("%d administration goes on.", "%d administrations go on.", count)
        messages.success(request, text % count)
    elif count:
        text = ngettext("%d administration stays stopped.", "%d administrations stay stopped.", count)
        messages.info(request, text % count)
    return _to(connection_id, "#same-company")


@_kept
def remove(request: MemberRequest, connection_id: int) -> HttpResponse:
    """First what would happen, with a choice; then, sent from there, it happens."""
    if request.method != "POST":
        return _removal_page(request, connection_id)
    fate = request.POST.get("fate", "")
    if fate not in list(Fate):
        messages.error(request, _("Choose what becomes of the administrations."))
        return _removal_page(request, connection_id)
    try:
        found = repair.remove(request.actor, connection_id, Fate(fate), seen=request.POST.get("seen", ""))
    except Refused as refusal:
        messages.error(request, str(refusal))
        return _removal_page(request, connection_id)
    messages.success(request, repair.done_sentence(found, Fate(fate)))
    return HttpResponseRedirect("/connections/")


def repair_all(request: MemberRequest) -> HttpResponse:
    """Everything that needs a sign-in, one after the other, with what is done already."""
    request.actor.require(Permission.CONNECTIONS)
    since = _since(request) or timezone.now().isoformat()
    broken = overview.broken(request.actor)
    done = ConnectionEvent.objects.filter(
        organisation_id=request.actor.organisation_id, kind="reconnected", at__gte=parse_datetime(since)
    ).exclude(connection__in=[one.connection for one in broken])
    request.csp_forms = queries.sign_in_origins(request.actor)  # type: ignore[attr-defined]
    names = {key: one.descriptor.title for key, one in connectors().items()}
    latest = {one.connection_id: one for one in done.select_related("connection").order_by("at")}
    context = {
        "broken": broken,
        "done": [(one, names.get(one.connection.connector, "")) for one in latest.values()],
        "total": len(broken) + len(latest),
        "waiting": sum(one.waiting for one in broken),
        "since": since,
        "place": "connections",
    }
    return render(request, "connections/repair.html", context)


def leaving(request: MemberRequest, membership_id: int) -> HttpResponse:
    """What hangs on somebody who leaves, and handing it over in one act."""
    request.actor.require(Permission.CONNECTIONS)
    try:
        if request.method == "POST":
            to = _number(request, "membership")
            question = hand_over_question(request.actor, membership_id, to)
            if not question.groups:
                messages.success(request, _("Nothing is left to hand over."))
                return HttpResponseRedirect(request.path)
            if page := unconfirmed(request, question):
                return page
            count = ownership.hand_over_all(request.actor, membership_id, to)
            text = ngettext(
                "%d connection is handed over: it changes with the next sign-in.",
                "%d connections are handed over: each changes with the next sign-in.",
                count,
            )
            messages.success(request, text % count)
            return HttpResponseRedirect(request.path)
        found = ownership.leaving(request.actor, membership_id)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect("/connections/" if request.method != "POST" else request.path)
    owners = [one for one in ownership.possible_owners(request.actor) if one.pk != membership_id]
    return render(
        request, "connections/leaving.html", {"found": found, "owners": owners, "place": "connections"}
    )  # fmt: skip


def _removal_page(request: MemberRequest, connection_id: int) -> HttpResponse:
    found = repair.preview_removal(request.actor, connection_id)
    context = {
        "found": found,
        "card": overview.card_of(queries.connection_for(request.actor, connection_id)),
        "may": not found.needs_administrator or request.actor.may(Permission.ORGANISATION),
        "place": "connections",
    }
    return render(request, "connections/remove.html", context)


def _to(connection_id: int, part: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(f"/connections/{connection_id}/{part}")


def numbers_of(texts: Iterable[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) < 19]


def _seen(request: MemberRequest) -> datetime | None:
    """When the page was made on which the person answers."""
    try:
        moment = parse_datetime(request.POST.get("seen", ""))
    except ValueError:
        return None
    return moment if moment is not None and timezone.is_aware(moment) else None


def _number(request: MemberRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _since(request: MemberRequest) -> str:
    """Since when a round of signing in again is under way; '' when there is none."""
    text = request.POST.get("since", "") or request.GET.get("since", "")
    try:
        moment = parse_datetime(text)
    except ValueError:
        return ""
    return moment.isoformat() if moment is not None and timezone.is_aware(moment) else ""
