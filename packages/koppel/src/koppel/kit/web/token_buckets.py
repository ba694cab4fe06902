"""Limits on how often something may be done, by token buckets in the memory of each process.

Several web processes allow a multiple. That is enough for requests of sessions, which keep a process busy;
sign-ins, resets, invitations, exports, webhook tests and requests of API tokens count in the database.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from http import HTTPStatus
from math import ceil

from django.utils.translation import ngettext

from koppel.kit.errors import KoppelError

KEYS_MAX = 20_000


class TooManyRequests(KoppelError):
    """A limit is used up; it is free again after `retry_after_seconds`."""

    code = "too_many_requests"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            ngettext(
                "That was too much at once. Try again in %s second.",
                "That was too much at once. Try again in %s seconds.",
                retry_after_seconds,
            )
            % retry_after_seconds
        )

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_seconds)}


class TokenBuckets:
    """One bucket per key, such as an organisation's id. `burst` may be used at once, then `per_minute`."""

    def __init__(
        self, *, per_minute: int, burst: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._monotonic = per_minute / 60, burst, monotonic
        self._buckets: dict[Hashable, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def spend(self, key: Hashable) -> None:
        """Take a token of the key. Raises `TooManyRequests` when the key has none."""
        with self._lock:
            now = self._monotonic()
            tokens, counted_at = self._buckets.get(key, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - counted_at) * self._per_second)
            if tokens < 1:
                self._buckets[key] = (tokens, now)
                raise TooManyRequests(max(1, ceil((1 - tokens) / self._per_second)))
            self._buckets[key] = (tokens - 1, now)
            if len(self._buckets) > KEYS_MAX:
                self._forget_full(now)

    def _forget_full(self, now: float) -> None:
        seconds = self._burst / self._per_second
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if now - bucket[1] < seconds}
