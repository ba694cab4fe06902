"""Refresh grants that nothing uses at the moment: to keep them alive within the vendor's limit, to recover
them after a crash while the vendor's grace period lasts, and to retry after failures, so that a degraded
connection recovers by itself.
"""

import asyncio

import structlog

from koppel.connections.vault.token_refresh import BUSY, TokenRefresher
from koppel.connector.errors import ConnectorError
from koppel.kit import quarantine
from koppel.kit.quarantine import Quarantined

MAINTENANCE_INTERVAL_SECONDS = 5
UNDER_WAY_MAX = 256

log = structlog.get_logger(__name__)


class TokenMaintenance:
    """Refreshes due grants. Each worker has one; the vault ensures that only one of them refreshes a
    grant.
    """

    def __init__(self, vault: TokenRefresher) -> None:
        self._vault = vault
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._busy_elsewhere: set[int] = set()

    async def run_once(self) -> None:
        """Start the refreshes that are due; none during a quarantine.

        Grants already being refreshed, here or at the last round elsewhere, are skipped, so a slow token
        endpoint delays only its own grants.
        """
        if await quarantine.current_async() is not None:
            return
        room = UNDER_WAY_MAX - len(self._under_way)
        busy, self._busy_elsewhere = self._busy_elsewhere, set()
        for organisation_id, grant_id in await self._vault.due_grants(
            UNDER_WAY_MAX, [*busy, *self._under_way]
        ):
            if room > 0 and grant_id not in self._under_way:
                task = asyncio.create_task(self._maintain(organisation_id, grant_id))
                self._under_way[grant_id] = task
                task.add_done_callback(lambda _done, grant_id=grant_id: self._under_way.pop(grant_id))  # type: ignore[misc]
                room -= 1

    async def wait(self) -> None:
        """Wait for the refreshes under way."""
        await asyncio.gather(*self._under_way.values())

    async def _maintain(self, organisation_id: int, grant_id: int) -> None:
        try:
            await self._vault.refresh_if_due(organisation_id, grant_id)
        except ConnectorError as error:
            # The connection shows the failure already; another process at work is none.
            if error.code == BUSY:
                self._busy_elsewhere.add(grant_id)
            else:
                log.info("grant_maintained", grant=grant_id, code=error.code)
        except Quarantined:  # since this round began
            return
        except Exception as error:
            log.warning("grant_maintenance_failed", grant=grant_id, error=type(error).__name__)
