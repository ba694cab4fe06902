"""Encrypt and decrypt the secrets of connections; each ciphertext is bound to its row."""

from django.utils.translation import gettext_noop

from koppel.connections.models import AppRegistration
from koppel.connections.vendor_http import base_urls_of
from koppel.connector.contract import AppCredentials
from koppel.kit.encryption import Secret
from koppel.organisations.encryption import keyring

KEY_MISSING = gettext_noop(
    "Koppel cannot open a secret that it keeps, because its key is missing or another one. Nothing is lost: whoever runs Koppel"
    " puts the key back (“koppel check” says which one)."
)
"""The message for a person where a `DecryptionError` occurred."""


def encrypt_token(secret: Secret, organisation_id: int, grant_id: int, column: str) -> bytes:
    return keyring().encrypt(secret.reveal().encode(), grant_aad(organisation_id, grant_id, column))


def decrypt_token(ciphertext: bytes, organisation_id: int, grant_id: int, column: str) -> Secret:
    return Secret(keyring().decrypt(bytes(ciphertext), grant_aad(organisation_id, grant_id, column)).decode())


def encrypt_client_secret(secret: Secret, connector_key: str, client_id: str) -> bytes:
    return keyring().encrypt(secret.reveal().encode(), app_registration_aad(connector_key, client_id))


def credentials(app: AppRegistration) -> AppCredentials:
    """Return the credentials of an app registration for its connector. Raises `DecryptionError`."""
    secret = keyring().decrypt(bytes(app.client_secret), app_registration_aad(app.connector, app.client_id))
    return AppCredentials(app.client_id, Secret(secret.decode()), app.consent_mode, base_urls_of(app))


def grant_aad(organisation_id: int, grant_id: int, column: str) -> str:
    return f"connections_grant|{organisation_id}|{grant_id}|{column}"


def app_registration_aad(connector_key: str, client_id: str) -> str:
    return f"connections_app_registration|{connector_key}|{client_id}|client_secret"


def consent_attempt_aad(state_hash: str, column: str) -> str:
    return f"connections_consent_attempt|{state_hash}|{column}"
