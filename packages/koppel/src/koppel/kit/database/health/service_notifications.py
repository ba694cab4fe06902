"""Messages to the program that started this one: that it is ready, and that it is not hung.

The protocol of systemd (sd_notify): datagrams of `NAME=value` lines to the socket in `NOTIFY_SOCKET`. `koppel
up` gives its programs a socket of its own and tells systemd itself.
"""

import contextlib
import os
import socket
from collections.abc import Mapping

NOTIFY_SOCKET = "NOTIFY_SOCKET"
WATCHDOG_SECONDS = 5.0
"""How often a process says that it is not hung."""
PROCESS_FIELD = "X_KOPPEL_PID"
MESSAGE_BYTES_MAX = 4096


def notify(**fields: object) -> None:
    """Send a message. Does nothing where nobody listens; never waits."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    text = "\n".join(f"{name}={value}" for name, value in fields.items())
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(text.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def notify_ready() -> None:
    """Say that the program is ready; to be repeated after a restart."""
    notify(READY=1, STATUS="Ready")


def notify_alive() -> None:
    """Say that this process is not hung. The first message also says that it is ready."""
    notify(READY=1, WATCHDOG=1, **{PROCESS_FIELD: os.getpid()})


def notify_waiting() -> None:
    """Say that this process is not hung, but not ready either."""
    notify(WATCHDOG=1, STATUS="Waiting for the database", **{PROCESS_FIELD: os.getpid()})


def notify_stopping() -> None:
    notify(STOPPING=1)


def process_of(message: bytes) -> int | None:
    """Return the process that says it is not hung; None for another message."""
    fields: Mapping[str, str] = dict(
        line.split("=", 1) for line in message.decode(errors="replace").splitlines() if "=" in line
    )
    pid = fields.get(PROCESS_FIELD, "")
    return int(pid) if fields.get("WATCHDOG") == "1" and pid.isdecimal() else None
