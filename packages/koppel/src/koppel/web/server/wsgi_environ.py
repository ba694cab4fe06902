"""Translates a request of the server (ASGI) into the environment that Django's WSGI handler reads."""

import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

FILE_PART_BYTES = 256 * 1024
ORGANISATION_ID = "koppel.organisation_id"
"""The key under which Django stores to which organisation the request's session or token belongs."""
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"})


class FileContent(FileWrapper):
    """A response that is a file: the server sends it by itself, without Django's thread."""

    filelike: IO[bytes]

    def __init__(self, filelike: IO[bytes], _block_size: int = 0) -> None:
        super().__init__(filelike, FILE_PART_BYTES)

    def read(self, size: int) -> bytes:
        return self.filelike.read(size)


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers by their names in lower case; values of the same name are joined.

    A name with an underscore is left out: to WSGI it is the same as one with a hyphen, so that a client could
    imitate what a proxy says.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if "_" in name:
            continue
        separator = "; " if name == "cookie" else ","
        headers[name] = f"{headers[name]}{separator}{value}" if name in headers else value
    return headers


def environ_of(
    scope: Mapping[str, Any], headers: Mapping[str, str], body: IO[bytes], size: int
) -> dict[str, Any]:
    """Return the environment; `size` is the length of `body`."""
    server_name, server_port = scope.get("server") or ("localhost", 80)
    client_address, client_port = scope.get("client") or ("", 0)
    path = scope.get("raw_path") or scope["path"].encode()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server_name,
        "SERVER_PORT": str(server_port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client_address,
        "REMOTE_PORT": str(client_port),
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(size) if size or "content-length" in headers else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileContent,
    }
    for name, value in headers.items():
        if name not in ("content-type", "content-length", "transfer-encoding"):
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return environ


def response_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
        if name.lower() not in HOP_BY_HOP
    ]
