"""The scripted browser of the main job."""

import socket
import threading

import pytest

from koppel.cli.demo.http_browser import Browser


def test_a_truncated_response_is_retried() -> None:
    """The web was killed while it sent a page: who asked may ask again."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as line:
                line.recv(65536)
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe first half")

        threading.Thread(target=answer).start()
        with pytest.raises(OSError, match=r"broke off \(IncompleteRead\)"):
            Browser().get(f"http://127.0.0.1:{server.getsockname()[1]}/")
