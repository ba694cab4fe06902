"""Secrets of this slice, sealed for their row and opened again."""

from functools import cache

from django.conf import settings

from koppel.connections.models import AppRegistration
from koppel.connector.contract import AppCredentials
from koppel.connector.registry import connector
from koppel.kit.secrets import Keyring, Secret


@cache
def _keyring(keys: str) -> Keyring:
    return Keyring.parse(keys)


def keyring() -> Keyring:
    return _keyring(settings.VAULT_KEYS)


def seal_token(secret: Secret, organisation_id: int, grant_id: int, column: str) -> bytes:
    return keyring().seal(secret.reveal().encode(), _grant_row(organisation_id, grant_id, column))


def open_token(envelope: bytes, organisation_id: int, grant_id: int, column: str) -> Secret:
    return Secret(keyring().open(bytes(envelope), _grant_row(organisation_id, grant_id, column)).decode())


def seal_client_secret(secret: Secret, connector_key: str, client_id: str) -> bytes:
    return keyring().seal(secret.reveal().encode(), _app_row(connector_key, client_id))


def credentials(app: AppRegistration) -> AppCredentials:
    """An app registration as its connector wants it. Raises `SealBroken`."""
    secret = keyring().open(bytes(app.client_secret), _app_row(app.connector, app.client_id))
    return AppCredentials(app.client_id, Secret(secret.decode()), app.consent_mode, addresses(app))


def addresses(app: AppRegistration) -> dict[str, str]:
    """The environment's base URLs, with the app registration's own ones over them."""
    environments = {one.key: one for one in connector(app.connector).descriptor.environments}
    known = environments.get(app.environment)
    return {**(known.addresses if known else {}), **app.addresses}


def _grant_row(organisation_id: int, grant_id: int, column: str) -> str:
    return f"connections_grant|{organisation_id}|{grant_id}|{column}"


def _app_row(connector_key: str, client_id: str) -> str:
    return f"connections_app_registration|{connector_key}|{client_id}|client_secret"
