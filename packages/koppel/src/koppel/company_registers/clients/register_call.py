"""Call a register: its own host only, with a time limit; a missing answer is never "not found"."""

import asyncio
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from koppel.company_registers.clients.protocol import RegisterUnavailable
from koppel.kit.http.client import HttpClient, NetworkFailure, Response, origin_of
from koppel.kit.http.retry_after import requested_pause

SECONDS_MAX = 20
KEY_REFUSED_SECONDS = 3600.0
T = TypeVar("T")


async def request(
    http: HttpClient,
    method: str,
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Call a register once and return a response of status below 500. Raises `RegisterUnavailable` for
    everything else.
    """
    try:
        async with asyncio.timeout(SECONDS_MAX):
            response = await http.send(
                method,
                url,
                allowed_origins=(origin_of(url),),
                params=params,
                content=content,
                headers=headers,
            )
    except TimeoutError:
        raise RegisterUnavailable("timeout") from None
    except NetworkFailure as failure:
        raise RegisterUnavailable(failure.code) from None
    if response.status == 429:
        raise _paused("too_many_calls", response)
    if response.status in (401, 403):
        raise RegisterUnavailable("key_refused", KEY_REFUSED_SECONDS)
    if response.status >= 500 or 300 <= response.status < 400:
        raise _paused(f"status_{response.status}", response)
    return response


def decode(response: Response, kind: type[T]) -> T:
    """Return the typed body. Raises `RegisterUnavailable` for a page, half a body or another shape than
    published.
    """
    try:
        return msgspec.json.decode(response.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RegisterUnavailable("unexpected_answer", 300) from None


def _paused(reason: str, response: Response) -> RegisterUnavailable:
    pause = requested_pause(response.headers)
    return RegisterUnavailable(reason, pause.seconds if pause else 0.0, is_requested=pause is not None)
