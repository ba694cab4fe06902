"""Faults on request: responses that are errors, slow, truncated, HTML, duplicated or cut off."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

HTML = "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
CALLS_MAX = 100_000


@dataclass
class Fault:
    """Applies to the next `times` calls whose path matches `path`, after `skip` of them.

    `path` is a case-insensitive regular expression. `kind`: status, down, html, truncate, garbage, drop,
    slow, hold, duplicate, replace. All but down spoil the response of a call that was executed; down responds
    like status and executes nothing. hold delays the response until the faults are cleared. `body` is the
    text of kind status; kind replace puts it in place of `old`.
    """

    path: str
    kind: str = "status"
    status: int = 500
    times: int = 1
    skip: int = 0
    company: int | None = None
    body: str = ""
    old: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Faults:
    waiting: list[Fault] = field(default_factory=list)
    latency_seconds: float = 0.0
    calls: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=CALLS_MAX))
    held_responses: list[asyncio.Event] = field(default_factory=list)

    async def hold(self) -> None:
        """Wait until `clear`."""
        released = asyncio.Event()
        self.held_responses.append(released)
        await released.wait()

    def clear(self) -> None:
        """Remove all faults; held responses are released."""
        self.waiting.clear()
        for released in self.held_responses:
            released.set()
        self.held_responses.clear()

    def forget_calls(self) -> None:
        """Clear the log of calls. Calls in progress are logged in the list of their start."""
        self.calls = deque(maxlen=CALLS_MAX)

    def reset(self) -> None:
        self.clear()
        self.forget_calls()
        self.latency_seconds = 0.0

    def next_for(self, path: str, company: int | None) -> Fault | None:
        for fault in self.waiting:
            if fault.company not in (None, company) or not re.search(fault.path, path, re.IGNORECASE):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                return None
            fault.times -= 1
            if fault.times <= 0:
                self.waiting.remove(fault)
            return fault
        return None


async def apply(
    state: Faults, fault: Fault, request: web.Request, response: web.StreamResponse
) -> web.StreamResponse:
    """Return the response with the fault applied."""
    if fault.kind == "hold":
        await state.hold()
        return response
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
        return response
    if fault.kind == "html":
        status = fault.status if fault.status >= 400 else 502
        return web.Response(text=HTML, content_type="text/html", status=status, headers=fault.headers)
    if fault.kind == "drop":
        if request.transport is not None:
            request.transport.close()
        raise web.HTTPServiceUnavailable
    body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
    if fault.kind in _INVALID_BODIES:
        return web.Response(body=_INVALID_BODIES[fault.kind](fault, body), content_type="application/json")
    text = fault.body or '{"message": "An error has occurred."}'
    return web.Response(
        text=text, content_type="application/json", status=fault.status, headers=fault.headers
    )


_INVALID_BODIES: dict[str, Callable[[Fault, bytes], bytes]] = {
    "truncate": lambda _fault, body: body[: len(body) // 2],
    "garbage": lambda _fault, _body: b'[{"totally": "unexpected"',
    "replace": lambda fault, body: body.replace(fault.old.encode(), fault.body.encode()),
    "duplicate": lambda _fault, body: (
        body[:-1] + b"," + body[1:] if body.startswith(b"[") and len(body) > 2 else body
    ),
}
