"""The probe of a token: the first call after a while shows whether the vendor still accepts the token.

If the consent was withdrawn, fifty companies that are due at the same moment cost one refused call instead of
fifty. Each worker makes its own first call. This is no circuit breaker: the other calls wait for the probe
and are then made.
"""

import asyncio
from contextlib import suppress
from time import monotonic
from types import TracebackType

TRUSTED_SECONDS = 30.0
"""How long after the vendor accepted a token calls with it run in parallel."""
PATIENCE_SECONDS = 5.0
"""How long the other calls wait for the probe: it may be slow, or about a company that does not answer."""


class TokenProbe:
    """One per process, for all grants."""

    def __init__(self) -> None:
        self._trusted_until: dict[int, float] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    def permit(self, grant_id: int) -> "Permit":
        """Return a context manager in which to call once with the grant's token, then `record_success` or
        `record_unauthorized`.
        """
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
    """A context manager that starts at once while the grant is trusted, else when the probe under way is
    over.
    """

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

    def trust_token(self) -> None:
        """Trust the token: the vendor accepted it, or refuses this company with any token."""
        self._probe.record_success(self._grant_id)

    async def record_unauthorized(self) -> None:
        """Stop trusting the token: until the end of the block no other call with it starts."""
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
