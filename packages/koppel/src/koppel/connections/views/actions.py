"""The buttons of a connection: check, sign in again, pause, transfer, import policy, remove. Each is safe to
press twice.
"""

from collections.abc import Callable
from functools import wraps
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.connections import lifecycle, queries
from koppel.connections.companies import resolution
from koppel.connections.companies.reachable_names import CompanyNames, company_names
from koppel.connections.consent.sign_in_redirect import sign_in_at_vendor
from koppel.connections.display import summaries
from koppel.connections.errors import NoSuchConnection, OtherRegisterName
from koppel.connections.forms import ChangeForm, ImportPolicyForm, ReconnectForm, RemovalForm, TransferForm
from koppel.connections.inputs import ChangeResolution
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.lifecycle import ownership
from koppel.connections.lifecycle.connection_check import check_connection
from koppel.connections.lifecycle.handover import handover_confirmation
from koppel.connections.lifecycle.removal import may_remove
from koppel.connections.models import ConsentPurpose, TimelineEvent, TimelineKind
from koppel.connector.registry import connectors
from koppel.kit.web.confirmation import Confirmation, unconfirmed
from koppel.kit.web.decorators import action_of, outside_transaction, query_parameters
from koppel.kit.web.forms import moment_of, return_url
from koppel.kit.web.parameters import Parameter
from koppel.kit.web.undo_messages import success_with_undo
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

ConnectionAction = Callable[[AuthenticatedRequest, int], HttpResponse]


