"""Encrypt and decrypt the secrets of connections; each ciphertext is bound to its row."""

from django.utils.translation import gettext_noop

from koppel.connections.models import AppRegistration, Grant
from koppel.connections.vendor_http import base_urls_of
from koppel.connector.contract import AppCredentials
from koppel.kit.encryption import Secret
from koppel.kit.encryption.fields import decrypt_column, encrypted_field

KEY_MISSING = gettext_noop(
    "Koppel cannot decrypt a stored secret because its key is missing or wrong. No data is "
    "lost: your administrator can restore the key (“koppel check” names it)."
)
"""The message for a person where a `DecryptionError` occurred."""


def encrypt_token(secret: Secret, organisation_id: int, grant_id: int, column: str) -> bytes:
    return encrypted_field(Grant, column).encrypt(secret, organisation_id, grant_id)


def decrypt_token(ciphertext: bytes, organisation_id: int, grant_id: int, column: str) -> Secret:
    """Decrypt a token of a grant. Raises `DecryptionError`."""
    return encrypted_field(Grant, column).decrypt(ciphertext, organisation_id, grant_id)


def credentials(app: AppRegistration) -> AppCredentials:
    """Return the credentials of an app registration for its connector. Raises `DecryptionError`."""
    return AppCredentials(
        client_id=app.client_id,
        client_secret=decrypt_column(app, "client_secret"),
        consent_mode=app.consent_mode,
        base_urls=base_urls_of(app),
    )
