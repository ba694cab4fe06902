"""Use cases of app registrations: Koppel's client id and secret at a vendor."""

from collections.abc import Mapping

from koppel.connections.errors import NoSuchConnection
from koppel.connections.models import AppRegistration
from koppel.connections.sealing import seal_client_secret
from koppel.kit.secrets import Secret
from koppel.organisations.policy import Actor


def register_app(
    *,
    connector: str,
    environment: str,
    consent_mode: str,
    client_id: str,
    client_secret: Secret,
    addresses: Mapping[str, str] | None = None,
    organisation_id: int | None = None,
) -> AppRegistration:
    """Keep an app registration; its secret is sealed. Joins the caller's transaction and scope."""
    return AppRegistration.objects.create(
        organisation_id=organisation_id,
        connector=connector,
        environment=environment,
        consent_mode=consent_mode,
        client_id=client_id,
        client_secret=seal_client_secret(client_secret, connector, client_id),
        addresses=dict(addresses or {}),
    )


def app_for(actor: Actor, app_id: int) -> AppRegistration:
    """One of the organisation or of the installation. Raises `NoSuchConnection`."""
    app = AppRegistration.objects.filter(pk=app_id, organisation_id__in=[actor.organisation_id]).first()
    app = app or AppRegistration.objects.filter(pk=app_id, organisation=None).first()
    if app is None:
        raise NoSuchConnection
    return app
