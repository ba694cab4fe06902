"""Which request goes on when several are processed: that of the client which used less so far.

Python computes in one thread at a time, and the database shares the processors. So a request that only reads
yields between two statements or two parts of an export while one with precedence is in progress. It yields no
longer than it works, and two seconds: then it goes on beside the other. A request that waits for another
system uses nothing meanwhile, and none yields to it.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

TIMES_MORE, SECONDS_MORE = 2.0, 0.5
"""A client has used much when it used twice as much as the other, and half a second more."""
YIELD_SECONDS = 2.0


@dataclass(eq=False)
class RunningRequest:
    """A request in progress. `used_before`: the seconds that its client used lately, without this request."""

    client: Hashable
    used_before: float
    may_yield: bool
    began: float
    yielded_seconds: float = 0.0
    waited_seconds: float = 0.0
    """Spent on calls of other systems that are over."""
    waits_since: float | None = None
    """When the call in progress began."""

    def used(self, now: float) -> float:
        return self.used_before + self._worked(now)

    def must_yield_to(self, other: "RunningRequest", now: float) -> bool:
        if other.client == self.client or other.waits_since is not None:
            return False
        if self.yielded_seconds >= YIELD_SECONDS + self._worked(now):
            return False
        return self.used(now) > TIMES_MORE * other.used(now) + SECONDS_MORE

    def _worked(self, now: float) -> float:
        waits = now - self.waits_since if self.waits_since is not None else 0.0
        return now - self.began - self.yielded_seconds - self.waited_seconds - waits


class Precedence:
    """The requests in progress of one process; each has a thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._running: set[RunningRequest] = set()
        self._changed = threading.Condition()
        self._current = threading.local()

    @contextmanager
    def request(self, client: Hashable, used_before: float, *, may_yield: bool) -> Iterator[RunningRequest]:
        """Process a request in this thread during the block; it begins when it has precedence."""
        request = RunningRequest(client, used_before, may_yield, self._now())
        with self._changed:
            self._running.add(request)
        self._current.request = request
        try:
            self.give_way()
            yield request
        finally:
            self._current.request = None
            with self._changed:
                self._running.discard(request)
                self._changed.notify_all()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Wait for another system during the block. Outside of a request nothing happens."""
        request: RunningRequest | None = getattr(self._current, "request", None)
        if request is None:
            yield
            return
        with self._changed:
            request.waits_since = self._now()
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                request.waited_seconds += self._now() - request.waits_since
                request.waits_since = None

    def give_way(self) -> None:
        """Wait while a request with precedence over this thread's is in progress; return without one."""
        request: RunningRequest | None = getattr(self._current, "request", None)
        if request is None or not request.may_yield or len(self._running) == 1:
            return
        with self._changed:
            while self._has_precedence_over(request):
                began = self._now()
                self._changed.wait(YIELD_SECONDS)
                request.yielded_seconds += self._now() - began

    def _has_precedence_over(self, request: RunningRequest) -> bool:
        now = self._now()
        return any(request.must_yield_to(other, now) for other in self._running)


REQUESTS = Precedence()


def give_way_before_statements(connection: BaseDatabaseWrapper, **_signal: object) -> None:
    """Have the thread's request yield before each statement on this new connection."""

    def execute(run: Callable[..., Any], *statement: Any) -> Any:
        REQUESTS.give_way()
        return run(*statement)

    connection.execute_wrappers.append(execute)
