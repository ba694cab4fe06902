"""The limit of simultaneous exports. Writing a file keeps a processor busy, which other pages need too."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from koppel.kit.database.locks import LockName, try_lock_until_commit
from koppel.kit.web.token_buckets import TooManyRequests

EXPORTS_MAX = 2
"""Of an organisation, over all processes."""
RETRY_AFTER_SECONDS = 5


@contextmanager
def export_slot(organisation_id: int) -> Iterator[None]:
    """Hold one of the organisation's slots until the end of the transaction, the caller's if there is one.

    The slot of a killed process is free at once. Raises `TooManyRequests`.
    """
    with transaction.atomic():
        slots = range(EXPORTS_MAX)
        if not any(try_lock_until_commit(LockName.EXPORT, organisation_id, slot) for slot in slots):
            raise TooManyRequests(RETRY_AFTER_SECONDS)
        yield
