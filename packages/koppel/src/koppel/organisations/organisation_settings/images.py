"""Uploaded pictures: PNG, JPEG or WebP, recognised by their bytes and never by name or declared type.

A picture is read part by part and written again with only what draws it: comments, positions of cameras,
animations and bytes after the picture are left out (decision 34).
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BYTES_MAX = 512 * 1024
PIXELS_MIN, PIXELS_MAX = 16, 2048

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DRAWS = (b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"IDAT", b"IEND")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_LARGEST = PIXELS_MAX * (PIXELS_MAX * 8 + 1) * 2
_JPEG_KEPT_APPS = (0xE0, 0xEE)
"""JFIF, and Adobe's, which says how the colours are stored."""
_JPEG_COMMENT, _JPEG_SCAN, _JPEG_END = 0xFE, 0xDA, 0xD9
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WEBP_DRAWS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH")
_WEBP_ANIMATED, _WEBP_ALPHA = 0x02, 0x10


class NotAnImage(ValueError):
    """The bytes are no complete picture in one of the formats."""


@dataclass(frozen=True)
class Image:
    """A picture: its media type, its bytes as they are kept, its size in pixels."""

    media_type: str
    content: bytes
    width: int
    height: int


def read_image(content: bytes) -> Image:
    """Return the picture without what does not draw it. Raises `NotAnImage`."""
    try:
        return _reader(content)(content)
    except (struct.error, IndexError, zlib.error) as error:
        raise NotAnImage(str(error)) from None


def _reader(content: bytes) -> Callable[[bytes], Image]:
    if content.startswith(_PNG):
        return _read_png
    if content.startswith(b"\xff\xd8\xff"):
        return _read_jpeg
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _read_webp
    raise NotAnImage("no PNG, JPEG or WebP")


def _read_png(content: bytes) -> Image:
    chunks = [(name, body) for name, body in _png_chunks(content) if name in _PNG_DRAWS]
    names = [name for name, _body in chunks]
    if names[:1] != [b"IHDR"] or names[-1:] != [b"IEND"] or names.count(b"IHDR") != 1:
        raise NotAnImage("PNG without head or end")
    width, height, depth, colour, _compression, _filter, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    if colour not in _PNG_CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise NotAnImage("unknown colours")
    drawn = _inflated_size(b"".join(body for name, body in chunks if name == b"IDAT"))
    row = 1 + -(-width * depth * _PNG_CHANNELS[colour] // 8)
    if drawn == 0 or (interlace == 0 and drawn != row * height):
        raise NotAnImage("incomplete PNG")
    return Image(
        media_type="image/png",
        content=_PNG + b"".join(_png_chunk(*chunk) for chunk in chunks),
        width=width,
        height=height,
    )


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each chunk up to the end of the picture."""
    at, name = len(_PNG), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", content, at)
        body = content[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", content, at + 8 + length)
        is_critical = not name[0] & 0x20
        if checksum != zlib.crc32(name + body) or (is_critical and name not in _PNG_DRAWS):
            raise NotAnImage("damaged PNG")
        yield name, body
        at += 12 + length


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _inflated_size(content: bytes) -> int:
    """Return how many bytes these inflate to, without keeping them; 0 when they have no end or are too
    many.
    """
    inflater, size, rest = zlib.decompressobj(), 0, content
    while rest and not inflater.eof:
        size += len(inflater.decompress(rest, 1 << 16))
        rest = inflater.unconsumed_tail
        if size > _PNG_LARGEST:
            return 0
    return size if inflater.eof else 0


def _read_jpeg(content: bytes) -> Image:
    segments, size, at = [content[:2]], (0, 0), 2
    has_scan = False
    while True:
        if content[at] != 0xFF:
            raise NotAnImage("damaged JPEG")
        marker = content[at + 1]
        if marker == _JPEG_END:
            break
        (length,) = struct.unpack_from(">H", content, at + 2)
        end = at + 2 + length
        if length < 2 or end >= len(content):
            raise NotAnImage("incomplete JPEG")
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            size = (width, height)
        if marker == _JPEG_SCAN:
            end, has_scan = _scan_end(content, end), True
        if marker != _JPEG_COMMENT and (marker & 0xF0 != 0xE0 or marker in _JPEG_KEPT_APPS):
            segments.append(content[at:end])
        at = end
    if not has_scan or not all(size):
        raise NotAnImage("JPEG without picture")
    return Image("image/jpeg", b"".join([*segments, b"\xff\xd9"]), *size)


def _scan_end(content: bytes, at: int) -> int:
    """Return where the next marker stands; stuffed bytes and restarts belong to the scan."""
    while True:
        at = content.find(b"\xff", at)
        if at < 0:
            raise NotAnImage("incomplete JPEG")
        if content[at + 1] != 0 and not 0xD0 <= content[at + 1] <= 0xD7:
            return at
        at += 2


def _read_webp(content: bytes) -> Image:
    (length,) = struct.unpack_from("<I", content, 4)
    if length + 8 > len(content):
        raise NotAnImage("incomplete WebP")
    chunks = [(name, body) for name, body in _riff_chunks(content[12 : length + 8]) if name in _WEBP_DRAWS]
    bodies = dict(chunks)
    if b"VP8X" in bodies:
        if bodies[b"VP8X"][0] & _WEBP_ANIMATED:
            raise NotAnImage("animated")
        head = bytes([bodies[b"VP8X"][0] & _WEBP_ALPHA]) + bodies[b"VP8X"][1:]
        chunks = [(name, head if name == b"VP8X" else body) for name, body in chunks]
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in chunks
    )
    return Image("image/webp", b"RIFF" + struct.pack("<I", len(body)) + body, *_webp_size(bodies))


def _riff_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, at)
        if at + 8 + length > len(content):
            raise NotAnImage("incomplete WebP")
        yield name, content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _webp_size(bodies: dict[bytes, bytes]) -> tuple[int, int]:
    if (lossless := bodies.get(b"VP8L")) is not None:
        if lossless[0] != 0x2F:
            raise NotAnImage("damaged WebP")
        bits = int.from_bytes(lossless[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    lossy = bodies.get(b"VP8 ", b"")
    if lossy[3:6] != b"\x9d\x01\x2a":
        raise NotAnImage("WebP without picture")
    width, height = struct.unpack_from("<HH", lossy, 6)
    return width & 0x3FFF, height & 0x3FFF
