"""Receives request bodies without a thread: within a size and a time."""

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from enum import Enum, auto
from http import HTTPStatus
from typing import IO, Any

from koppel.web.server.clients import RequestClient
from koppel.web.server.limits import KIBIBYTE, Limits
from koppel.web.server.refused_requests import RequestRefused

MEMORY_BYTES = 64 * KIBIBYTE
"""A larger body is kept in a temporary file."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ClientDisconnected(Exception):
    """The client closed the connection before it had sent everything."""


class Share(Enum):
    """What is limited for itself, so that strangers keep out no organisation, and large bodies no form."""

    ORGANISATIONS = auto()
    STRANGERS = auto()
    LARGE_BODIES_OF_STRANGERS = auto()


class RequestBodies:
    """The bodies that a process holds, for limits over all of them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._counts: dict[Share, Counter[str]] = {share: Counter() for share in Share}
        self._sizes: dict[Share, Counter[str]] = {share: Counter() for share in Share}

    @property
    def size(self) -> int:
        """All bytes that are held."""
        return sum(sizes.total() for sizes in self._sizes.values())

    @contextlib.contextmanager
    def open(self, client: RequestClient, size_max: int) -> Iterator["RequestBody"]:
        """Hold a body during the block.

        Raises `RequestRefused` when the clients of its kind, or the client, have too many.
        """
        counts = self._counts[_share(client)]
        if counts.total() >= self.limits.bodies or counts[client.key] >= self.limits.bodies_of_client:
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE)
        counts[client.key] += 1
        body = RequestBody(self, client, size_max)
        try:
            yield body
        finally:
            body.close()
            _subtract(counts, client.key, 1)

    def hold(self, client: RequestClient, begin: int, end: int) -> None:
        """Hold these bytes of a client's body. Raises `RequestRefused` when too many are held."""
        parts = self._parts(client, begin, end)
        for share, size in parts:
            sizes = self._sizes[share]
            is_full = sizes.total() + size > self.limits.bodies_size
            if is_full or sizes[client.key] + size > self.limits.bodies_size_of_client:
                raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE)
        for share, size in parts:
            self._sizes[share][client.key] += size

    def release(self, client: RequestClient, size: int) -> None:
        """Release the first bytes of a client's body."""
        for share, part_size in self._parts(client, 0, size):
            _subtract(self._sizes[share], client.key, part_size)

    def _parts(self, client: RequestClient, begin: int, end: int) -> list[tuple[Share, int]]:
        """Return how many of the bytes belong to which share."""
        if client.is_known:
            return [(Share.ORGANISATIONS, end - begin)]
        limit = self.limits.body_size_of_strangers
        small = min(end, limit) - min(begin, limit)
        parts = [(Share.STRANGERS, small), (Share.LARGE_BODIES_OF_STRANGERS, end - begin - small)]
        return [(share, size) for share, size in parts if size]


def _share(client: RequestClient) -> Share:
    return Share.ORGANISATIONS if client.is_known else Share.STRANGERS


def _subtract(counter: Counter[str], key: str, number: int) -> None:
    """Subtract, and forget a key that is at zero: strangers have any number of them."""
    counter[key] -= number
    if counter[key] <= 0:
        del counter[key]


class RequestBody:
    """A body. `file` is at its start after `receive`, and `size` its length."""

    def __init__(self, bodies: RequestBodies, client: RequestClient, size_max: int) -> None:
        self._bodies, self._client, self._size_max = bodies, client, size_max
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - closed by `RequestBodies.open`
        self.size = 0

    async def receive(self, receive: Receive, declared_size: int | None) -> None:
        """Receive all. Raises `RequestRefused` and `ClientDisconnected`."""
        if declared_size is not None and declared_size > self._size_max:
            await self._refuse_size(receive)
        began, has_more = asyncio.get_running_loop().time(), True
        while has_more:
            message = await self._next_message(receive, began)
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            await self._add(receive, message.get("body", b""))
            has_more = message.get("more_body", False)
        self.file.seek(0)

    def close(self) -> None:
        self.file.close()
        self._bodies.release(self._client, self.size)
        self.size = 0

    async def _next_message(self, receive: Receive, began: float) -> Message:
        limits = self._bodies.limits
        ends_at = began + limits.body_seconds + self.size / limits.body_bytes_per_second
        seconds = min(limits.body_pause, ends_at - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                return await receive()
        except TimeoutError:
            raise RequestRefused(HTTPStatus.REQUEST_TIMEOUT) from None

    async def _add(self, receive: Receive, part: bytes) -> None:
        if self.size + len(part) > self._size_max:
            await self._refuse_size(receive)
        self._bodies.hold(self._client, self.size, self.size + len(part))
        self.size += len(part)
        self.file.write(part)

    async def _refuse_size(self, receive: Receive) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._bodies.limits.discard_seconds):
                await _discard(receive)
        raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, size_max=self._size_max)


async def _discard(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass
