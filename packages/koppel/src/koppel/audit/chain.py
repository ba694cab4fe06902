"""The hash chain of an audit log: how an entry's digest and a link are computed, and the linking of entries.

Pure Python beside the same in SQL (`audit_digest`, `audit_link_pending`), so that a verification does not
believe functions of the database that it verifies. A value's digest has a salt of its own: when the value is
erased its salt goes too, and trying values does not find it. The digest stays, and with it the chain.
"""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from koppel.audit.models import PendingLink
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import INSTALLATION, installation_scope, organisation_scope

_SQL = load_statements("koppel.audit")
GENESIS = hashlib.sha256(b"").digest()
"""The link before the first one."""
LINKED_AT_ONCE_MAX = 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class EntryValues:
    """An entry as it is hashed: each value by its path, as PostgreSQL writes it; None for NULL."""

    values: Mapping[str, str | None]
    salt: bytes | None
    parts: Mapping[str, Mapping[str, str]]
    """After an erasure: by path the salt of a value, or the digest of an erased one."""

    @property
    def erased_paths(self) -> frozenset[str]:
        return frozenset(path for path, part in self.parts.items() if "digest" in part)

    def digest(self) -> bytes:
        """Return the digest over the digests of all values, the erased ones too."""
        digests = {path: bytes.fromhex(self.parts[path]["digest"]) for path in self.erased_paths}
        for path, value in self.values.items():
            if path not in digests:
                digests[path] = _value_digest(value, self._salt_of(path))
        ordered = sorted((path.encode(), digest) for path, digest in digests.items())
        return hashlib.sha256(
            b"".join(hashlib.sha256(path).digest() + digest for path, digest in ordered)
        ).digest()

    def _salt_of(self, path: str) -> bytes:
        if self.salt is not None:
            return hashlib.sha256(self.salt + path.encode()).digest()
        return bytes.fromhex(self.parts.get(path, {}).get("salt", ""))


def next_link(
    previous: bytes, organisation_id: int, position: int, entry_id: int, at: datetime, digest: bytes
) -> bytes:
    """Return the link that follows `previous` in the organisation's chain."""
    numbers = struct.pack(">qqqq", organisation_id, position, entry_id, microseconds(at))
    return hashlib.sha256(previous + numbers + digest).digest()


def microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


@contextmanager
def chain_scope(organisation_id: int) -> Iterator[None]:
    """Allow only the rows of one chain within the block; 0 is the installation's."""
    if organisation_id == INSTALLATION:
        with installation_scope("audit chain of the installation"):
            yield
    else:
        with organisation_scope(organisation_id):
            yield


def link_pending() -> int:
    """Link what was committed since the last time, in every chain. Return the number of links.

    An entry waits while a transaction is open that began before it was written: that one could still write an
    earlier entry.
    """
    with installation_scope("audit chains"):
        chains = list(PendingLink.objects.values_list("organisation_id", flat=True).order_by().distinct())
    return sum(_link_chain(organisation_id) for organisation_id in chains)


def _link_chain(organisation_id: int) -> int:
    total = 0
    while True:
        with chain_scope(organisation_id), connection.cursor() as cursor:
            cursor.execute(
                _SQL["link_pending"],
                {"organisation": organisation_id, "entries_max": LINKED_AT_ONCE_MAX},
            )
            count = int(cursor.fetchone()[0])
        total += count
        if count < LINKED_AT_ONCE_MAX:
            return total


def _value_digest(value: str | None, salt: bytes) -> bytes:
    return hashlib.sha256(salt + (b"n" if value is None else b"v" + value.encode())).digest()
