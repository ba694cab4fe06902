"""The sandbox's log of calls: unfinished calls of one test do not affect the next."""

import socket
import threading
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest

from tests.fixtures.stack import PATIENCE_SECONDS, Sandbox, wait_until


def test_a_call_that_is_under_way_is_forgotten_with_the_others(sandbox: Sandbox) -> None:
    sandbox.hold("openid-configuration")
    answered = threading.Event()

    def call() -> None:
        sandbox_get(sandbox, "/.well-known/openid-configuration")
        answered.set()

    threading.Thread(target=call).start()
    wait_until(sandbox.holds)
    sandbox.forget_calls()
    sandbox.release()
    assert answered.wait(PATIENCE_SECONDS)
    assert sandbox.calls() == []
    sandbox_get(sandbox, "/.well-known/openid-configuration")
    assert len(sandbox.calls()) == 1


def test_a_call_of_before_uses_up_no_fault_of_after(sandbox: Sandbox) -> None:
    """The worker of the last test was killed; its call is still under way at the vendor."""
    sandbox.control("settings", {"latency_seconds": 1})
    path = "/.well-known/openid-configuration"
    parts = urlsplit(sandbox.url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0))) as worker:
        worker.sendall(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        assert not sandbox.holds(), "who asks later is answered later: the call has begun"
        sandbox.reset()
        sandbox.fault(path, status=418)
        assert worker.recv(65536).startswith(b"HTTP/1.1 200 ")
    with pytest.raises(HTTPError, match="418"):
        sandbox_get(sandbox, path)


def sandbox_get(sandbox: Sandbox, path: str) -> None:
    import urllib.request

    urllib.request.urlopen(sandbox.url + path, timeout=PATIENCE_SECONDS).close()
