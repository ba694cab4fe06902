"""Secrets of this slice, sealed for their row and opened again."""

from django.conf import settings
from django.utils.translation import gettext_noop

from koppel.connections.models import AppRegistration
from koppel.connector.contract import AppCredentials
from koppel.connector.registry import connector
from koppel.kit.secrets import Secret
from koppel.organisations.encryption import keyring

SANDBOX = "sandbox"
"""The key of a connector's environment that is played on one's own machine."""
KEY_MISSING = gettext_noop(
    "Koppel cannot open a secret that it keeps, because its key is missing or another one. Nothing is lost: whoever runs Koppel"
    " puts the key back (“koppel check” says which one)."
)
"""What a person reads where a `SealBroken` stops them."""


def seal_token(secret: Secret, organisation_id: int, grant_id: int, column: str) -> bytes:
    return keyring().seal(secret.reveal().encode(), grant_row(organisation_id, grant_id, column))


def open_token(envelope: bytes, organisation_id: int, grant_id: int, column: str) -> Secret:
    return Secret(keyring().open(bytes(envelope), grant_row(organisation_id, grant_id, column)).decode())


def seal_client_secret(secret: Secret, connector_key: str, client_id: str) -> bytes:
    return keyring().seal(secret.reveal().encode(), app_row(connector_key, client_id))


def credentials(app: AppRegistration) -> AppCredentials:
    """An app registration as its connector wants it. Raises `SealBroken`."""
    secret = keyring().open(bytes(app.client_secret), app_row(app.connector, app.client_id))
    return AppCredentials(app.client_id, Secret(secret.decode()), app.consent_mode, addresses(app))


def addresses(app: AppRegistration) -> dict[str, str]:
    """The environment's base URLs, with the app registration's own ones over them. Where a sandbox listens is the
    installation's to say, not an organisation's."""
    environments = {one.key: one for one in connector(app.connector).descriptor.environments}
    known = environments.get(app.environment)
    usual = dict(known.addresses) if known else {}
    if settings.SANDBOX_URL and app.environment == SANDBOX:
        usual = dict.fromkeys(usual, settings.SANDBOX_URL)
    return {**usual, **app.addresses}


def grant_row(organisation_id: int, grant_id: int, column: str) -> str:
    return f"connections_grant|{organisation_id}|{grant_id}|{column}"


def app_row(connector_key: str, client_id: str) -> str:
    return f"connections_app_registration|{connector_key}|{client_id}|client_secret"


def attempt_row(state_hash: str, column: str) -> str:
    return f"connections_consent_attempt|{state_hash}|{column}"
