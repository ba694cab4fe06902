"""Context of the company behind an administration: its details and the register's answer."""

from koppel.administrations import queries
from koppel.administrations.identity import services as identity
from koppel.administrations.list.cell_values import display_number
from koppel.administrations.models import Administration
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.organisations.roles import Actor


def company_context(actor: Actor, administration: Administration) -> dict[str, object]:
    """Return the context of the card on the Overview."""
    return {
        "display_number": display_number(administration),
        "reason": REASONS.get(administration.no_number_reason, ""),
        "sector_name": SECTIONS.get(administration.sector, administration.sector),
        "predecessor": queries.get_visible(actor, administration.predecessor_id),
        "successors": queries.list_successors(actor, administration),
        **register_context(administration),
    }


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
