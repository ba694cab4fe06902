"""Receives request bodies without a thread: within a size and a time."""

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import IO, Any

from koppel.web.server.limits import KIBIBYTE, Limits
from koppel.web.server.refused_requests import RequestRefused

MEMORY_BYTES = 64 * KIBIBYTE
"""A larger body is kept in a temporary file."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ClientDisconnected(Exception):
    """The client closed the connection before it had sent everything."""


@dataclass
class RequestBodies:
    """The bodies that a process holds, for limits over all of them."""

    limits: Limits
    size: int = 0
    count_by_address: Counter[str] = field(default_factory=Counter)

    @contextlib.contextmanager
    def open(self, address: str, size_max: int) -> Iterator["RequestBody"]:
        """Hold a body during the block.

        Raises `RequestRefused` when the process or the address has too many.
        """
        counts, limits = self.count_by_address, self.limits
        if counts.total() >= limits.bodies or counts[address] >= limits.bodies_of_address:
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE)
        counts[address] += 1
        body = RequestBody(self, size_max)
        try:
            yield body
        finally:
            body.close()
            counts[address] -= 1
            if not counts[address]:
                del counts[address]


class RequestBody:
    """A body. `file` is at its start after `receive`, and `size` its length."""

    def __init__(self, bodies: RequestBodies, size_max: int) -> None:
        self._bodies, self._size_max = bodies, size_max
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
        self._bodies.size -= self.size
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
        if self._bodies.size + len(part) > self._bodies.limits.bodies_size:
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE)
        self.size += len(part)
        self._bodies.size += len(part)
        self.file.write(part)

    async def _refuse_size(self, receive: Receive) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._bodies.limits.discard_seconds):
                await _discard(receive)
        raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, size_max=self._size_max)


async def _discard(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass
