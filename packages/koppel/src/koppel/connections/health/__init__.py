"""Health of a connection: its state, its history and its expiry.

Begin with `states`, which moves connections from one state to another. The timeline informs people, `expiry`
warns before a consent ends, `history` shows days, and a `reporter` counts calls without a write for each.
"""

from koppel.connections.health.expiry import (
    consent_expiry,
    notify_expiring_and_review_owners,
    resolve_owner_left,
)
from koppel.connections.health.history import LASTING_KINDS, DayHealth, daily_health, with_problem_today
from koppel.connections.health.reporter import HealthReporter
from koppel.connections.health.states import (
    grants_of,
    lock_connection,
    mark_resumed,
    mark_signed_in,
    record_failure,
    record_success,
    require_reauth,
)
from koppel.connections.health.timeline import add_timeline_event, end_timeline_event, start_timeline_event

__all__ = [
    "LASTING_KINDS",
    "DayHealth",
    "HealthReporter",
    "add_timeline_event",
    "consent_expiry",
    "daily_health",
    "end_timeline_event",
    "grants_of",
    "lock_connection",
    "mark_resumed",
    "mark_signed_in",
    "notify_expiring_and_review_owners",
    "record_failure",
    "record_success",
    "require_reauth",
    "resolve_owner_left",
    "start_timeline_event",
    "with_problem_today",
]
