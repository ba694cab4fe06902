"""The ports of the programs, and whether they are free."""

import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import is_free

WEB_PORT = 8400
SANDBOX_PORT = 8410
LOOPBACK = "127.0.0.1"
THIS_MACHINE = ("localhost", LOOPBACK, "::1")


def require_free(port: int, flag: str) -> None:
    """Require a free port. Raises `CommandError` when it is taken. `flag` is the option for another port."""
    if not is_free(port):
        raise CommandError(
            f"Port {port} is taken by another program; stop that program, or choose another port with {flag}."
        )


def responds(port: int, path: str) -> bool:
    """Return whether an HTTP server on the loopback address answers this path without an error."""
    connection = HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def wait_until(ready: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds, at most this long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
