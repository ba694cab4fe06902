"""Answers that break on the way: chunks that are malformed, lengths that lie, compressed halves. Each is a
failure with a name, never a shorter or an empty body. A server writes the bytes in one packet or in two.
"""

import asyncio
import gzip
import zlib
from contextlib import suppress

import pytest

from koppel.kit.http import client, transport
from koppel.kit.http.client import BROKEN, HttpClient, NetworkFailure

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
DATA = b'[{"a":1}]' * 200
GZIP = gzip.compress(DATA)
HALF = GZIP[: len(GZIP) // 2]


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    async def is_open() -> None:
        """No quarantine."""

    monkeypatch.setattr(client.quarantine, "refuse_async", is_open)
    monkeypatch.setattr(transport, "LOST_CHECK_SECONDS", 0.05)


def answer_to(raw: bytes, *, packets: int = 1, bytes_max: int = client.BODY_BYTES_MAX) -> client.Response:
    """Send these bytes from a server that then closes, and return what the client makes of them."""

    async def call() -> client.Response:
        ended = asyncio.Event()

        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            end_of_head = raw.find(b"\r\n\r\n") + 4
            with suppress(OSError):
                for part in (raw,) if packets == 1 else (raw[:end_of_head], raw[end_of_head:]):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.02)
                writer.close()
                await writer.wait_closed()
            ended.set()

        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, HttpClient(timeout_seconds=5, body_bytes_max=bytes_max) as http:
            try:
                return await http.send("GET", f"{origin}/", allowed_origins=[origin])
            finally:
                await ended.wait()

    return asyncio.run(call())


def encoded(encoding: bytes, body: bytes) -> bytes:
    return HEAD + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body)) + body


@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize(
    "raw",
    [
        CHUNKED + b"\r\nzz\r\n[]\r\n0\r\n\r\n",
        CHUNKED + b"\r\n-2\r\n[]\r\n0\r\n\r\n",
        CHUNKED + b"\r\n2\r\n[]XX0\r\n\r\n",
        CHUNKED + b"\r\n2\r\n[]\r\nzz\r\n",
        CHUNKED + b"\r\n2\r\n[]\r\n",
        CHUNKED + b"\r\nff\r\n[]",
        CHUNKED + b"\r\n",
        HEAD + b"Content-Length: 10\r\n\r\n[]",
        HEAD + b"Content-Length: 10\r\n\r\n",
        encoded(b"gzip", HALF),
        encoded(b"gzip", GZIP[:10]),
        encoded(b"gzip", GZIP[:-8]),
        encoded(b"gzip", GZIP[:-8] + b"\0" * 8),
        encoded(b"gzip", b"hello"),
        encoded(b"deflate", zlib.compress(DATA)[:12]),
        encoded(b"br", b"hello"),
        encoded(b"gzip", gzip.compress(b"") * 1_000_000),
        encoded(b", ".join([b"gzip"] * 300), gzip.compress(DATA)),
        CHUNKED + b"Content-Encoding: gzip\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(HALF), HALF),
    ],
)
def test_a_broken_answer_has_a_name_and_no_body(raw: bytes, packets: int) -> None:
    with pytest.raises(NetworkFailure) as failure:
        answer_to(raw, packets=packets)
    assert failure.value.code == BROKEN
    assert "is broken" in str(failure.value)


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (CHUNKED + b"\r\n2\r\n[]\r\n0\r\n\r\n", b"[]"),
        (encoded(b"gzip", GZIP), DATA),
        (encoded(b"x-gzip", GZIP + GZIP), DATA + DATA),
        (encoded(b"deflate", zlib.compress(DATA)), DATA),
        (encoded(b"deflate", zlib.compress(DATA, wbits=-15)), DATA),
        (encoded(b"gzip", b""), b""),
        (encoded(b"identity", b"[]"), b"[]"),
    ],
)
def test_a_whole_answer_is_read_whole(raw: bytes, body: bytes) -> None:
    assert answer_to(raw).body == body


def test_a_body_that_grows_too_large_when_decompressed_is_refused() -> None:
    with pytest.raises(NetworkFailure, match="larger than"):
        answer_to(encoded(b"gzip", GZIP), bytes_max=1000)
