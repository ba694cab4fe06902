"""The yearly check with the registers, spread over the hours so that no register gets a firm's 5,000 numbers
in one night.
"""

from itertools import islice

from django.db import connection

from koppel.administrations.models import Status
from koppel.company_registers.lookups import build_query, request_lookups

RECHECK_AFTER_DAYS = 365
BATCH_SIZE = 500

_LIST_DUE_NUMBERS = """
SELECT a.country, a.number FROM administrations_administration a
  LEFT JOIN company_registers_lookup l ON l.organisation_id = a.organisation_id AND l.country = a.country
    AND l.kind = 'number'
       AND l.value = a.number
 WHERE a.organisation_id = %s AND a.number <> '' AND a.withdrawn_at IS NULL AND a.client_left_on IS NULL
   AND a.status <> %s
   AND (l.id IS NULL OR (l.due_at IS NULL AND coalesce(l.answered_at,
     l.requested_at) < now() - %s * interval '1 day'))
 ORDER BY l.answered_at NULLS FIRST, a.id
"""


def recheck_batch(organisation_id: int) -> int:
    """Look up numbers that were never looked up, or not for a year, oldest first. Returns how many. In scope.

    Includes numbers that were changed in bulk, and leaves out deactivated administrations and those of former
    clients.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LIST_DUE_NUMBERS, [organisation_id, Status.DEACTIVATED, RECHECK_AFTER_DAYS])
        queries = (build_query(country, number) for country, number in cursor.fetchall())
        # Numbers that no register knows stay due for ever; they must not keep others from being checked.
        due_queries = list(islice((query for query in queries if query), BATCH_SIZE))
    return request_lookups(organisation_id, due_queries, refresh=True)
