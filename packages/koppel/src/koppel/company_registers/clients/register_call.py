"""Call a register: its own host only, with a time limit; a missing answer is never "not found"."""

import asyncio
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from koppel.company_registers.clients.protocol import RegisterUnavailable
from koppel.kit.http.client import HttpClient, NetworkFailure, Response, origin_of

SECONDS_MAX = 20
RETRY_SECONDS_MAX = 3600.0
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
    """Make one call and return an answer to the question, of status below 500. Raises `RegisterUnavailable`
    for everything else."""
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
        raise RegisterUnavailable("too_many_calls", _retry_after(response))
    if response.status in (401, 403):
        raise RegisterUnavailable("key_refused", RETRY_SECONDS_MAX)
    if response.status >= 500 or 300 <= response.status < 400:
        raise RegisterUnavailable(f"status_{response.status}", _retry_after(response))
    return response


def decode(response: Response, kind: type[T]) -> T:
    """Return the typed body. Raises `RegisterUnavailable` for a page, half a body or another shape than
    published."""
    try:
        return msgspec.json.decode(response.body, type=kind)
    except msgspec.DecodeError:
        raise RegisterUnavailable("unexpected_answer", 300) from None


def _retry_after(response: Response) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), RETRY_SECONDS_MAX) if text.isdecimal() else 0.0
