"""The limit of threads of a process that wait for other systems, by kind of call.

A system that does not answer would otherwise take all threads of the web. Calls of one kind leave threads to
those of another, and to pages that call nobody.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from http import HTTPStatus

from django.utils.translation import gettext as _

from koppel.kit.errors import KoppelError
from koppel.kit.http.concurrency import ConcurrencyLimit
from koppel.kit.web.precedence import REQUESTS

CALLS_MAX = 4
"""Half of the threads of a web process."""
CALLS_OF_ORGANISATION_MAX = 2
WAITING_SECONDS = 3.0
"""So long a call waits for a slot: when all is well, others end within seconds."""
RETRY_AFTER_SECONDS = 30


class CallKind(StrEnum):
    """Kinds of calls that a web request waits for. Each has its own slots."""

    VENDOR = "vendor"
    IDENTITY_PROVIDER = "identity provider"


class CallsBusy(KoppelError):
    """All slots of this kind are in use by calls that wait for an answer."""

    code = "calls_busy"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self) -> None:
        super().__init__(
            _("Another system answers slowly, and too many requests wait for it. Try again in a minute.")
        )

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}


_calls = ConcurrencyLimit(CALLS_MAX, error=CallsBusy)
_calls_of_organisations = ConcurrencyLimit(CALLS_OF_ORGANISATION_MAX, error=CallsBusy)


@contextmanager
def call_slot(kind: CallKind, organisation_id: int | None = None) -> Iterator[None]:
    """Hold a slot during the block, of an organisation's too. Raises `CallsBusy` when none is free within
    seconds.
    """
    # The organisation's first: who waits for that takes no slot from others.
    organisation_slot: AbstractContextManager[None] = nullcontext()
    if organisation_id is not None:
        organisation_slot = _calls_of_organisations.slot(
            (kind, organisation_id), wait_seconds=WAITING_SECONDS
        )
    with REQUESTS.call(), organisation_slot, _calls.slot(kind, wait_seconds=WAITING_SECONDS):
        yield
