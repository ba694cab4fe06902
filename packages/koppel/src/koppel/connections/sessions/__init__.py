"""What a connector calls the vendor with.

It guarantees the consent's scope: books are read of what was imported and of the company that it was imported
as, by any interface or job; everything else of a consent can at most be listed and described. Begin with
`vendor_sessions`; what the sessions of a process share is its `runtime`.
"""

from koppel.connections.sessions.consent_scope import audit_refusal
from koppel.connections.sessions.runtime import Runtime, as_worker, current_worker, run_sync
from koppel.connections.sessions.vendor_sessions import (
    ReadingSession,
    describing_session,
    listing_session,
    reading_session,
)

__all__ = [
    "ReadingSession",
    "Runtime",
    "as_worker",
    "audit_refusal",
    "current_worker",
    "describing_session",
    "listing_session",
    "reading_session",
    "run_sync",
]
