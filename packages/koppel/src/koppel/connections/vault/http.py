"""The contract's `Http`: calls to the addresses of one app registration, and to no other host."""

from collections.abc import Mapping

from koppel.connector.errors import Unreachable
from koppel.kit.http.client import HttpClient, NetworkFailure, Response, origin_of


class OriginRestrictedHttp:
    """Without a token: for token endpoints and key sets."""

    def __init__(self, http: HttpClient, addresses: Mapping[str, str]) -> None:
        self._http = http
        self._origins = frozenset(origin_of(address) for address in addresses.values())

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Raises `Unreachable` for network failures, never for a status."""
        try:
            return await self._http.send(
                method, url, allowed_origins=self._origins, params=params, form=form, headers=headers
            )
        except NetworkFailure as failure:
            raise Unreachable(failure.code, str(failure), retry_after_seconds=10) from None
