"""One call goes first with a grant's token that was not used for a while, and probes whether the vendor still
takes it.

When it was withdrawn meanwhile and its access token would still live, fifty companies that are due at the
same moment learn it from one refused call, not from fifty. Within one process: each worker makes its own
first call. No call is refused here, so this is no circuit breaker: the others wait for the probe, and then
go.
"""

import asyncio
from contextlib import suppress
from time import monotonic
from types import TracebackType

TRUSTED_SECONDS = 30.0
"""So long after the vendor took a token, calls go side by side."""
PATIENCE_SECONDS = 5.0
"""The first call may be slow, or be about a company that does not answer: then the others go too."""


class TokenProbe:
    """One per process, for all grants."""

    def __init__(self) -> None:
        self._trusted_until: dict[int, float] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    def permit(self, grant_id: int) -> "Permit":
        """A block in which to call once with the grant's token, then to say `record_success` or
        `record_unauthorized`."""
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
    """Begins at once while the grant is trusted, else when the probe under way is over."""

    def __init__(self, probe: TokenProbe, grant_id: int) -> None:
        self._probe, self._grant_id, self._lock = probe, grant_id, probe.lock(grant_id)
        self._is_probing = False

    async def __aenter__(self) -> "Permit":
        if not self._probe.is_trusted(self._grant_id):
            await self._start_probing()
            if self._probe.is_trusted(self._grant_id):
                self._stop_probing()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_probing()

    def record_success(self) -> None:
        """The vendor took the token, or refuses this company whatever the token."""
        self._probe.record_success(self._grant_id)

    async def record_unauthorized(self) -> None:
        """The vendor refused the token: until the end of the block nobody else begins to call with it."""
        self._probe.record_unauthorized(self._grant_id)
        if not self._is_probing:
            await self._start_probing()

    async def _start_probing(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._lock.acquire()
                self._is_probing = True

    def _stop_probing(self) -> None:
        if self._is_probing:
            self._is_probing = False
            self._lock.release()
