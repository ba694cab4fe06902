"""Sends requests over aiohttp, for `HttpClient`, which imports this when it is opened."""

import asyncio
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from koppel.kit.http.client import (
    ADDRESS_FORBIDDEN,
    ANSWER_BROKEN,
    BROKEN,
    LATE,
    NOT_ALLOWED,
    NOT_CONNECTED,
    TOO_LARGE,
    TOO_MANY_VALUES,
    UNREACHABLE,
    ClientOptions,
    NetworkFailure,
    Response,
)
from koppel.kit.http.compression import ACCEPTED_ENCODINGS, BrokenBody, decompress
from koppel.kit.http.egress import AddressRefused, EgressPolicy
from koppel.kit.http.response_head import BrokenAfterHead, HeadKeepingProtocol, HeadKeepingResponse

JSON_SIGNS_MAX = 4_000_000
"""Commas, colons and opening brackets of a JSON body, which is decoded to at most 120 bytes for each of them:
0.5 GB, where 64 MB of empty objects would be several gigabytes. A page of 1,000 entry lines has about
100,000.
"""
JSON_SIGNS = (b",", b":", b"[", b"{")
JSON_START = re.compile(rb"\s*[\[{]")
COUNTED_BYTES = 1024 * 1024
"""So much of a body is counted at once."""
CONNECT_SECONDS = 10
EXCERPT_BYTES, EXCERPT_SECONDS = 4096, 2.0
KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
"""Detects a dead machine, or a firewall that dropped the connection, within about a minute, however long a
response may take. A silent peer that acknowledges packets is alive.
"""
LOST_CHECK_SECONDS = 1.0
"""How often a reader that waits for more of a body checks whether the connection is still open."""


