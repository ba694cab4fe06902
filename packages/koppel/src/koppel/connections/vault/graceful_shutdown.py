"""Let a stopping process finish its token calls, and wait this long for nothing else: the response may be the
only copy of a rotated token.
"""

import os
import signal
import threading
import time
from pathlib import Path

from django.conf import settings

from koppel.kit.http.calls_in_progress import TOKEN_CALLS, CallsInProgress

WEB_STOP_SECONDS = 5.0
"""How long a web process goes on with requests after a signal to stop."""
POLL_SECONDS = 0.2

token_calls = CallsInProgress(Path(settings.DATA_DIR) / TOKEN_CALLS if settings.DATA_DIR else None)


def end_with_last_call() -> None:
    """Make a web process end 5 s after a signal to stop, or with its last call to a token endpoint. Call in
    the main thread, in its event loop.

    Without it the server would wait for slow requests as long as for tokens.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # not a server's process: its signals belong to others
    is_stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # The event loop learns of the signal all the same: the interpreter writes its number to it.
        signal.signal(number, lambda _number, _frame: is_stopping.set())
    threading.Thread(target=_end_after, args=(is_stopping,), name="koppel stop", daemon=True).start()


def _end_after(is_stopping: threading.Event) -> None:
    is_stopping.wait()
    began = time.monotonic()
    while time.monotonic() - began < settings.TOKEN_STOP_SECONDS:
        time.sleep(POLL_SECONDS)
        if not token_calls.count and time.monotonic() - began > WEB_STOP_SECONDS:
            break
    os._exit(0)
