"""Exports at a time. Writing a file keeps a processor busy, which pages of other organisations need too."""

from contextlib import AbstractContextManager

from koppel.kit.web.token_buckets import Places

EXPORTS_MAX = 2
_exports = Places(EXPORTS_MAX)


def export_place(organisation_id: int) -> AbstractContextManager[None]:
    """Hold one of the organisation's places in this process. Raises `TooManyRequests`."""
    return _exports.hold(organisation_id)
