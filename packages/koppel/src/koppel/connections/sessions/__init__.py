"""Sessions: the HTTP clients with which a connector calls the vendor.

They guarantee the consent's scope: books are read only of imported companies, as the company that was
imported, in every interface and job; other companies of a consent can only be listed and described. Begin
with `vendor_sessions`; `runtime` holds the state that the sessions of a process share, `blocking_calls` makes
calls from web requests and commands.
"""

from koppel.connections.sessions.blocking_calls import call_vendor_blocking, close_blocking_calls
from koppel.connections.sessions.runtime import Runtime, as_worker, current_worker
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
    "close_blocking_calls",
    "current_worker",
    "describing_session",
    "listing_session",
    "reading_session",
]
