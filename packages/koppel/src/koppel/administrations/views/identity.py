"""The identity of an administration: number or reason, sector, and the register's answer."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.administrations.forms import IdentityForm, RegisterCheckForm
from koppel.administrations.identity import services as identity
from koppel.administrations.models import Administration
from koppel.administrations.shortcuts import get_administration_or_404
from koppel.administrations.views.company import company_context, register_context
from koppel.administrations.views.detail import page_context
from koppel.company_registers.numbers import check_number
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import EXAMPLES, SECTIONS
from koppel.kit.web.decorators import action_of
from koppel.kit.web.forms import Invalid
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission


def edit_identity(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Change the identity, with each problem at its field; show the register's result."""
    administration = get_administration_or_404(request.actor, administration_id)
    form = IdentityForm.of(request)
    if request.method == "POST":
        request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
        with form.refusals():
            _identify(request, administration, form)
            messages.success(request, _("Saved. Looking up the number in the register."))
            return HttpResponseRedirect(request.path)
    field_values = _field_values(form, administration)
    context = page_context(request, administration, "overview") | {
        "form": form,
        "field_values": field_values,
        "number_check": check_number(field_values["number"], administration.country)
        if field_values["number"]
        else None,
        "reasons": REASONS.items(),
        "sections": [(letter, label, EXAMPLES[letter]) for letter, label in SECTIONS.items()],
        "may_change": request.actor.can(Permission.CHANGE_ADMINISTRATIONS),
        **register_context(administration),
    }
    return render(request, "administrations/identity.html", context, status=422 if form.errors else 200)


def _identify(request: AuthenticatedRequest, administration: Administration, form: IdentityForm) -> None:
    """Store the identity. Raises `Invalid`: the form then has the problems at their fields."""
    problems = identity.change_identity(request.actor, administration.pk, form.input)
    for problem in problems:
        form.show_error(str(problem.message), problem.field)
    if problems:
        raise Invalid


def _field_values(form: IdentityForm, administration: Administration) -> dict[str, str]:
    """Return the value of each field: the typed one, else the stored one; a sector with its name."""
    if form.is_bound:
        typed = {name: str(form[name].value() or "").strip() for name in ("number", "reason", "sector")}
        values = typed | {"sector": form.cleaned_data.get("sector") or typed["sector"]}
    else:
        values = {
            "number": administration.number,
            "reason": administration.no_number_reason,
            "sector": administration.sector,
        }
    sector_label = SECTIONS.get(values["sector"])
    return values | {"sector": f"{values['sector']} – {sector_label}" if sector_label else values["sector"]}


def show_register_card(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show the company on the Overview; the card reloads while a lookup runs."""
    administration = get_administration_or_404(request.actor, administration_id)
    context = {"administration": administration, **company_context(request.actor, administration)}
    return render(request, "administrations/company_card.html", context)


@action_of("administrations:identity", "administration_id")
def request_check(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Repeat the lookup in the register, or acknowledge its result."""
    request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
    administration = get_administration_or_404(request.actor, administration_id)
    if RegisterCheckForm.of(request).values_or_refusal()["action"] == "seen":
        count = identity.acknowledge_changes(request.actor, administration.pk)
        text = ngettext("%(count)d issue is closed.", "%(count)d issues are closed.", count)
        messages.success(request, text % {"count": count} if count else _("Saved."))
    elif identity.request_register_check(request.actor, [administration.pk], refresh=True):
        messages.success(request, _("Looking up the number again."))
    else:
        messages.info(
            request, _("A lookup is already in progress, or there is no register for this country.")
        )
    return redirect("administrations:identity", administration.pk)
