"""Sessions: the HTTP clients with which a connector calls the vendor.

They guarantee the consent's scope: books are read only of imported companies, as the company that was
imported, in every interface and job; other companies of a consent can only be listed and described. Begin
with `vendor_sessions`; `runtime` holds the state that the sessions of a process share.
"""

from koppel.connections.sessions.runtime import Runtime, as_worker, call_vendor_blocking, current_worker
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
    "call_vendor_blocking",
    "current_worker",
    "describing_session",
    "listing_session",
    "reading_session",
]
