"""The names of remote companies that a reader may see.

Stored facts hold ids, and this resolves them for the reader at the time of reading: a company whose
administration was restricted since is not named.
"""

from collections.abc import Collection, Iterable, Mapping

from django.utils.translation import gettext as _

from koppel.connections.hooks import exclude_restricted
from koppel.connections.models import RemoteCompany
from koppel.kit.database.json_fields import MessageFacts
from koppel.organisations.roles import Actor

NAMES_MAX = 10


def readable_company_names(actor: Actor, company_ids: Collection[int]) -> dict[int, str]:
    """Return the names of those companies that the actor may read, by id."""
    if not company_ids:
        return {}
    companies = RemoteCompany.objects.for_actor(actor).filter(pk__in=company_ids)
    return dict(exclude_restricted(actor, companies).order_by("name").values_list("pk", "name"))


def list_company_names(company_ids: Iterable[int], names: Mapping[int, str]) -> str:
    """Return the readable names as a list; a text without names if none is readable."""
    requested = set(company_ids)
    readable = [name for company_id, name in names.items() if company_id in requested]
    return ", ".join(readable[:NAMES_MAX]) or _("some companies")


def resolve_company_names(actor: Actor, facts: MessageFacts) -> MessageFacts:
    """Return the fact `companies` for a reader, from the stored `company_ids`."""
    ids = [int(text) for text in str(facts.get("company_ids") or "").split(",") if text]
    return {"companies": list_company_names(ids, readable_company_names(actor, ids))}
