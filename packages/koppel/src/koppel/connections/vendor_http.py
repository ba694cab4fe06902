"""The addresses of a vendor: the base URLs of an app registration, and the contract's `Http` that calls no
other host.
"""

from collections.abc import Mapping

from django.conf import settings

from koppel.connections.models import AppRegistration
from koppel.connector.errors import Unreachable
from koppel.connector.registry import connector
from koppel.kit.http.client import HttpClient, NetworkFailure, Response, origin_of

SANDBOX = "sandbox"
"""The key of a connector's environment that is played on one's own machine."""
CREDENTIAL_COLUMNS = (
    "id",
    "organisation_id",
    "connector",
    "environment",
    "consent_mode",
    "client_id",
    "client_secret",
    "base_urls",
)
"""The columns of an app registration that calls in its name need, as statements select them."""


def base_urls_of(app: AppRegistration) -> dict[str, str]:
    """Return the environment's base URLs, with the app registration's own ones over them. Where a sandbox
    listens is the installation's to say, not an organisation's.
    """
    environments = {
        environment.key: environment for environment in connector(app.connector).descriptor.environments
    }
    configured = environments.get(app.environment)
    usual = dict(configured.base_urls) if configured else {}
    if settings.SANDBOX_URL and app.environment == SANDBOX:
        usual = dict.fromkeys(usual, settings.SANDBOX_URL)
    return {**usual, **app.base_urls}


class OriginRestrictedHttp:
    """Without a token: for token endpoints and key sets."""

    def __init__(self, http: HttpClient, base_urls: Mapping[str, str]) -> None:
        self._http = http
        self._origins = frozenset(origin_of(url) for url in base_urls.values())

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request to the vendor. Raises `Unreachable` for network failures, never for a status."""
        try:
            return await self._http.send(
                method, url, allowed_origins=self._origins, params=params, form=form, headers=headers
            )
        except NetworkFailure as failure:
            raise Unreachable(failure.code, failure.sentence, retry_after_seconds=10) from None