class AiohttpTransport:
    """A pool of connections for one event loop."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the pool, without a connection yet."""
        options = self._options
        resolver = GuardedResolver(options.egress_policy) if options.egress_policy else None
        connector = aiohttp.TCPConnector(
            limit=options.connections_max, ttl_dns_cache=60, resolver=resolver, socket_factory=_watched_socket
        )
        if options.status_only:
            protocol = partial(HeadKeepingProtocol, loop=asyncio.get_running_loop())
            connector._factory = cast("partial[ResponseHandler]", protocol)
        self._session = aiohttp.ClientSession(
            connector=connector,
            response_class=HeadKeepingResponse if options.status_only else aiohttp.ClientResponse,
            timeout=aiohttp.ClientTimeout(
                total=options.timeout_seconds,
                connect=options.connect_seconds,
                sock_connect=CONNECT_SECONDS,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": "Koppel",
                "Accept": "application/json",
                "Accept-Encoding": "identity" if options.status_only else ACCEPTED_ENCODINGS,
            },
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        data: Mapping[str, str] | bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Response:
        """Return the response, whatever its status. Raises `NetworkFailure`."""
        if self._session is None:
            raise RuntimeError("The pool is not open.")
        try:
            target = URL(url)
            if self._options.egress_policy is not None:
                # aiohttp's own parsing: it converts full-width digits
                self._options.egress_policy.require_allowed(target.raw_host or "")
            async with self._session.request(
                method,
                target,
                params=params,
                data=data,
                headers=headers,
                allow_redirects=False,
            ) as response:
                body = await (
                    _read_excerpt(response) if self._options.status_only else self._read_body(response)
                )
                return Response(status=response.status, headers=_headers(response), body=body)
        except BrokenAfterHead as answer:
            return Response(status=answer.status, headers=answer.headers, body=b"")
        except (AddressRefused, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if isinstance(getattr(error, "os_error", error), AddressRefused):
                raise NetworkFailure(NOT_ALLOWED, ADDRESS_FORBIDDEN, host=urlsplit(url).netloc) from None
            raise _unreachable(NOT_CONNECTED, url, error) from None
        except TimeoutError:
            raise NetworkFailure("timeout", LATE, host=urlsplit(url).netloc) from None
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError, BrokenBody) as error:
            cause = type(error).__name__
            raise NetworkFailure(BROKEN, ANSWER_BROKEN, host=urlsplit(url).netloc, cause=cause) from None
        except aiohttp.ClientError as error:
            raise _unreachable("network", url, error) from None

    async def _read_body(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the whole body, decompressed. Raises `NetworkFailure` when it is too large, also decoded;
        `BrokenBody` and aiohttp's errors when it is broken.
        """
        max_bytes = self._options.body_bytes_max
        received = bytearray()  # appending to bytes would copy all of it for each packet
        while len(received) <= max_bytes and (chunk := await _read_some(response, max_bytes + 1)):
            received += chunk
        body = bytes(received)
        encoding = response.headers.get("Content-Encoding", "")
        if encoding and len(body) <= max_bytes:
            body = await asyncio.to_thread(decompress, body, encoding, max_bytes + 1)
        if len(body) > max_bytes:
            raise NetworkFailure("too_large", TOO_LARGE, kilobytes=max_bytes >> 10)
        is_json = "json" in response.content_type or JSON_START.match(body)
        if is_json and len(body) > JSON_SIGNS_MAX and await asyncio.to_thread(_has_too_many_values, body):
            raise NetworkFailure("too_large", TOO_MANY_VALUES, signs=JSON_SIGNS_MAX)
        return body


def _has_too_many_values(body: bytes) -> bool:
    """Return whether a JSON body would be decoded to too many objects. Signs within texts count too."""
    count = 0
    for start in range(0, len(body), COUNTED_BYTES):
        count += sum(body.count(sign, start, start + COUNTED_BYTES) for sign in JSON_SIGNS)
        if count > JSON_SIGNS_MAX:
            return True
    return False


class GuardedResolver(AbstractResolver):
    """Resolves a host name with the system's resolver; returns the addresses that the policy allows."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results: Sequence[ResolveResult] = await self._resolver.resolve(host, port, family)
        allowed = [result for result in results if self._policy.allows(result["host"])]
        if not allowed:
            raise AddressRefused(host)
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


def _unreachable(code: str, url: str, error: Exception) -> NetworkFailure:
    return NetworkFailure(code, UNREACHABLE, host=urlsplit(url).netloc, cause=type(error).__name__)


async def _read_some(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Return what has arrived of a body; b'' at its end.

    aiohttp closes the connection at a malformed chunk, but leaves a reader that waits for more waiting.
    """
    reading = asyncio.ensure_future(response.content.read(bytes_max))
    try:
        while not reading.done():
            await asyncio.wait([reading], timeout=LOST_CHECK_SECONDS)
            connection = response.connection
            is_lost = connection is not None and (
                connection.transport is None or connection.transport.is_closing()
            )
            if is_lost and not reading.done():
                raise BrokenBody
        return await reading
    except RuntimeError:  # aiohttp's own, for a connection that it has closed
        raise BrokenBody from None
    finally:
        reading.cancel()


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the headers with names in lower case. Of `Retry-After`, which proxies add again, all of them."""
    headers = {key.lower(): value for key, value in response.headers.items()}
    if pauses := response.headers.getall("Retry-After", []):
        headers["retry-after"] = ", ".join(pauses)
    return headers


async def _read_excerpt(response: aiohttp.ClientResponse) -> bytes:
    """Return the beginning of a body that may be endless, slow, cut off or wrongly encoded."""
    excerpt = bytearray()
    with suppress(aiohttp.ClientError, OSError, TimeoutError, RuntimeError):
        async with asyncio.timeout(EXCERPT_SECONDS):
            while len(excerpt) < EXCERPT_BYTES and (chunk := await response.content.read(EXCERPT_BYTES)):
                excerpt += chunk
    return bytes(excerpt[:EXCERPT_BYTES])


def _watched_socket(address: tuple[Any, ...]) -> socket.socket:
    """Open a socket with keep-alive for one of `getaddrinfo`'s results, to detect a dead peer."""
    family, kind, protocol, *_name = address
    connection = socket.socket(family, kind, protocol)
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE_OPTIONS.items():
        with suppress(AttributeError, OSError):  # not every system supports all of them
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection
