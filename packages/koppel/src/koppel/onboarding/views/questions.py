"""Questions about many companies at once, as a table in the wizard's frame: each row has a tick."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.web.confirmation import Confirmation, unconfirmed
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.steps.identify import IdentityAnswer, number_of
from koppel.onboarding.views.guard import wizard_context

TEMPLATE = "onboarding/questions.html"


@dataclass(frozen=True, kw_only=True)
class QuestionRow:
    """A company in the table: its names, its number, and what else to know."""

    id: int
    name: str
    register: str
    number: str
    note: str = ""


def same_company_page(
    request: HttpRequest, flow: Flow, answers: list[IdentityAnswer], return_url: str
) -> HttpResponse | None:
    """Ask whether these are the same companies; None when this page was answered."""
    count = len(answers)
    discrepancies = [answer.discrepancy for answer in answers if answer.discrepancy]
    question = ngettext(
        "Is this administration the same company?",
        "Are these %(count)d administrations the same companies?",
        count,
    )
    confirmation = Confirmation(
        title=_("Same company?"),
        question=discrepancies[0].sentence if count == 1 else question % {"count": count},
        button=_("Yes, same company:"),
        cancel_url=return_url,
        consequences=[
            _("Clear the box of each row that is another company: it stays open."),
            _("Your name and the time are recorded with each answer."),
        ],
        fields={"action": "same", "discrepancies": ",".join(str(one.company.pk) for one in discrepancies)},
        facts=[
            [discrepancy.subject for discrepancy in discrepancies],
            [answer.shared.names for answer in answers if answer.shared],
        ],
    )
    rows = [
        QuestionRow(
            id=answer.company.pk,
            name=answer.company.name,
            register=answer.discrepancy.register_name if answer.discrepancy else "",
            number=number_of(answer),
            note=_same_company_note(answer),
        )
        for answer in answers
    ]
    notes = _("Details") if any(row.note for row in rows) else ""
    more = wizard_context(Step.IDENTIFY, flow) | {"rows": rows, "box": "discrepancy", "notes": notes}
    return unconfirmed(request, confirmation, TEMPLATE, more)


def _same_company_note(answer: IdentityAnswer) -> str:
    """Return what the columns of the table do not show."""
    derived = answer.discrepancy.differences if answer.discrepancy and answer.discrepancy.is_derived else []
    shared = [answer.shared.message] if answer.shared else []
    return " ".join([*derived[-1:], *shared])


def still_client_page(
    request: HttpRequest, flow: Flow, answers: list[IdentityAnswer], return_url: str
) -> HttpResponse | None:
    """Ask which deregistered companies are still clients; None when this page was answered."""
    count = len(answers)
    question = ngettext(
        "%(count)d company is deregistered. Is it still a client?",
        "%(count)d companies are deregistered. Are they still clients?",
        count,
    )
    confirmation = Confirmation(
        title=_("Still a client?"),
        question=question % {"count": count},
        button=_("Next, with still a client:"),
        cancel_url=return_url,
        consequences=[
            _("Clear the box of each company that is no client any more: it is left out of this import."),
            _("Your name and the time are recorded with each answer."),
        ],
        fields={"action": "next"},
        facts=[
            (answer.company.pk, answer.number, answer.lookup and str(answer.lookup.closed_on))
            for answer in answers
        ],
    )
    rows = [
        QuestionRow(
            id=answer.company.pk,
            name=answer.company.name,
            register=answer.lookup.legal_name if answer.lookup else "",
            number=number_of(answer),
            note=_closed_on(answer),
        )
        for answer in answers
    ]
    more = wizard_context(Step.IDENTIFY, flow) | {
        "rows": rows,
        "box": "client",
        "notes": _("Deregistered since"),
    }
    return unconfirmed(request, confirmation, TEMPLATE, more)


def _closed_on(answer: IdentityAnswer) -> str:
    day = answer.lookup.closed_on if answer.lookup else None
    return date_format(day, "SHORT_DATE_FORMAT") if day else ""