def redirects_when_gone(action: ConnectionAction) -> ConnectionAction:
    """Redirect to the list, with a message, when the connection was removed.

    Somebody who clicks twice, or in another tab, made no mistake, as a page "not found" would suggest.
    Nothing is written before the connection is found.
    """

    @wraps(action)
    def view(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
        try:
            return action(request, connection_id)
        except NoSuchConnection:
            messages.info(request, _("This connection no longer exists."))
            return redirect("connections:list")

    return view


@action_of("connections:detail", "connection_id")
@redirects_when_gone
def reconnect_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Sign in again, in place: administrations, settings and checkpoints stay as they are."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    connection = queries.get_connection(request.actor, connection_id)
    since = ReconnectForm.of(request).values_or_refusal()["since"]
    return_path = connection.get_absolute_url()
    if since:
        return_path = f"{reverse('connections:reconnect_all')}?{urlencode({'since': since.isoformat()})}"
    return sign_in_at_vendor(
        request,
        request.actor,
        connection.app_id,
        ConsentPurpose.RECONNECT,
        return_path,
        connection_id=connection.pk,
        force_sign_in=True,
    )


@action_of("connections:detail", "connection_id")
@redirects_when_gone
def accept_transfer(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Let the new owner sign in with an account of their own."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    connection = queries.get_connection(request.actor, connection_id)
    return sign_in_at_vendor(
        request,
        request.actor,
        connection.app_id,
        ConsentPurpose.TRANSFER,
        connection.get_absolute_url(),
        connection_id=connection.pk,
        force_sign_in=True,
    )


@action_of("connections:detail", "connection_id")
@outside_transaction
def check_connection_now(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Check the connection with one cheap call, now."""
    check = check_connection(request.actor, connection_id)
    if check.answered:
        context = {"company": check.company, "milliseconds": check.milliseconds}
        message = _("The connection works: %(company)s answered in %(milliseconds)d ms.")
        unnamed = _("The connection works: the accounting system answered in %(milliseconds)d ms.")
        messages.success(request, (message if check.company else unnamed) % context)
    else:
        messages.error(request, _("The connection does not work: %s") % check.message)
    return HttpResponseRedirect(return_url(request, reverse("connections:detail", args=[connection_id])))


@action_of("connections:detail", "connection_id")
@redirects_when_gone
def pause_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Pause the connection."""
    if lifecycle.pause_connection(request.actor, connection_id):
        resume_url = reverse("connections:resume", args=[connection_id])
        success_with_undo(request, _("Paused. Syncing is stopped until you resume it."), resume_url)
    return _redirect_to(connection_id)


@action_of("connections:detail", "connection_id")
@redirects_when_gone
def resume_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Resume the connection."""
    if lifecycle.resume_connection(request.actor, connection_id):
        messages.success(request, _("Resumed. Pending syncs continue."))
    return _redirect_to(connection_id)


@action_of("connections:detail", "connection_id")
@redirects_when_gone
def request_transfer(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Ask a member to take the connection over; naming the owner withdraws the request."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    new_owner_id = TransferForm.of(request).input_or_refusal().member
    if ownership.request_transfer(request.actor, connection_id, new_owner_id):
        connection = queries.get_connection(request.actor, connection_id)
        noted = _(
            "Transfer requested. The connection keeps using the current account until the new owner "
            "has signed in."
        )
        messages.success(
            request, noted if connection.pending_owner_id else _("Owner: %s.") % connection.owner.user
        )
    return _redirect_to(connection_id)


@action_of("connections:detail", "connection_id")
@redirects_when_gone
def set_import_policy(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Set which companies others than the owner may import."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    chosen = ImportPolicyForm.of(request).input_or_refusal()
    count = lifecycle.set_import_policy(request.actor, connection_id, chosen)
    text = ngettext("%d company shared with colleagues.", "%d companies shared with colleagues.", count)
    messages.success(request, text % count)
    return _redirect_to(connection_id)


@action_of("connections:detail", "connection_id")
@redirects_when_gone
def resolve_changes(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Accept or leave a change at the accounting system, for one administration or for all that are ticked.

    For another company: decide whether it is the same one.
    """
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    data = ChangeForm.of(request).input_or_refusal()
    try:
        with transaction.atomic():
            count = resolution.resolve_changes(request.actor, connection_id, data)
    except OtherRegisterName as question:
        if page := unconfirmed(request, _same_company_question(connection_id, data, question)):
            return page
        count = resolution.resolve_changes(
            request.actor, connection_id, data.model_copy(update={"same_company": True})
        )
    if data.code != ConnectionIssue.OTHER_COMPANY:
        return _redirect_to(connection_id, "#companies")
    if count:
        _report_decision(request, count, accepted=data.accept)
    return _redirect_to(connection_id, "#same-company")


def _same_company_question(
    connection_id: int, data: ChangeResolution, question: OtherRegisterName
) -> Confirmation:
    """Return the question before a number is applied that the register knows by another name."""
    return Confirmation(
        title=_("Same company?"),
        question=str(question),
        button=_("Yes, same company"),
        cancel_url=f"{reverse('connections:detail', args=[connection_id])}#companies",
        consequences=[_("Your name and the time are recorded with the answer.")],
        fields={
            "administration": [str(administration_id) for administration_id in data.administrations],
            "code": data.code,
            "accept": "1",
            "fingerprint": data.fingerprints,
        },
        facts=[str(value) for value in question.values],
        nav_section="connections",
    )


def _report_decision(request: AuthenticatedRequest, count: int, *, accepted: bool | None) -> None:
    if accepted:
        text = ngettext("%d administration resumed.", "%d administrations resumed.", count)
        messages.success(request, text % count)
    else:
        text = ngettext("%d administration remains stopped.", "%d administrations remain stopped.", count)
        messages.info(request, text % count)


@redirects_when_gone
def remove_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Show what would happen, with a choice; when the choice is sent, remove the connection."""
    form = RemovalForm.of(request)
    if request.method == "POST":
        with form.refusals():
            removal = lifecycle.remove_connection(request.actor, connection_id, form.input)
            messages.success(request, lifecycle.removal_message(removal, form.input.policy))
            return redirect("connections:list")
    removal = lifecycle.preview_removal(request.actor, connection_id)
    context = {
        "removal": removal,
        "form": form,
        "card": summaries.summarize(request.actor, queries.get_connection(request.actor, connection_id)),
        "may_remove": may_remove(request.actor, removal),
        "nav_section": "connections",
    }
    return render(request, "connections/remove.html", context)


@query_parameters(since=Parameter(parse=moment_of))
def show_reconnect_all(request: AuthenticatedRequest) -> HttpResponse:
    """Show everything that needs a sign-in, one after the other, with what is done already."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    since = request.parameters["since"] or timezone.now()
    broken = summaries.list_needing_sign_in(request.actor)
    since_then = TimelineEvent.objects.for_actor(request.actor).filter(
        kind=TimelineKind.RECONNECTED, at__gte=since
    )
    events = since_then.exclude(connection__in=[connection.connection for connection in broken])
    request.csp_forms = queries.sign_in_origins(request.actor)
    names = {key: connection.descriptor.title for key, connection in connectors().items()}
    latest = {
        connection.connection_id: connection
        for connection in events.select_related("connection").order_by("at")
    }
    context = {
        "broken": broken,
        "done": [
            (connection, names.get(connection.connection.connector, "")) for connection in latest.values()
        ],
        "total": len(broken) + len(latest),
        "waiting": sum(connection.awaiting_sign_in for connection in broken),
        "since": since.isoformat(),
        "nav_section": "connections",
    }
    return render(request, "connections/reconnect_all.html", context)


def hand_over_connections(request: AuthenticatedRequest, membership_id: int) -> HttpResponse:
    """Show the connections on the account of a person who leaves, and hand them over at once."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    form = TransferForm.of(request)
    if request.method == "POST":
        with form.refusals():
            return _hand_over(request, membership_id, form.input.member)
    owned = ownership.owned_connections(request.actor, membership_id)
    owners = [member for member in ownership.possible_owners(request.actor) if member.pk != membership_id]
    names = company_names(request.actor, owned.connections)
    context = {
        "owned": owned,
        "connections": [
            (connection, names.get(connection.pk, CompanyNames())) for connection in owned.connections
        ],
        "owners": owners,
        "form": form,
        "nav_section": "connections",
    }
    return render(request, "connections/offboarding.html", context)


def _hand_over(request: AuthenticatedRequest, membership_id: int, new_owner_id: int) -> HttpResponse:
    question = handover_confirmation(request.actor, membership_id, new_owner_id)
    if not question.groups:
        messages.success(request, _("Nothing left to transfer."))
        return HttpResponseRedirect(request.path)
    if page := unconfirmed(request, question):
        return page
    count = ownership.transfer_all(request.actor, membership_id, new_owner_id)
    text = ngettext(
        "Transfer of %d connection requested. It completes at the next sign-in.",
        "Transfer of %d connections requested. Each completes at the next sign-in.",
        count,
    )
    messages.success(request, text % count)
    return HttpResponseRedirect(request.path)


def _redirect_to(connection_id: int, part: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse('connections:detail', args=[connection_id])}{part}")
