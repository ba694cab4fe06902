"""How many threads of a process may wait for other systems at a time, by kind of call.

A system that does not answer would otherwise take all threads of the web. Calls of one kind leave threads to
those of another, and to pages that call nobody.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from http import HTTPStatus

from django.utils.translation import gettext as _

from koppel.kit.errors import KoppelError

CALLS_MAX = 4
"""Half of the threads of a web process."""
WAITING_SECONDS = 3.0
"""So long a call waits for a place, as others end within seconds when all is well."""
RETRY_AFTER_SECONDS = 30


class CallKind(StrEnum):
    """Kinds of calls that a web request waits for. Each has its own places."""

    VENDOR = "vendor"
    IDENTITY_PROVIDER = "identity provider"


class CallsBusy(KoppelError):
    """All places of this kind are taken by calls that wait for an answer."""

    code = "calls_busy"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self) -> None:
        super().__init__(
            _("Another system answers slowly, and too many requests wait for it. Try again in a minute.")
        )

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}


_places = {kind: threading.BoundedSemaphore(CALLS_MAX) for kind in CallKind}


@contextmanager
def call_place(kind: CallKind) -> Iterator[None]:
    """Hold a place during the block. Raises `CallsBusy` when none is free within seconds."""
    if not _places[kind].acquire(timeout=WAITING_SECONDS):
        raise CallsBusy
    try:
        yield
    finally:
        _places[kind].release()
