"""The ASGI application: it receives a request whole, has Django process it in a thread, and sends the
response without that thread.
"""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import IO, Any

from koppel.kit.database.health.readiness import ReadinessCheck
from koppel.kit.web import paths
from koppel.kit.web.client_ip import address_behind_proxies
from koppel.kit.web.precedence import REQUESTS
from koppel.web.server.clients import Clients, RequestClient, credential_digest
from koppel.web.server.fair_threads import FairThreads, Reservation
from koppel.web.server.limits import DEFAULT_LIMITS, MEBIBYTE, Limits
from koppel.web.server.refused_requests import RefusalLog, RequestRefused, refusal_content
from koppel.web.server.request_body import ClientDisconnected, Receive, RequestBodies, RequestBody
from koppel.web.server.wsgi_environ import (
    FILE_PART_BYTES,
    ORGANISATION_ID,
    FileContent,
    environ_of,
    headers_of,
    response_headers,
)

READING = frozenset({"GET", "HEAD"})
Scope = Mapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Content = IO[bytes] | FileContent
MEMORY_BYTES = MEBIBYTE
"""A larger response is kept in a temporary file while it is sent."""
WsgiApplication = Callable[..., Iterable[bytes]]
JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}


async def _do_nothing() -> None:
    """Run beside the server where there is nothing else to run."""


@dataclass(frozen=True)
class CompleteResponse:
    """A complete response; `content` is closed after it was sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    content: Content
    organisation_id: int | None = None


class Application:
    """`wsgi` is called in at most `threads` threads at a time. `started` runs in the event loop's thread when
    the server begins, `background` from then on beside requests, and `stopped` in a thread when it ends.
    """

    def __init__(
        self,
        wsgi: WsgiApplication,
        *,
        threads: int,
        limits: Limits = DEFAULT_LIMITS,
        started: Callable[[], None] = lambda: None,
        background: Callable[[], Awaitable[None]] = _do_nothing,
        stopped: Callable[[], None] = lambda: None,
        readiness: ReadinessCheck | None = None,
    ) -> None:
        self._wsgi, self._limits = wsgi, limits
        self._started, self._background, self._stopped = started, background, stopped
        self._readiness = readiness or ReadinessCheck()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="koppel request")
        self._threads = FairThreads(threads, limits)
        self._bodies, self._clients = RequestBodies(limits), Clients()
        self._refusals = RefusalLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            with contextlib.suppress(ClientDisconnected):
                await self._respond(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        background: asyncio.Future[None] | None = None
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._started()
                background = asyncio.ensure_future(self._background())
            elif background is not None:
                background.cancel()
                await asyncio.wait([background])
                await asyncio.to_thread(self._stopped)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self._readiness.close()
                return

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == paths.LIVE:
            await _send_whole(send, HTTPStatus.OK, JSON, b'{"status": "ok"}')
            return
        if scope["path"] in paths.READINESS:
            readiness = await self._readiness.readiness()
            status = HTTPStatus.OK if readiness.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
            await _send_whole(send, status, JSON, json.dumps(readiness.content).encode())
            return
        headers: Mapping[str, str] = {}
        try:
            self._check_head(scope)
            headers = headers_of(scope)
            response = await self._process(scope, headers, receive)
        except RequestRefused as refusal:
            self._refusals.add(refusal)
            page = refusal_content(refusal, scope["path"], headers.get("accept-language", ""))
            await _send_whole(send, refusal.status, *page)
            return
        with contextlib.closing(response.content):
            await self._send(send, response)

    def _check_head(self, scope: Scope) -> None:
        headers = scope["headers"]
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in headers)
        if size > self._limits.head_size or len(headers) > self._limits.headers:
            raise RequestRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    async def _process(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> CompleteResponse:
        authorization, cookies = headers.get("authorization", ""), headers.get("cookie", "")
        credential = credential_digest(scope["path"], authorization, cookies)
        direct = (scope.get("client") or ("",))[0]
        address = address_behind_proxies(direct, headers.get("x-forwarded-for", ""))
        client = self._clients.client(credential, address)
        size_max = self._limits.body_size if credential else self._limits.body_size_of_strangers
        with self._bodies.open(client, size_max) as body:
            await body.receive(receive, _declared_size(headers))
            async with self._threads.reserve(client) as reservation:
                response = await self._call(scope, headers, body, client, reservation)
        self._clients.learn(credential, response.organisation_id)
        return response

    async def _call(
        self,
        scope: Scope,
        headers: Mapping[str, str],
        body: RequestBody,
        client: RequestClient,
        reservation: Reservation,
    ) -> CompleteResponse:
        environ = environ_of(scope, headers, body.file, body.size)
        used = self._threads.use(client)

        def call_in_turn() -> CompleteResponse:
            # What changes something holds locks, for which others may wait.
            with REQUESTS.request(client, used, may_yield=scope["method"] in READING) as request:
                try:
                    return call_wsgi(self._wsgi, environ)
                finally:
                    reservation.waited_seconds = request.waited_seconds

        # Shielded: a slot is free again when its thread is, not when the client has gone.
        call = asyncio.get_running_loop().run_in_executor(self._executor, call_in_turn)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await asyncio.wait([call])
            raise

    async def _send(self, send: Send, response: CompleteResponse) -> None:
        start = {"type": "http.response.start", "status": response.status, "headers": response.headers}
        await send(start)
        while True:
            part = await _read_part(response.content)
            message = {"type": "http.response.body", "body": part, "more_body": bool(part)}
            try:
                async with asyncio.timeout(self._limits.response_pause):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnected from None
            if not part:
                return


def call_wsgi(wsgi: WsgiApplication, environ: dict[str, Any]) -> CompleteResponse:
    """Process a request in the calling thread, to its end unless the response is a file."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
        started[:] = [int(status.split(" ", 1)[0]), response_headers(headers)]

    parts = wsgi(environ, start_response)
    content = parts if isinstance(parts, FileContent) else _whole(parts)
    [status, headers] = started
    return CompleteResponse(status, headers, content, environ.get(ORGANISATION_ID))


def _whole(parts: Iterable[bytes]) -> IO[bytes]:
    """Return all parts as a file: in memory unless they are large."""
    file: IO[bytes] = BytesIO()
    try:
        for part in parts:
            if isinstance(file, BytesIO) and file.tell() + len(part) > MEMORY_BYTES:
                file = _on_disk(file)
            file.write(part)
    finally:
        if (close := getattr(parts, "close", None)) is not None:
            close()
    file.seek(0)
    return file


def _on_disk(memory: BytesIO) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed after it was sent
    file.write(memory.getvalue())
    return file


async def _read_part(content: Content) -> bytes:
    if isinstance(content, BytesIO):
        return content.read(FILE_PART_BYTES)
    return await asyncio.to_thread(content.read, FILE_PART_BYTES)


async def _send_whole(send: Send, status: HTTPStatus, headers: Mapping[str, str], body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": int(status),
            "headers": response_headers({**headers, "Content-Length": str(len(body))}.items()),
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _declared_size(headers: Mapping[str, str]) -> int | None:
    """Return the length that the client announces. Raises `RequestRefused` for what is not a number."""
    text = headers.get("content-length")
    if text is None:
        return None
    if not text.isdecimal() or not text.isascii():
        raise RequestRefused(HTTPStatus.BAD_REQUEST)
    return int(text)
