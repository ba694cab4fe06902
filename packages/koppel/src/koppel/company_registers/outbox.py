"""The outbox of register lookups. Each organisation has one lane."""

from datetime import timedelta

from django.db.models import Q, QuerySet

from koppel.company_registers.models import Lookup
from koppel.kit.backoff import Backoff
from koppel.kit.jobs.outbox import Outbox

BATCH_SIZE = 32
RETRY_BACKOFF = Backoff(base_seconds=30.0, cap_seconds=6 * 3600.0)
ATTEMPTS_MAX = 40
"""With the pauses between them about nine days."""


def _select_lookups(due: "QuerySet[Lookup]") -> list[Lookup]:
    return list(due[:BATCH_SIZE])


LOOKUP_OUTBOX = Outbox(
    task_name="company_registers.look_up",
    model=Lookup,
    lane_columns=("organisation_id",),
    open_rows=Q(due_at__isnull=False),
    lease=timedelta(minutes=2),
    retry_seconds=lambda attempts: RETRY_BACKOFF.seconds(attempts - 1),
    attempts_max=ATTEMPTS_MAX,
    select_batch=_select_lookups,
    failed={"due_at": None},
)
