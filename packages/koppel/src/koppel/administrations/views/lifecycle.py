"""The life of one administration after its import: withdrawn, left by its client, continued by another; and who may see it."""

from collections.abc import Callable
from datetime import date, timedelta

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.administrations import queries, restriction
from koppel.administrations.errors import NotFound
from koppel.administrations.lifecycle import offboarding, predecessors
from koppel.administrations.shortcuts import get_administration_or_404
from koppel.administrations.views.detail import page_context
from koppel.kit.web.parameters import day_of, id_of
from koppel.organisations.errors import Refused
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission


def offboarding_page(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show what will happen, to what, before it does: client left, or withdrawn."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    administration = get_administration_or_404(request.actor, administration_id)
    today = timezone.localdate()
    context = page_context(request, administration, "overview") | {
        "today": today.isoformat(),
        "proposed": (today + timedelta(days=365 * offboarding.KEEP_YEARS + 2)).isoformat(),
        "keep_years": offboarding.KEEP_YEARS,
        "waits": administration.status == "queued" and administration.activated_at is None,
    }
    return render(request, "administrations/offboarding.html", context)


@require_POST
def offboard(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Record that the client left; books are kept until a day, then erased."""
    form = request.POST

    def apply_change() -> None:
        client_left_on, erase_on = _day(form.get("client_left_on", "")), _day(form.get("erase_on", ""))
        offboarding.offboard_client(request.actor, administration_id, client_left_on=client_left_on, erase_on=erase_on)
        messages.success(request, _("Syncing has stopped. Export the books if you want a copy outside Koppel."))

    return _perform(request, administration_id, apply_change)


@require_POST
def cancel_offboarding(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    return _perform(
        request, administration_id, lambda: offboarding.cancel_offboarding(request.actor, administration_id)
    )


@require_POST
def withdraw(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Withdraw it for everybody at once, when its name was typed; a job erases its data."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    administration = get_administration_or_404(request.actor, administration_id)
    if request.POST.get("name", "").strip().casefold() != administration.name.strip().casefold():
        messages.error(request, _("Type the name of the administration to withdraw it."))
        return HttpResponseRedirect(reverse("administrations:offboarding", args=[administration.pk]))
    offboarding.withdraw(request.actor, administration.pk)
    messages.success(request, _("The administration is withdrawn. Its data is being erased."))
    return HttpResponseRedirect(reverse("administrations:list"))


@require_POST
def set_predecessor(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Set which administration this one continues."""
    reference = request.POST.get("predecessor", "").strip()

    def apply_change() -> None:
        predecessor = queries.resolve_reference(request.actor, reference, administration_id) if reference else None
        predecessors.set_predecessor(request.actor, administration_id, predecessor)
        messages.success(request, _("Saved."))

    return _perform(request, administration_id, apply_change)


@require_POST
def reassign(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Let an Administrator name a person on a restricted administration whose people have all left."""
    member = request.POST.get("member", "")
    try:
        restriction.reassign_orphaned(request.actor, administration_id, id_of(member) or 0)
        messages.success(request, _("Saved."))
    except NotFound:
        messages.error(request, _("Choose who is to be named on it."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("administrations:hidden"))


def _perform(request: AuthenticatedRequest, administration_id: int, action: Callable[[], None]) -> HttpResponse:
    """Do it and go back to the administration; a refusal is said with its reason."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    get_administration_or_404(request.actor, administration_id)
    try:
        action()
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("administrations:detail", args=[administration_id]))


def _day(text: str) -> date:
    if (day := day_of(text.strip())) is None:
        raise Refused(_("“%s” is not a date.") % text)
    return day
