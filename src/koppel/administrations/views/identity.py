"""Who an administration is: number or reason, sector, and what the register says."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.administrations.identity import services as identity
from koppel.administrations.models import Administration
from koppel.administrations.shortcuts import administration_or_404
from koppel.administrations.views.detail import frame
from koppel.company_registers.numbers import check
from koppel.company_registers.reasons import REASONS
from koppel.company_registers.sectors import EXAMPLES, SECTIONS, resolve
from koppel.organisations.requests import MemberRequest
from koppel.organisations.roles import Permission


def page(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Change it, with what is wrong said at the field; see what the register says."""
    one = administration_or_404(request.actor, administration_id)
    problems = {}
    form = {"number": one.number, "reason": one.no_number_reason, "sector": one.sector}
    if request.method == "POST":
        request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
        typed = request.POST.get("sector", "").strip()
        form = {
            "number": request.POST.get("number", "").replace("\0", "").strip()[:60],
            "reason": request.POST.get("reason", ""),
            "sector": resolve(typed) or typed[:100],
        }
        is_same = request.POST.get("same_company") == "1"
        found = identity.identify(request.actor, one.pk, **form, same_company=is_same)
        if not isinstance(found, list):
            messages.success(request, _("Stored. The register is asked."))
            return HttpResponseRedirect(request.path)
        problems = {problem.field: problem.sentence for problem in found}
    shown = SECTIONS.get(form["sector"])
    context = frame(request, one, "overview") | {
        "form": form | {"sector": f"{form['sector']} – {shown}" if shown else form["sector"]},
        "problems": problems,
        "checked": check(form["number"], one.country) if form["number"] else None,
        "reasons": REASONS.items(),
        "sections": [(letter, label, EXAMPLES[letter]) for letter, label in SECTIONS.items()],
        "may_change": request.actor.may(Permission.CHANGE_ADMINISTRATIONS),
        **_register(one),
    }
    return render(request, "administrations/identity.html", context, status=422 if problems else 200)


def card(request: MemberRequest, administration_id: int) -> HttpResponse:
    """What the register says, on the Overview; looks again while it is being asked."""
    one = administration_or_404(request.actor, administration_id)
    context = {"administration": one, "reason": REASONS.get(one.no_number_reason, ""), **_register(one)}
    return render(request, "administrations/register_card.html", context)


@require_POST
def ask(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Ask the register again, or take note of what it says."""
    request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
    one = administration_or_404(request.actor, administration_id)
    if request.POST.get("act") == "seen":
        count = identity.settle(request.actor, one.pk)
        text = ngettext("%(count)d issue is closed.", "%(count)d issues are closed.", count)
        messages.success(request, text % {"count": count} if count else _("Saved."))
    elif identity.ask(request.actor, [one.pk], again=True):
        messages.success(request, _("The register is asked again."))
    else:
        messages.info(request, _("It is being asked already, or no register answers for this country."))
    return HttpResponseRedirect(f"/administrations/{one.pk}/identity/")


def _register(one: Administration) -> dict[str, object]:
    finding = identity.finding_of(one)
    return {
        "finding": finding,
        "can_ask": identity.question_of(one) is not None,
        "is_named_otherwise": bool(
            finding and finding.is_named_otherwise(one.name) and not identity.is_confirmed(one, finding)
        ),
        "confirmed": one.confirmed_identity if identity.is_confirmed(one, finding) else None,
        "is_complete": identity.is_complete(one),
    }
