"""The outbound HTTP client, with the rules that apply to every call.

Calls are refused inside a database transaction, in quarantine, and to origins outside the caller's list.
Redirects are never followed: the vendor's `Location` and next links are data.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from django.db import connections
from django.utils.translation import gettext_noop
from yarl import URL

from koppel.kit import quarantine
from koppel.kit.http.compression import ACCEPTED_ENCODINGS, BrokenBody, decompress
from koppel.kit.http.egress import AddressRefused, EgressPolicy, GuardedResolver
from koppel.kit.http.outbound_budget import CallKind, call_slot
from koppel.kit.http.response_head import BrokenAfterHead, HeadKeepingProtocol, HeadKeepingResponse
from koppel.kit.web.sentences import in_english, stored_sentence

BODY_BYTES_MAX = 64 * 1024 * 1024
JSON_SIGNS_MAX = 4_000_000
"""Commas, colons and opening brackets of a JSON body, which is decoded to at most 120 bytes for each of them:
0.5 GB, where 64 MB of empty objects would be several gigabytes. A page of 1,000 entry lines has about
100,000.
"""
JSON_SIGNS = (b",", b":", b"[", b"{")
JSON_START = re.compile(rb"\s*[\[{]")
COUNTED_BYTES = 1024 * 1024
"""So much of a body is counted at once."""
TIMEOUT_SECONDS = 240
"""The API cuts synchronous calls at about four minutes (docs.vismasoftware.no, 30 April 2025)."""
CONNECT_SECONDS = 10
EXCERPT_BYTES, EXCERPT_SECONDS = 4096, 2.0
KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
"""Detects a dead machine, or a firewall that dropped the connection, within about a minute, however long a
response may take. A silent peer that acknowledges packets is alive.
"""
LOST_CHECK_SECONDS = 1.0
"""How often a reader that waits for more of a body checks whether the connection is still open."""
BROKEN = "broken_answer"
"""The code of a failure after the other side answered: the answer ended early, or is malformed."""
NOT_CONNECTED = "not_connected"
"""The code of a failure before the request was sent: the other side cannot have acted on it."""
NOT_ALLOWED = "address_not_allowed"
"""The code of a call that the egress policy refused."""
ADDRESS_FORBIDDEN = gettext_noop("%(host)s is not an address that may be called.")
UNREACHABLE = gettext_noop("%(host)s cannot be reached (%(cause)s).")
LATE = gettext_noop("%(host)s did not answer in time.")
ANSWER_BROKEN = gettext_noop("The answer of %(host)s is broken (%(cause)s).")
TOO_MANY_VALUES = gettext_noop("The answer has more than %(signs)s values and names.")
TOO_LARGE = gettext_noop("The answer is larger than %(kilobytes)s kB.")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Response:
    """A vendor's response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NetworkFailure(Exception):
    """No response arrived. `code` is stable; `sentence` is stored as it is, `str(failure)` is in English."""

    def __init__(self, code: str, message: str, **values: str | int) -> None:
        self.code = code
        self.sentence = stored_sentence(message, **values)
        super().__init__(in_english(self.sentence))


class HttpClient:
    """A pool of connections for one event loop. Use as `async with HttpClient() as http`.

    `connections_max` 0 means no limit. `connect_seconds` limits connecting, including name resolution; None:
    `timeout_seconds` applies. `egress_policy` limits the addresses that may be called, for URLs that a person
    entered. `status_only`: the status is the result, whatever happens to the body; `Response.body` is the
    part of it, undecoded, that arrived within two seconds.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        connect_seconds: float | None = None,
        connections_max: int = 100,
        egress_policy: EgressPolicy | None = None,
        body_bytes_max: int = BODY_BYTES_MAX,
        status_only: bool = False,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, connect=connect_seconds, sock_connect=CONNECT_SECONDS
        )
        self._connections_max = connections_max
        self._egress_policy = egress_policy
        self._body_bytes_max = body_bytes_max
        self._status_only = status_only
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        resolver = GuardedResolver(self._egress_policy) if self._egress_policy else None
        connector = aiohttp.TCPConnector(
            limit=self._connections_max, ttl_dns_cache=60, resolver=resolver, socket_factory=_watched_socket
        )
        if self._status_only:
            protocol = partial(HeadKeepingProtocol, loop=asyncio.get_running_loop())
            connector._factory = cast("partial[ResponseHandler]", protocol)
        self._session = aiohttp.ClientSession(
            connector=connector,
            response_class=HeadKeepingResponse if self._status_only else aiohttp.ClientResponse,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": "Koppel",
                "Accept": "application/json",
                "Accept-Encoding": "identity" if self._status_only else ACCEPTED_ENCODINGS,
            },
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self,
        method: str,
        url: str,
        *,
        allowed_origins: Collection[str],
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request and return the response, whatever its status.

        `content` is a raw body, instead of a form. Raises `NetworkFailure`; `ValueError` for a URL outside
        `allowed_origins`; `Quarantined` before anything is sent.
        """
        if origin_of(url) not in allowed_origins:
            raise ValueError(
                f"Koppel does not call {urlsplit(url).netloc}: the connector's addresses do not name it."
            )
        refuse_in_transaction()
        await quarantine.refuse_async()
        if self._session is None:
            raise RuntimeError("HttpClient is used as `async with`.")
        try:
            target = URL(url)
            if self._egress_policy is not None:
                self._egress_policy.require_allowed(
                    target.raw_host or ""
                )  # aiohttp's own parsing: it converts full-width digits
            async with self._session.request(
                method,
                target,
                params=params,
                data=form if content is None else content,
                headers=headers,
                allow_redirects=False,
            ) as response:
                body = await (_read_excerpt(response) if self._status_only else self._read_body(response))
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
        max_bytes = self._body_bytes_max
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


def origin_of(url: str) -> str:
    """Return `scheme://host:port` in lower case, always with the port."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def run(
    work: Callable[[HttpClient], Awaitable[T]],
    *,
    body_bytes_max: int = BODY_BYTES_MAX,
    seconds_max: float = 60,
    egress_policy: EgressPolicy | None = None,
) -> T:
    """Run calls to an identity provider from a web request or a command: all of them within `seconds_max`.

    Raises `CallsBusy` when too many requests of this process wait for providers, `TimeoutError`, and
    `RuntimeError` inside a database transaction.
    """
    refuse_in_transaction()
    quarantine.refuse()

    async def with_client() -> T:
        client = HttpClient(
            timeout_seconds=seconds_max, body_bytes_max=body_bytes_max, egress_policy=egress_policy
        )
        async with asyncio.timeout(seconds_max), client as http:
            return await work(http)

    with call_slot(CallKind.IDENTITY_PROVIDER):
        return asyncio.run(with_client())


def refuse_in_transaction() -> None:
    """Raise `RuntimeError` inside a database transaction."""
    if any(connection.in_atomic_block for connection in connections.all(initialized_only=True)):
        raise RuntimeError(
            "An outbound call inside a database transaction would hold its locks while the vendor thinks."
        )


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
