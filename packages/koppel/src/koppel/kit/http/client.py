"""The outbound HTTP client, with the rules that apply to every call.

Calls are refused inside a database transaction, in quarantine, and to origins outside the caller's list.
Redirects are never followed: the vendor's `Location` and next links are data.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import Protocol, Self, TypeVar
from urllib.parse import urlsplit

from django.db import connections
from django.utils.translation import gettext_noop

from koppel.kit import quarantine
from koppel.kit.http.egress import EgressPolicy
from koppel.kit.http.outbound_budget import CallKind, call_slot
from koppel.kit.web.sentences import in_english, stored_sentence

BODY_BYTES_MAX = 64 * 1024 * 1024
TIMEOUT_SECONDS = 240
"""The API cuts synchronous calls at about four minutes (docs.vismasoftware.no, 30 April 2025)."""
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

TRANSPORT = "koppel.kit.http.transport"

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


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """What an `HttpClient` was made with; it describes them."""

    timeout_seconds: float
    connect_seconds: float | None
    connections_max: int
    egress_policy: EgressPolicy | None
    body_bytes_max: int
    status_only: bool


class Transport(Protocol):
    """Sends the requests of a client."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

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
        self._options = ClientOptions(
            timeout_seconds=timeout_seconds,
            connect_seconds=connect_seconds,
            connections_max=connections_max,
            egress_policy=egress_policy,
            body_bytes_max=body_bytes_max,
            status_only=status_only,
        )
        self._transport: Transport | None = None

    async def __aenter__(self) -> Self:
        self._transport = _load_transport(self._options)
        await self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            await self._transport.close()

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
        if self._transport is None:
            raise RuntimeError("HttpClient is used as `async with`.")
        return await self._transport.request(
            method, url, params=params, data=form if content is None else content, headers=headers
        )


def _load_transport(options: ClientOptions) -> Transport:
    # aiohttp takes a tenth of a second to import, and most commands make no calls.
    transport: Transport = import_module(TRANSPORT).AiohttpTransport(options)
    return transport


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
