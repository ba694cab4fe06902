"""Tokens that move from an installation to the copy that takes its place.

Both have the same vault keys, and a ciphertext is bound to the same row in both, so tokens stay encrypted. A
copy's own tokens are as old as its backup; the accounting system takes a refresh token that was used since
for stolen.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from koppel.connections.models import Grant
from koppel.kit.database.replication import wait_for_standby
from koppel.kit.tenancy import installation_scope

PAGE = 200
_BYTES = ("access_token", "refresh_token")
_MOMENTS = ("issued_at", "expires_at", "refresh_expires_at", "invalid_since", "maintain_at", "retry_at")
_OTHER = ("id", "organisation_id", "connection_id", "subject", "generation", "scope", "invalid_reason")


def renewals_under_way() -> int:
    """Return the number of grants whose renewal was sent and is not stored yet."""
    with installation_scope("handover"):
        return Grant.objects.filter(refresh_started_at__isnull=False, refresh_error="").count()


def export_grants(after_id: int) -> list[dict[str, Any]]:
    """Return a page of grants as JSON, in the order of their ids, with the tokens encrypted."""
    with installation_scope("handover"):
        rows = Grant.objects.filter(pk__gt=after_id).order_by("pk").values(*_OTHER, *_BYTES, *_MOMENTS)[:PAGE]
        return [_to_json(row) for row in rows]


def import_grants(rows: Sequence[dict[str, Any]]) -> int:
    """Store grants that the original has renewed since the backup; return how many of the rows this copy does
    not have at all.
    """
    missing = 0
    with installation_scope("handover"):
        wait_for_standby()
        for row in rows:
            content = _from_json(row)
            grant = Grant.objects.filter(
                **{name: content.pop(name) for name in ("id", "organisation_id", "connection_id", "subject")}
            )
            missing += not grant.exists()
            grant.filter(generation__lte=content["generation"]).update(
                **content, refresh_started_at=None, refresh_error=""
            )
    return missing


def _to_json(row: dict[str, Any]) -> dict[str, Any]:
    tokens = {
        name: base64.b64encode(row[name]).decode() if row[name] is not None else None for name in _BYTES
    }
    moments = {name: row[name].isoformat() if row[name] else None for name in _MOMENTS}
    return {**row, **tokens, **moments}


def _from_json(row: dict[str, Any]) -> dict[str, Any]:
    tokens = {name: base64.b64decode(row[name]) if row[name] is not None else None for name in _BYTES}
    moments = {name: datetime.fromisoformat(row[name]) if row[name] else None for name in _MOMENTS}
    return {name: row[name] for name in _OTHER} | tokens | moments
