"""The life of a connection after the sign-in: pause, remove, test, transfer to another owner, share for
import.

Each checks the actor's permission and adds an event to the timeline and the audit log. A job revokes consents
that nothing uses any more at the vendor, after the commit (`revocation`).
"""

from koppel.connections.lifecycle.import_policy import set_import_policy
from koppel.connections.lifecycle.pause_and_resume import pause_connection, resume_connection
from koppel.connections.lifecycle.removal import Removal, preview_removal, removal_message, remove_connection

__all__ = [
    "Removal",
    "pause_connection",
    "preview_removal",
    "removal_message",
    "remove_connection",
    "resume_connection",
    "set_import_policy",
]
