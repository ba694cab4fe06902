"""Consent scope: what was imported may be read, everything else of a consent may at most be listed and described.

This slice does not know administrations; the slice that does proves an import, and without that proof no session reads books.
Every refusal is written to the audit trail, in a transaction of its own.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from koppel.audit.models import ActorKind
from koppel.audit.services import AuditActor, record
from koppel.kit.database.pool import Connection
from koppel.kit.tenancy import organisation_scope

REFUSED = "consent_scope.refused"
SESSION = AuditActor(ActorKind.JOB, None, "Koppel")


@dataclass(frozen=True)
class ImportedCompany:
    """The remote company behind an administration, and the connection through which it was imported."""

    connection_id: int
    remote_company_id: int


ImportLookup = Callable[[Connection, int], Awaitable[ImportedCompany | None]]
_import_lookups: list[ImportLookup] = []


def register_import_lookup(lookup: ImportLookup) -> None:
    """`proof(connection, administration_id)` in the organisation's scope; None: nothing of that id was imported here."""
    _import_lookups[:] = [lookup]


async def imported_company(connection: Connection, administration_id: int) -> ImportedCompany | None:
    return await _import_lookups[0](connection, administration_id) if _import_lookups else None


def audit_refusal(organisation_id: int, subject: tuple[str, int, str], reason: str, by: AuditActor = SESSION) -> None:
    """Somebody or something asked for books that are not imported here. `reason` is a stable word."""
    with organisation_scope(organisation_id):
        record(organisation_id, by, REFUSED, subject=subject, details={"reason": reason})
