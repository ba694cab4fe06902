"""The vault: the one owner of every token.

It guarantees that no grant is refreshed twice at a time, in any process; that a new token is stored before it
is used; and that after a crash, a pause or a lost response a grant works, or says why a person must sign in
again. Secrets are encrypted with a named key and bound to their row. Begin with `token_refresh`.
"""

from koppel.connections.vault.encryption import (
    KEY_MISSING,
    credentials,
    decrypt_token,
)
from koppel.connections.vault.graceful_shutdown import end_with_last_call
from koppel.connections.vault.grants import clear_app_failures, store_grant, superseded_refresh_token
from koppel.connections.vault.handover import export_grants, import_grants, renewals_under_way
from koppel.connections.vault.key_rotation import WrongKey, key_uses, require_matching_keys, rotate_keys
from koppel.connections.vault.maintenance import MAINTENANCE_INTERVAL_SECONDS, TokenMaintenance
from koppel.connections.vault.refresh_policy import CALL_SECONDS_MAX, RENEWAL_SLOW
from koppel.connections.vault.token_pause import TokenPauses, pause_sentence, token_pause_seconds
from koppel.connections.vault.token_refresh import TOKEN_CACHE_SECONDS, TokenRefresher

__all__ = [
    "CALL_SECONDS_MAX",
    "KEY_MISSING",
    "MAINTENANCE_INTERVAL_SECONDS",
    "RENEWAL_SLOW",
    "TOKEN_CACHE_SECONDS",
    "TokenMaintenance",
    "TokenPauses",
    "TokenRefresher",
    "WrongKey",
    "clear_app_failures",
    "credentials",
    "decrypt_token",
    "end_with_last_call",
    "export_grants",
    "import_grants",
    "key_uses",
    "pause_sentence",
    "renewals_under_way",
    "require_matching_keys",
    "rotate_keys",
    "store_grant",
    "superseded_refresh_token",
    "token_pause_seconds",
]
