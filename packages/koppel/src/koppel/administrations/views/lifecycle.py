"""Pages of the lifecycle of an administration: withdraw its import, mark its client as left, choose its
predecessor, restrict access.
"""

from datetime import timedelta

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations import queries, restriction
from koppel.administrations.forms import (
    OffboardingForm,
    PredecessorForm,
    ReassignForm,
    WithdrawalForm,
)
from koppel.administrations.inputs import PredecessorInput
from koppel.administrations.lifecycle import offboarding, predecessors
from koppel.administrations.models import Administration, Status
from koppel.administrations.shortcuts import get_administration_or_404
from koppel.administrations.views.detail import page_context
from koppel.kit.web.decorators import action_of
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

RETENTION = timedelta(days=365 * offboarding.RETENTION_YEARS + 2)


def show_offboarding(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show the consequences of marking the client as left, and of withdrawing the import."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    administration = get_administration_or_404(request.actor, administration_id)
    today = timezone.localdate()
    context = page_context(request, administration, "overview") | {
        "left_on": (administration.client_left_on or today).isoformat(),
        "erase_on": (administration.erase_on or today + RETENTION).isoformat(),
        "predecessor": queries.get_visible(request.actor, administration.predecessor_id),
        "retention_years": offboarding.RETENTION_YEARS,
        "waits": administration.status == Status.QUEUED and administration.activated_at is None,
    }
    return render(request, "administrations/offboarding.html", context)


@action_of("administrations:detail", "administration_id")
def offboard(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Record that the client left; books are kept until a day, then erased."""
    administration = _get_administration(request, administration_id)
    offboarding.offboard_client(
        request.actor, administration.pk, OffboardingForm.of(request).input_or_refusal()
    )
    messages.success(request, _("Syncing has stopped. Export the books to keep a copy outside Koppel."))
    return _redirect_to(administration)


@action_of("administrations:detail", "administration_id")
def cancel_offboarding(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Record that the client came back: nothing is erased."""
    administration = _get_administration(request, administration_id)
    offboarding.cancel_offboarding(request.actor, administration.pk)
    messages.success(request, _("The client is back and nothing is erased. Activate to sync again."))
    return _redirect_to(administration)


@action_of("administrations:offboarding", "administration_id")
def withdraw(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Withdraw an administration for all members at once, after its name was typed; a job erases the data."""
    administration = _get_administration(request, administration_id)
    offboarding.withdraw(request.actor, administration.pk, WithdrawalForm.of(request).input_or_refusal())
    messages.success(request, _("The administration was withdrawn. Its data is being erased."))
    return HttpResponseRedirect(reverse("administrations:list"))


@action_of("administrations:detail", "administration_id")
def set_predecessor(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Set which administration this one continues."""
    administration = _get_administration(request, administration_id)
    reference = PredecessorForm.of(request).values_or_refusal()["predecessor"]
    predecessor = (
        queries.resolve_reference(request.actor, reference, administration.pk) if reference else None
    )
    predecessors.set_predecessor(
        request.actor, administration.pk, PredecessorInput(administration=predecessor)
    )
    messages.success(request, _("Saved."))
    return _redirect_to(administration)


@action_of("administrations:hidden")
def reassign(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Let an Administrator name a member on a restricted administration whose members have all left."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    member_id = ReassignForm.of(request).values_or_refusal()["member"]
    restriction.reassign_orphaned(request.actor, administration_id, member_id)
    messages.success(request, _("Saved."))
    return HttpResponseRedirect(reverse("administrations:hidden"))


def _get_administration(request: AuthenticatedRequest, administration_id: int) -> Administration:
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    return get_administration_or_404(request.actor, administration_id)


def _redirect_to(administration: Administration) -> HttpResponse:
    return HttpResponseRedirect(reverse("administrations:detail", args=[administration.pk]))
