"""Limits how many threads of a process call, or wait to call, one receiver: it must not take all places."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class NoSlot(Exception):
    """As many requests as may be call this receiver, or all of them together."""


class ReceiverSlots:
    """At most `per_receiver` requests for one receiver, and `total` for all; none waits for a slot."""

    def __init__(self, *, per_receiver: int, total: int) -> None:
        self._per_receiver, self._total = per_receiver, total
        self._lock = threading.Lock()
        self._taken: Counter[int] = Counter()

    @contextmanager
    def slot(self, receiver: int) -> Iterator[None]:
        """Hold a slot during the block. Raises `NoSlot`."""
        with self._lock:
            if self._taken[receiver] >= self._per_receiver or self._taken.total() >= self._total:
                raise NoSlot
            self._taken[receiver] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[receiver] -= 1
