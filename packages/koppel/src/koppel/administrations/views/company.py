"""Context of the company behind an administration: its details and the register's answer."""

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from koppel.administrations import queries
from koppel.administrations.identity import services as identity
from koppel.administrations.identity.shared_numbers import SHARED_REASONS
from koppel.administrations.list.cell_values import display_number
from koppel.administrations.models import Administration
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor


def company_context(actor: Actor, administration: Administration) -> dict[str, object]:
    """Return the context of the card on the Overview."""
    return {
        "display_number": display_number(administration),
        "reason": REASONS.get(administration.no_number_reason, ""),
        "sector_name": SECTIONS.get(administration.sector, administration.sector),
        "predecessor": queries.get_visible(actor, administration.predecessor_id),
        "successors": queries.list_successors(actor, administration),
        "answers": answers_of(actor, administration),
        **register_context(administration),
    }


def answers_of(actor: Actor, administration: Administration) -> list[dict[str, str]]:
    """Return what people answered about the company: the statement, who gave it, and when."""
    client, shared = administration.client_answer, administration.shared_number_answer
    statements: list[tuple[str, int | None, str]] = []
    if administration.client_left_on is None and client and client.number == administration.number:
        statements.append((_("Still a client, although deregistered"), client.by, client.at))
    if shared and shared.number == administration.number:
        statements.append((str(SHARED_REASONS[shared.reason]), shared.by, shared.at))
    if (confirmed := administration.confirmed_identity) and confirmed.number == administration.number:
        statements.append((_("Same company as in the register"), confirmed.by, confirmed.at))
    members = Membership.objects.for_actor(actor).filter(pk__in=[by for _text, by, _at in statements if by])
    names = {member.pk: str(member.user) for member in members.select_related("user")}
    return [
        {
            "statement": statement,
            "source": _("confirmed by %(name)s, %(day)s")
            % {"name": names.get(by or 0, _("a former user")), "day": _day(at)},
        }
        for statement, by, at in statements
    ]


def _day(at: str) -> str:
    return date_format(timezone.localtime(datetime.fromisoformat(at)), "SHORT_DATE_FORMAT")


def register_context(administration: Administration) -> dict[str, object]:
    """Return the context of the register's answer about the company."""
    lookup = identity.cached_register_result(administration)
    return {
        "lookup": lookup,
        "can_ask": identity.register_query(administration) is not None,
        "has_different_name": bool(
            lookup
            and lookup.has_different_name(administration.name)
            and not identity.is_confirmed(administration, lookup)
        ),
        "confirmed": administration.confirmed_identity
        if identity.is_confirmed(administration, lookup)
        else None,
        "is_complete": identity.is_complete(administration),
    }
