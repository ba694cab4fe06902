"""Cleans up after a killed server or a killed Koppel.

Only the process that holds the directory's lock calls this.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from koppel.kit.database.embedded_postgres.errors import StartFailed

ORPHAN_SECONDS = 30


def clear_stale_pid_file(cluster: Path) -> None:
    """Stop a server whose Koppel has died, and remove a stale pid file.

    A pid file is stale if it names a dead or foreign process, or is empty after a power failure. PostgreSQL
    refuses to start when the number in the file now belongs to any running process of this account. It checks
    shared memory separately, by directory, so children that are still ending are noticed.
    """
    file = cluster / "postmaster.pid"
    try:
        pid = int(file.read_text().split("\n", 1)[0])
    except FileNotFoundError:
        return
    except ValueError:
        pid = _server_of(cluster)
    if pid and _is_server_of(pid, cluster):
        _stop_orphan(pid, cluster)
    file.unlink(missing_ok=True)


def _stop_orphan(pid: int, cluster: Path) -> None:
    deadline = time.monotonic() + ORPHAN_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    while _is_server_of(pid, cluster):
        if time.monotonic() > deadline:
            raise StartFailed(f"An older server (process {pid}) still runs in {cluster} and does not stop.")
        time.sleep(0.05)


def _server_of(cluster: Path) -> int:
    """Return the id of the process that serves this cluster, whatever its pid file contains; 0 if none."""
    pids = (int(pid) for pid in _running_pids() if pid.isdecimal())
    return next((pid for pid in pids if f"postgres -D {cluster} " in _command_line(pid)), 0)


def _running_pids() -> list[str]:
    if Path("/proc/self/cmdline").exists():
        return [path.name for path in Path("/proc").iterdir()]
    return subprocess.run(
        ["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=False
    ).stdout.split()


def _is_server_of(pid: int, cluster: Path) -> bool:
    """Return whether this process is a running PostgreSQL of this cluster.

    A zombie has no command line.
    """
    command = _command_line(pid)
    return "postgres" in command and str(cluster) in command


def _command_line(pid: int) -> str:
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    result = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return result.stdout
