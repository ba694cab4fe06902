"""One call goes first with a consent that was not used for a while.

When it was withdrawn meanwhile and its access token would still live, fifty companies that are due at the same moment learn it
from one refused call, not from fifty. Within one process: each worker makes its own first call.
"""

import asyncio
from contextlib import suppress
from time import monotonic
from types import TracebackType

TRUSTED_SECONDS = 30.0
"""So long after the vendor took a token, calls go side by side."""
PATIENCE_SECONDS = 5.0
"""The first call may be slow, or be about a company that does not answer: then the others go too."""


class GrantCircuitBreaker:
    """One per process."""

    def __init__(self) -> None:
        self._trusted_until: dict[int, float] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    def permit(self, grant_id: int) -> "Permit":
        """A block in which to call once with the grant's token, then to say `record_success` or `record_unauthorized`."""
        return Permit(self, grant_id)

    def is_trusted(self, grant_id: int) -> bool:
        return self._trusted_until.get(grant_id, 0.0) > monotonic()

    def record_success(self, grant_id: int) -> None:
        self._trusted_until[grant_id] = monotonic() + TRUSTED_SECONDS

    def record_unauthorized(self, grant_id: int) -> None:
        self._trusted_until.pop(grant_id, None)

    def lock(self, grant_id: int) -> asyncio.Lock:
        return self._locks.setdefault(grant_id, asyncio.Lock())


class Permit:
    """Begins at once while the grant is trusted, else when whoever goes first is back."""

    def __init__(self, breaker: GrantCircuitBreaker, grant_id: int) -> None:
        self._trials, self._grant_id, self._lock = breaker, grant_id, breaker.lock(grant_id)
        self._goes_first = False

    async def __aenter__(self) -> "Permit":
        if not self._trials.is_trusted(self._grant_id):
            await self._become_probe()
            if self._trials.is_trusted(self._grant_id):
                self._step_back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._step_back()

    def record_success(self) -> None:
        """The vendor took the token, or refuses this company whatever the token."""
        self._trials.record_success(self._grant_id)

    async def record_unauthorized(self) -> None:
        """The vendor refused the token: until the end of the block nobody else begins to call with it."""
        self._trials.record_unauthorized(self._grant_id)
        if not self._goes_first:
            await self._become_probe()

    async def _become_probe(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._lock.acquire()
                self._goes_first = True

    def _step_back(self) -> None:
        if self._goes_first:
            self._goes_first = False
            self._lock.release()
