"""What a person does with a connection after the sign-in: pause, remove, test, give to another owner, share
for import.

Each checks the actor's permission and says what it did in the timeline and the audit log. Consents that
nothing uses any more are withdrawn at the vendor by a job, after the commit (`revocation`).
"""

from koppel.connections.lifecycle.import_policy import set_import_policy
from koppel.connections.lifecycle.pause_and_resume import pause_connection, resume
from koppel.connections.lifecycle.removal import Removal, preview_removal, removal_message, remove_connection

__all__ = [
    "Removal",
    "pause_connection",
    "preview_removal",
    "removal_message",
    "remove_connection",
    "resume",
    "set_import_policy",
]
