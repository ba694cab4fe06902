"""Limits on what the threads of one process do at the same time.

Several web processes allow a multiple.
"""

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager


class NoSlot(Exception):
    """All slots are in use."""


class ConcurrencyLimit:
    """At most `per_key` slots of one key, such as an organisation's id, and `total` of all keys together.

    `error` makes the exception of a refusal.
    """

    def __init__(
        self, per_key: int, *, total: int | None = None, error: Callable[[], Exception] = NoSlot
    ) -> None:
        self._per_key, self._total, self._error = per_key, total, error
        self._used: Counter[Hashable] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, key: Hashable, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """Hold a slot during the block. Raises the limit's error when none becomes free in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_slot(key), wait_seconds):
                raise self._error()
            self._used[key] += 1
        try:
            yield
        finally:
            with self._changed:
                self._used[key] -= 1
                if not self._used[key]:
                    del self._used[key]
                self._changed.notify_all()

    def _has_slot(self, key: Hashable) -> bool:
        return self._used[key] < self._per_key and (self._total is None or self._used.total() < self._total)
