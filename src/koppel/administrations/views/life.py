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

from koppel.administrations import access, life, queries
from koppel.administrations.doors import administration_or_404
from koppel.administrations.errors import NotThere
from koppel.administrations.views.one import frame
from koppel.kit.parameters import day_of, id_of
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest


def ending(request: MemberRequest, administration_id: int) -> HttpResponse:
    """What will happen, to what, before it does: client left, or withdrawn."""
    request.actor.require(Permission.IMPORT)
    one = administration_or_404(request.actor, administration_id)
    today = timezone.localdate()
    context = frame(request, one, "overview") | {
        "today": today.isoformat(),
        "proposed": (today + timedelta(days=365 * life.KEEP_YEARS + 2)).isoformat(),
        "keep_years": life.KEEP_YEARS,
        "waits": one.status == "queued" and one.activated_at is None,
    }
    return render(request, "administrations/ending.html", context)


@require_POST
def left(request: MemberRequest, administration_id: int) -> HttpResponse:
    """The client left; books are kept until a day, then erased."""
    form = request.POST

    def act() -> None:
        left_on, erase_on = _day(form.get("left_on", "")), _day(form.get("erase_on", ""))
        life.client_left(request.actor, administration_id, left_on=left_on, erase_on=erase_on)
        messages.success(request, _("Syncing has stopped. Export the books if you want a copy outside Koppel."))

    return _done(request, administration_id, act)


@require_POST
def stays(request: MemberRequest, administration_id: int) -> HttpResponse:
    return _done(request, administration_id, lambda: life.client_stays(request.actor, administration_id))


@require_POST
def withdraw(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Gone for everybody at once; a job erases its data. Asked for with the administration's name typed."""
    request.actor.require(Permission.IMPORT)
    one = administration_or_404(request.actor, administration_id)
    if request.POST.get("name", "").strip().casefold() != one.name.strip().casefold():
        messages.error(request, _("Type the name of the administration to withdraw it."))
        return HttpResponseRedirect(reverse("administrations:ending", args=[one.pk]))
    life.withdraw(request.actor, one.pk)
    messages.success(request, _("The administration is withdrawn. Its data is being erased."))
    return HttpResponseRedirect(reverse("administrations:list"))


@require_POST
def follow(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Which administration this one continues."""
    words = request.POST.get("predecessor", "").strip()

    def act() -> None:
        predecessor = queries.found_by_words(request.actor, words, administration_id) if words else None
        life.follow(request.actor, administration_id, predecessor)
        messages.success(request, _("Saved."))

    return _done(request, administration_id, act)


@require_POST
def rescue(request: MemberRequest, administration_id: int) -> HttpResponse:
    """An Administrator names somebody on a restricted administration whose people have all left."""
    member = request.POST.get("member", "")
    try:
        access.rescue(request.actor, administration_id, id_of(member) or 0)
        messages.success(request, _("Saved."))
    except NotThere:
        messages.error(request, _("Choose who is to be named on it."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("administrations:hidden"))


def _done(request: MemberRequest, administration_id: int, act: Callable[[], None]) -> HttpResponse:
    """Do it and go back to the administration; a refusal is said with its reason."""
    request.actor.require(Permission.IMPORT)
    administration_or_404(request.actor, administration_id)
    try:
        act()
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("administrations:detail", args=[administration_id]))


def _day(text: str) -> date:
    if (day := day_of(text.strip())) is None:
        raise Refused(_("“%s” is not a date.") % text)
    return day
