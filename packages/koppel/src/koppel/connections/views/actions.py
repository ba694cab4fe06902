"""The buttons of a connection: probe, sign in again, pause, owner, release, remove. Each is safe to press twice."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import wraps
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.connections import lifecycle, queries, summaries
from koppel.connections.companies import resolution
from koppel.connections.consent.sign_in_redirect import sign_in_at_vendor
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.connections.hooks import RemovalPolicy
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.lifecycle import ownership
from koppel.connections.lifecycle.connection_check import check_connection
from koppel.connections.lifecycle.handover import hand_over_question
from koppel.connections.models import ConsentPurpose, ImportPolicy, TimelineEvent
from koppel.connector.registry import connectors
from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import outside_transaction
from koppel.kit.web.parameters import id_of
from koppel.organisations.errors import Refused
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

ConnectionAction = Callable[[AuthenticatedRequest, int], HttpResponse]


def _kept(action: ConnectionAction) -> ConnectionAction:
    """Show a refusal on the connection's page, and on the list that a connection is gone."""

    @wraps(action)
    def view(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
        try:
            return action(request, connection_id)
        except (Refused, ConsentRefused) as refusal:
            messages.error(request, str(refusal))
            return _to(connection_id)
        except NoSuchConnection:
            messages.info(request, _("This connection does not exist any more."))
            return redirect("connections:list")

    return view


@require_POST
@_kept
def reconnect_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Sign in again, in place: administrations, settings and checkpoints stay as they are."""
    connection = queries.get_connection(request.actor, connection_id)
    return_path = (
        f"{reverse('connections:reconnect_all')}?{urlencode({'since': since})}"
        if (since := _since(request))
        else connection.get_absolute_url()
    )
    return sign_in_at_vendor(
        request,
        request.actor,
        connection.app_id,
        ConsentPurpose.RECONNECT,
        return_path,
        connection_id=connection.pk,
        force_sign_in=True,
    )


@require_POST
@_kept
def accept_transfer(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Let the new owner sign in with an account of their own."""
    connection = queries.get_connection(request.actor, connection_id)
    return sign_in_at_vendor(
        request, request.actor, connection.app_id, ConsentPurpose.TRANSFER, connection.get_absolute_url(),
        connection_id=connection.pk, force_sign_in=True,
    )  # fmt: skip


@require_POST
@outside_transaction
def check_connection_now(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Make one cheap call, now."""
    try:
        check = check_connection(request.actor, connection_id)
    except NoSuchConnection:
        raise Http404 from None
    if check.answered:
        context = {"company": check.company, "milliseconds": check.milliseconds}
        message = _("It works: %(company)s answered in %(milliseconds)d ms.")
        unnamed = _("It works: the accounting system answered in %(milliseconds)d ms.")
        messages.success(request, (message if check.company else unnamed) % context)
    else:
        messages.error(request, _("It does not work now: %s") % _(check.message))
    return _to(connection_id)


@require_POST
@_kept
def pause_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    if lifecycle.pause_connection(request.actor, connection_id):
        messages.success(request, _("Paused. Nothing is read until somebody resumes it."))
    return _to(connection_id)


@require_POST
@_kept
def resume_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    if lifecycle.resume(request.actor, connection_id):
        messages.success(request, _("Resumed. What waited goes on now."))
    return _to(connection_id)


@require_POST
@_kept
def request_transfer(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Ask a member to take the connection over; naming the owner withdraws the request."""
    if ownership.request_transfer(request.actor, connection_id, _number(request, "membership")):
        connection = queries.get_connection(request.actor, connection_id)
        noted = _("Noted. Until the new owner has signed in, it runs on the old account.")
        messages.success(
            request, noted if connection.pending_owner_id else _("%s is its owner.") % connection.owner.user
        )
    return _to(connection_id)


@require_POST
@_kept
def set_import_policy(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Set which companies others than the owner may import."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    policy = request.POST.get("import_policy", "")
    if policy not in ImportPolicy.values:
        raise Refused(_("Choose what is released."))
    company_ids = numbers_of(request.POST.getlist("companies"))
    count = lifecycle.set_import_policy(request.actor, connection_id, ImportPolicy(policy), company_ids)
    text = ngettext("%d company is released for import.", "%d companies are released for import.", count)
    messages.success(request, text % count)
    return _to(connection_id)


@require_POST
@_kept
def resolve_changes(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Take over what changed at the accounting system, or leave it; of another company: yes, it is the same, or
    no. For one administration, or for all that are ticked."""
    code, accept = request.POST.get("code", ""), request.POST.get("accept") == "1"
    ids = numbers_of(request.POST.getlist("administration"))
    if not ids and code == ConnectionIssue.OTHER_COMPANY:
        raise Refused(_("Tick the administrations that you decide about."))
    viewed_at = _viewed_at(request) if code == ConnectionIssue.OTHER_COMPANY else None
    fingerprints = request.POST.getlist("fingerprint")
    count = resolution.resolve_changes(
        request.actor, connection_id, ids or [0], code, accept=accept, viewed_at=viewed_at, fingerprints=fingerprints
    )
    if code != ConnectionIssue.OTHER_COMPANY:
        return _to(connection_id, "#companies")
    if count and accept:
        text = ngettext("%d administration goes on.", "%d administrations go on.", count)
        messages.success(request, text % count)
    elif count:
        text = ngettext("%d administration stays stopped.", "%d administrations stay stopped.", count)
        messages.info(request, text % count)
    return _to(connection_id, "#same-company")


@_kept
def remove_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Show what would happen, with a choice; when the choice is sent, remove the connection."""
    if request.method != "POST":
        return _removal_page(request, connection_id)
    policy = request.POST.get("policy", "")
    if policy not in list(RemovalPolicy):
        messages.error(request, _("Choose what becomes of the administrations."))
        return _removal_page(request, connection_id)
    try:
        removal = lifecycle.remove_connection(
            request.actor, connection_id, RemovalPolicy(policy), fingerprint=request.POST.get("fingerprint", "")
        )
    except Refused as refusal:
        messages.error(request, str(refusal))
        return _removal_page(request, connection_id)
    messages.success(request, lifecycle.removal_message(removal, RemovalPolicy(policy)))
    return redirect("connections:list")


def show_reconnect_all(request: AuthenticatedRequest) -> HttpResponse:
    """Show everything that needs a sign-in, one after the other, with what is done already."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    since = _since(request) or timezone.now().isoformat()
    broken = summaries.list_needing_sign_in(request.actor)
    events = TimelineEvent.objects.filter(
        organisation_id=request.actor.organisation_id, kind="reconnected", at__gte=parse_datetime(since)
    ).exclude(connection__in=[connection.connection for connection in broken])
    request.csp_forms = queries.sign_in_origins(request.actor)  # type: ignore[attr-defined]
    names = {key: connection.descriptor.title for key, connection in connectors().items()}
    latest = {connection.connection_id: connection for connection in events.select_related("connection").order_by("at")}
    context = {
        "broken": broken,
        "done": [(connection, names.get(connection.connection.connector, "")) for connection in latest.values()],
        "total": len(broken) + len(latest),
        "waiting": sum(connection.awaiting_sign_in for connection in broken),
        "since": since,
        "nav_section": "connections",
    }
    return render(request, "connections/reconnect_all.html", context)


def hand_over_connections(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    """Show the connections on the account of a person who leaves, and hand them over at once."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    try:
        if request.method == "POST":
            to = _number(request, "membership")
            question = hand_over_question(request.actor, membership_id, to)
            if not question.groups:
                messages.success(request, _("Nothing is left to hand over."))
                return HttpResponseRedirect(request.path)
            if page := unconfirmed(request, question):
                return page
            count = ownership.transfer_all(request.actor, membership_id, to)
            text = ngettext(
                "%d connection is handed over: it changes with the next sign-in.",
                "%d connections are handed over: each changes with the next sign-in.",
                count,
            )
            messages.success(request, text % count)
            return HttpResponseRedirect(request.path)
        owned = ownership.owned_connections(request.actor, membership_id)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect(request.path if request.method == "POST" else "connections:list")
    owners = [connection for connection in ownership.possible_owners(request.actor) if connection.pk != membership_id]
    return render(
        request, "connections/offboarding.html", {"owned": owned, "owners": owners, "nav_section": "connections"}
    )  # fmt: skip


def _removal_page(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    removal = lifecycle.preview_removal(request.actor, connection_id)
    context = {
        "removal": removal,
        "card": summaries.summarize(queries.get_connection(request.actor, connection_id)),
        "may_remove": not removal.needs_administrator or request.actor.can(Permission.MANAGE_ORGANISATION),
        "nav_section": "connections",
    }
    return render(request, "connections/remove.html", context)


def _to(connection_id: int, part: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse('connections:detail', args=[connection_id])}{part}")


def numbers_of(texts: Iterable[str]) -> list[int]:
    return [*filter(None, map(id_of, texts))]


def _viewed_at(request: AuthenticatedRequest) -> datetime:
    """Return when the page was made on which the person answers. Raises `Refused`: without it nobody knows what
    was answered."""
    try:
        moment = parse_datetime(request.POST.get("viewed_at", ""))
    except ValueError:
        moment = None
    if moment is None or not timezone.is_aware(moment):
        raise Refused(_("This page does not say when it was opened. Please look again."))
    return moment


def _number(request: AuthenticatedRequest, name: str) -> int:
    return id_of(request.POST.get(name, "")) or 0


def _since(request: AuthenticatedRequest) -> str:
    """Return since when a round of signing in again is under way; '' when there is none."""
    text = request.POST.get("since", "") or request.GET.get("since", "")
    try:
        moment = parse_datetime(text)
    except ValueError:
        return ""
    return moment.isoformat() if moment is not None and timezone.is_aware(moment) else ""
