"""Answers to connections, before a session reads books: is this id an administration, and of which remote
company?
"""

from koppel.connections.hooks import ImportedCompany
from koppel.kit.database.pool import DatabaseConnection

_IMPORTED = """
SELECT connection_id, remote_company_id FROM administrations_administration WHERE id = %s
  AND withdrawn_at IS NULL
"""


async def find_imported_company(
    database_connection: DatabaseConnection, administration_id: int
) -> ImportedCompany | None:
    """Find the administration of a company. In the scope of one organisation: row security hides those of
    others.
    """
    cursor = await database_connection.execute(_IMPORTED, [administration_id])
    row = await cursor.fetchone()
    return ImportedCompany(*row) if row else None
