"""The limit of simultaneous exports. Writing a file keeps a processor busy, which other pages need too."""

from contextlib import AbstractContextManager

from koppel.kit.concurrency import ConcurrencyLimit
from koppel.kit.web.token_buckets import TooManyRequests

EXPORTS_MAX = 2
"""Of one organisation in each process."""
RETRY_AFTER_SECONDS = 5
_exports = ConcurrencyLimit(EXPORTS_MAX, error=lambda: TooManyRequests(RETRY_AFTER_SECONDS))


def export_slot(organisation_id: int) -> AbstractContextManager[None]:
    """Hold one of the organisation's slots during the block. Raises `TooManyRequests`."""
    return _exports.slot(organisation_id)
