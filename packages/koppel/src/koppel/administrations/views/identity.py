"""The identity of an administration: number or reason, sector, and the register's answer."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.administrations.identity import services as identity
from koppel.administrations.models import Administration
from koppel.administrations.shortcuts import get_administration_or_404
from koppel.administrations.views.detail import page_context
from koppel.company_registers.numbers import check_number
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import EXAMPLES, SECTIONS, resolve_sector
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission


def page(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Change it, with what is wrong said at the field; see what the register says."""
    administration = get_administration_or_404(request.actor, administration_id)
    problems = {}
    form = {"number": administration.number, "reason": administration.no_number_reason, "sector": administration.sector}
    if request.method == "POST":
        request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
        typed = request.POST.get("sector", "").strip()
        form = {
            "number": request.POST.get("number", "").replace("\0", "").strip()[:60],
            "reason": request.POST.get("reason", ""),
            "sector": resolve_sector(typed) or typed[:100],
        }
        is_same = request.POST.get("same_company") == "1"
        identity_or_problems = identity.identify(request.actor, administration.pk, **form, same_company=is_same)
        if not isinstance(identity_or_problems, list):
            messages.success(request, _("Stored. The register is asked."))
            return HttpResponseRedirect(request.path)
        problems = {problem.field: problem.message for problem in identity_or_problems}
    sector_label = SECTIONS.get(form["sector"])
    context = page_context(request, administration, "overview") | {
        "form": form | {"sector": f"{form['sector']} – {sector_label}" if sector_label else form["sector"]},
        "problems": problems,
        "number_check": check_number(form["number"], administration.country) if form["number"] else None,
        "reasons": REASONS.items(),
        "sections": [(letter, label, EXAMPLES[letter]) for letter, label in SECTIONS.items()],
        "may_change": request.actor.can(Permission.CHANGE_ADMINISTRATIONS),
        **_register_context(administration),
    }
    return render(request, "administrations/identity.html", context, status=422 if problems else 200)


def register_card(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show what the register says, on the Overview; looks again while it is being asked."""
    administration = get_administration_or_404(request.actor, administration_id)
    context = {
        "administration": administration,
        "reason": REASONS.get(administration.no_number_reason, ""),
        **_register_context(administration),
    }
    return render(request, "administrations/register_card.html", context)


@require_POST
def request_check(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Ask the register again, or take note of what it says."""
    request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
    administration = get_administration_or_404(request.actor, administration_id)
    if request.POST.get("action") == "seen":
        count = identity.acknowledge_changes(request.actor, administration.pk)
        text = ngettext("%(count)d issue is closed.", "%(count)d issues are closed.", count)
        messages.success(request, text % {"count": count} if count else _("Saved."))
    elif identity.request_register_check(request.actor, [administration.pk], refresh=True):
        messages.success(request, _("The register is asked again."))
    else:
        messages.info(request, _("It is being asked already, or no register answers for this country."))
    return redirect("administrations:identity", administration.pk)


def _register_context(administration: Administration) -> dict[str, object]:
    finding = identity.cached_register_result(administration)
    return {
        "finding": finding,
        "can_ask": identity.register_query(administration) is not None,
        "has_different_name": bool(
            finding
            and finding.has_different_name(administration.name)
            and not identity.is_confirmed(administration, finding)
        ),
        "confirmed": administration.confirmed_identity if identity.is_confirmed(administration, finding) else None,
        "is_complete": identity.is_complete(administration),
    }
