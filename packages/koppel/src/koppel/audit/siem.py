"""Send signed heads to a SIEM: `https://…` gets a JSON list, `syslog://` and `syslogs://` one message each.

syslog is RFC 5424 over TCP with octet counting (RFC 6587); `syslogs` is the same over TLS (RFC 5425).
"""

import asyncio
import json
import socket
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from koppel.audit.signing_keys import HeadDocument
from koppel.kit import quarantine
from koppel.kit.http.client import HttpClient, NetworkFailure, origin_of, refuse_in_transaction
from koppel.kit.http.siem_url import PORTS

SECONDS_MAX = 15.0
PRIORITY = 13 * 8 + 5
"""Facility 13, log audit; severity 5, notice."""


class NotDelivered(Exception):
    """The SIEM did not take the heads; the message says why."""


async def deliver(url: str, documents: Sequence[HeadDocument]) -> None:
    """Send the documents. Raises `NotDelivered`, and `Quarantined` before anything is sent."""
    parts = urlsplit(url)
    if parts.scheme in PORTS:
        await _send_syslog(parts, documents)
    else:
        await _send_https(url, documents)


async def _send_https(url: str, documents: Sequence[HeadDocument]) -> None:
    body = json.dumps([document.to_dict() for document in documents]).encode()
    async with HttpClient(timeout_seconds=SECONDS_MAX, status_only=True) as http:
        try:
            response = await http.send(
                "POST",
                url,
                allowed_origins={origin_of(url)},
                content=body,
                headers={"Content-Type": "application/json"},
            )
        except NetworkFailure as failure:
            raise NotDelivered(str(failure)) from None
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise NotDelivered(f"The SIEM answered {response.status}.")


async def _send_syslog(parts: SplitResult, documents: Sequence[HeadDocument]) -> None:
    refuse_in_transaction()
    await quarantine.refuse_async()
    context = ssl.create_default_context() if parts.scheme == "syslogs" else None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            _reader, writer = await asyncio.open_connection(
                parts.hostname, parts.port or PORTS[parts.scheme], ssl=context
            )
            try:
                writer.writelines(map(_frame, documents))
                await writer.drain()
            finally:
                writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        raise NotDelivered(
            f"{parts.netloc.rpartition('@')[2]} cannot be reached ({type(error).__name__})."
        ) from None


def _frame(document: HeadDocument) -> bytes:
    body = json.dumps(document.to_dict())
    header = f"<{PRIORITY}>1 {document.head.signed_at} {socket.gethostname()} koppel - audit_head - "
    message = (header + body).encode()
    return b"%d %s" % (len(message), message)
