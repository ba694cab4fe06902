"""Compressed bodies. A body that ends early raises an error and never counts as a shorter one.

aiohttp's own decompression accepts half of a compressed body as a whole one.
"""

import zlib

ACCEPTED_ENCODINGS = "gzip, deflate"
ENCODINGS_MAX = 2
"""Encodings of one body: a header that names hundreds would have each of them expand the body again."""
MEMBERS_MAX = 1000
"""Compressed streams in a row (RFC 1952, 2.2), of which a server sends one, and a chunked one a few."""
CHUNK_BYTES = 64 * 1024
"""How much is given to the decompressor at once: it copies what follows the end of a stream."""


class BrokenBody(Exception):
    """A body is incomplete, malformed, or in an encoding that was not asked for."""


def decompress(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """Return the body without its `Content-Encoding`, at most `bytes_max` of it. An empty body stays empty.

    Raises `BrokenBody`.
    """
    names = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if len(names) > ENCODINGS_MAX:
        raise BrokenBody
    for name in reversed(names):
        if body:
            body = _decompress(body, name, bytes_max)
    return body


def _decompress(body: bytes, name: str, bytes_max: int) -> bytes:
    if name in ("gzip", "x-gzip"):
        window = zlib.MAX_WBITS | 16
    elif name == "deflate":
        # Some servers send raw deflate without zlib's header (RFC 9110, 8.4.1.2).
        window = zlib.MAX_WBITS if body[0] & 0x0F == 8 else -zlib.MAX_WBITS
    else:
        raise BrokenBody
    parts, rest = bytearray(), memoryview(body)
    for _member in range(MEMBERS_MAX):
        read = _read_stream(rest, zlib.decompressobj(window), parts, bytes_max)
        rest = rest[read:]
        if not rest or len(parts) >= bytes_max:
            return bytes(parts)
    raise BrokenBody


def _read_stream(body: memoryview, stream: "zlib._Decompress", parts: bytearray, bytes_max: int) -> int:
    """Append the next stream of the body to `parts`, up to `bytes_max`, and return its compressed length."""
    read = 0
    while not stream.eof and len(parts) < bytes_max:
        chunk = body[read : read + CHUNK_BYTES]
        read += len(chunk)
        try:
            parts += stream.decompress(chunk, bytes_max - len(parts))
        except zlib.error:
            raise BrokenBody from None
        if not chunk and not stream.eof:
            raise BrokenBody
    return read - len(stream.unused_data)
