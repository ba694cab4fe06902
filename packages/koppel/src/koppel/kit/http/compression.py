"""Compressed bodies. A body that ends early raises an error and never counts as a shorter one.

aiohttp's own decompression accepts half of a compressed body as a whole one.
"""

import zlib

ACCEPTED_ENCODINGS = "gzip, deflate"


class BrokenBody(Exception):
    """A body is incomplete, malformed, or in an encoding that was not asked for."""


def decompress(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """Return the body without its `Content-Encoding`, at most `bytes_max` of it. An empty body stays empty.

    Raises `BrokenBody`.
    """
    for name in reversed([part.strip().lower() for part in encoding.split(",")]):
        if body and name not in ("", "identity"):
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
    parts = bytearray()
    while body and len(parts) < bytes_max:
        member = zlib.decompressobj(window)
        try:
            parts += member.decompress(body, bytes_max - len(parts))
        except zlib.error:
            raise BrokenBody from None
        if not member.eof and len(parts) < bytes_max:
            raise BrokenBody
        body = member.unused_data
    return bytes(parts)
