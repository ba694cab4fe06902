"""Shares a fixed number of threads among clients, so that none of them can keep the others waiting.

A client is an organisation, or an address before sign-in. It gets a part of the threads, and of those that
wait the client goes first that used the threads least in the last seconds. While other organisations are
active, a thread of a client that used them much, and more than another, rests for as long as it worked: what
it would compute meanwhile, workers and the database lack.
"""

import asyncio
import contextlib
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus

from koppel.web.server.clients import RequestClient
from koppel.web.server.limits import Limits
from koppel.web.server.refused_requests import RequestRefused

USE_HALVED_SECONDS = 10.0
"""After this time what a client used counts half."""
RECENT_SECONDS = 10.0
REST_ABOVE_SECONDS = 5.0
"""Threads rest of a client that used more than this lately: about a third of a thread all the time."""
REST_TIMES_MORE = 1.5
"""Threads rest of a client that used so many times more than another that is active."""
REST_SECONDS_MAX = 2.0
REST_OTHERS_SECONDS = 60.0
"""So long after a request other organisations count as active."""
CLIENTS_MAX = 1000
"""Above this number clients without recent use are forgotten."""
KEPT_FREE = 2


@dataclass
class Reservation:
    """A reserved thread. `waited_seconds`: of its time, what it waited for other systems, which is no use."""

    waited_seconds: float = 0.0


class FairThreads:
    """`threads` slots for requests. Belongs to one event loop."""

    def __init__(self, threads: int, limits: Limits, now: Callable[[], float] = time.monotonic) -> None:
        self._threads, self._limits, self._now = threads, limits, now
        self._running: Counter[RequestClient] = Counter()
        self._waiting: dict[RequestClient, deque[asyncio.Future[None]]] = {}
        self._uses: dict[RequestClient, tuple[float, float]] = {}

    @contextlib.asynccontextmanager
    async def reserve(self, client: RequestClient) -> AsyncIterator[Reservation]:
        """Wait for a thread and reserve it during the block. Raises `RequestRefused` when too many wait."""
        await self._acquire(client)
        reservation, began = Reservation(), self._now()
        try:
            yield reservation
        finally:
            seconds = self._now() - began - reservation.waited_seconds
            self._add_use(client, seconds)
            if rest := self.rest_seconds(client, seconds):
                asyncio.get_running_loop().call_later(rest, self._release, client)
            else:
                self._release(client)

    def share(self, client: RequestClient) -> int:
        """Return how many threads the client may use now: all but two when it is alone, else a quarter."""
        others = self._others(client, RECENT_SECONDS)
        return max(1, self._threads // 4 if others else self._threads - KEPT_FREE)

    def rest_seconds(self, client: RequestClient, worked_seconds: float) -> float:
        """Return how long a thread of the client rests after a request."""
        others = self._others(client, REST_OTHERS_SECONDS, organisations_only=True)
        least_use = min(map(self.use, others), default=math.inf)
        if self.use(client) <= max(REST_ABOVE_SECONDS, REST_TIMES_MORE * least_use):
            return 0.0
        return min(worked_seconds, REST_SECONDS_MAX)

    def use(self, client: RequestClient) -> float:
        """Return the seconds of threads that the client used, the earlier the less."""
        use, used_at = self._uses.get(client, (0.0, self._now()))
        return use * math.pow(0.5, (self._now() - used_at) / USE_HALVED_SECONDS)

    def _others(
        self, client: RequestClient, seconds: float, *, organisations_only: bool = False
    ) -> set[RequestClient]:
        """Return the other clients that were active in the last seconds."""
        recently = self._now() - seconds
        active = {other for other, (_use, used_at) in self._uses.items() if used_at > recently}
        others = (active | self._running.keys() | self._waiting.keys()) - {client}
        return {other for other in others if other.is_known or not organisations_only}

    async def _acquire(self, client: RequestClient) -> None:
        if not self._may_wait(client):
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        self._admit()
        try:
            async with asyncio.timeout(self._limits.waiting_seconds):
                await turn
        except BaseException as error:
            self._withdraw(client, turn)
            if isinstance(error, TimeoutError):
                raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE) from None
            raise

    def _may_wait(self, client: RequestClient) -> bool:
        """Return whether another request of the client may wait. Organisations and strangers have a limit
        each: no crowd of strangers keeps out who has signed in.
        """
        alike = [len(queue) for other, queue in self._waiting.items() if other.is_known == client.is_known]
        waiting_of_client = len(self._waiting.get(client, ()))
        return sum(alike) < self._limits.waiting and waiting_of_client < self._limits.waiting_of_client

    def _withdraw(self, client: RequestClient, turn: "asyncio.Future[None]") -> None:
        """Stop waiting, or return a thread that was reserved in the same moment."""
        if turn.done() and not turn.cancelled():
            self._release(client)
            return
        queue = self._waiting.get(client)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[client]

    def _release(self, client: RequestClient) -> None:
        self._running[client] -= 1
        if self._running[client] <= 0:
            del self._running[client]
        self._admit()

    def _admit(self) -> None:
        """Reserve free threads for waiting requests."""
        while self._running.total() < self._threads:
            candidates = [client for client in self._waiting if self._may_run(client)]
            if not candidates:
                return
            client = min(candidates, key=self.use)
            queue = self._waiting[client]
            turn = queue.popleft()
            if not queue:
                del self._waiting[client]
            if not turn.done():
                self._running[client] += 1
                turn.set_result(None)

    def _may_run(self, client: RequestClient) -> bool:
        if self._running[client] >= self.share(client):
            return False
        if client.is_known:
            return True
        strangers = sum(count for other, count in self._running.items() if not other.is_known)
        return strangers < max(1, self._threads // 2)

    def _add_use(self, client: RequestClient, seconds: float) -> None:
        self._uses[client] = (self.use(client) + seconds, self._now())
        if len(self._uses) > CLIENTS_MAX:
            recently = self._now() - RECENT_SECONDS
            self._uses = {key: use for key, use in self._uses.items() if use[1] > recently}
