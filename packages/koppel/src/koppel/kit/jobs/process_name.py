"""The name under which a process holds rows of the database: runs, quotas."""

import os
import socket
import uuid


def new_process_name() -> str:
    """Return "host:pid:random": unique, also when a container reuses its host name and process id."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
