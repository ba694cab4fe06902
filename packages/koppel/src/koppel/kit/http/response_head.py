"""The status of an answer whose body is malformed.

aiohttp parses what has arrived at once: when the first chunk of a body is malformed and came in one packet
with the head, it drops the head as well. `HeadKeepingResponse` reads it from the bytes.
"""

from collections.abc import Mapping
from typing import cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

HEAD_BYTES_MAX = 65_536


class BrokenAfterHead(aiohttp.ClientError):
    """The head arrived, and what came after it is malformed. Header names are in lower case."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"status {status}, then malformed")
        self.status, self.headers = status, headers


class HeadKeepingProtocol(ResponseHandler):
    """A connection that keeps the first bytes of the answer that it waits for."""

    received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data[: max(0, HEAD_BYTES_MAX - len(self.received))]
        super().data_received(data)


class HeadKeepingResponse(aiohttp.ClientResponse):
    """A response over a `HeadKeepingProtocol`. `start` raises `BrokenAfterHead` when a status was read."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = cast("HeadKeepingProtocol", connection.protocol)
        protocol.received = b""
        try:
            return await super().start(connection)
        except (aiohttp.ClientResponseError, aiohttp.ServerDisconnectedError):
            if (head := read_head(protocol.received)) is None:
                raise
            raise BrokenAfterHead(*head) from None


def read_head(received: bytes) -> tuple[int, dict[str, str]] | None:
    """Return the status of the final answer, and its headers as far as they arrived; None without a whole
    status line. Interim answers (1xx) are passed over.
    """
    line, is_whole, rest = received.partition(b"\r\n")
    words = line.split(b" ", 2)
    if not is_whole or not words[0].startswith(b"HTTP/1.") or len(words) < 2:
        return None
    if len(words[1]) != 3 or not words[1].isdigit():
        return None
    if words[1].startswith(b"1"):
        return read_head(received.partition(b"\r\n\r\n")[2])
    headers: dict[str, str] = {}
    for field in rest.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n"):
        name, _colon, value = field.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return int(words[1]), headers
