"""Moves every sealed secret to the current key of the ring, while everything runs; and tells what the ring cannot open.

A key that opens nothing of what is sealed under its name is another one: then nothing is done at all.

A batch is one transaction that holds its rows, so a token that is renewed meanwhile is neither lost nor put back. What is done
already is not selected again: stopped anywhere, the next run goes on. What cannot be opened is counted and left as it is.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain

from koppel.audit.models import ActorKind, Interface
from koppel.audit.services import AuditActor, record
from koppel.connections.vault.encrypted_columns import (
    ENCRYPTED_TABLES,
    EncryptedRow,
    EncryptedTable,
    all_ciphertexts,
    lock_rows_under_other_keys,
    replace_ciphertexts,
)
from koppel.kit.encryption import DecryptionError, key_id_of
from koppel.kit.tenancy import installation_scope
from koppel.organisations.access.mfa_secrets import ciphertexts as mfa_ciphertexts
from koppel.organisations.access.mfa_secrets import reencrypt_all
from koppel.organisations.encryption import keyring

BATCH_ROWS = 200


@dataclass
class Rotation:
    """What a rotation did. `unreadable`: secrets that stay under a key by its id, and why the first of them did not open."""

    key: str
    actor: AuditActor
    reencrypted: int = 0
    organisations: set[int] = field(default_factory=set)
    unreadable: Counter[str] = field(default_factory=Counter)
    reason: str = ""


class WrongKey(Exception):
    """A key of the ring is not the one that it is named after. Nothing was changed."""

    is_refusal = True


def require_matching_keys() -> None:
    """Raises `WrongKey` when a key of the ring opens none of the secrets that are sealed under its name."""
    for use in key_uses():
        if use.key in keyring() and use.unreadable == use.secrets:
            raise WrongKey(
                f"The key {use.key!r} in KOPPEL_VAULT_KEYS does not open what is sealed: none of the {use.secrets} secrets"
                " under its name, so it is another key. Put the right one back; nothing was changed."
            )


def rotate_keys(operator: str) -> Rotation:
    """Seal everything with the ring's first key. Each organisation's trail says that, and who asked: in the transaction that
    first changes something of it, so that a rotation which is stopped has said so too. Raises `WrongKey`."""
    require_matching_keys()
    rotation = Rotation(keyring().current, AuditActor(ActorKind.OPERATOR, None, operator, interface=Interface.CLI))
    for table in ENCRYPTED_TABLES:
        last = 0
        while (last := _reencrypt_batch(table, last, rotation)) > 0:
            pass
    again, broken = reencrypt_all()
    rotation.reencrypted += again
    rotation.unreadable.update(broken)
    _count_broken_under(rotation.key, rotation)
    return rotation


@dataclass(frozen=True)
class KeyUse:
    """How many secrets a key seals, how many of them cannot be opened, and why: '' when all can."""

    key: str
    secrets: int
    unreadable: int
    reason: str


def key_uses() -> list[KeyUse]:
    """Every sealed secret is opened once, and forgotten."""
    counted, unreadable = Counter[str](), Counter[str]()
    broken: dict[str, str] = {}
    for ciphertext, aad in chain(mfa_ciphertexts(), all_ciphertexts()):
        key_id = _key_name(ciphertext)
        counted[key_id] += 1
        try:
            keyring().decrypt(ciphertext, aad)
        except DecryptionError as reason:
            unreadable[key_id] += 1
            broken.setdefault(key_id, str(reason))
    return [
        KeyUse(key_id, count, unreadable[key_id], broken.get(key_id, "")) for key_id, count in sorted(counted.items())
    ]


def _count_broken_under(key: str, rotation: Rotation) -> None:
    """What was sealed with the first key already is not sealed again, but it must open as well."""
    for use in key_uses():
        if use.key == key and use.unreadable:
            rotation.unreadable[key] += use.unreadable
            rotation.reason = rotation.reason or use.reason


def _reencrypt_batch(table: EncryptedTable, after: int, rotation: Rotation) -> int:
    """The last id of the batch; 0 when there was nothing left."""
    with installation_scope("key rotation"):
        rows = lock_rows_under_other_keys(table, rotation.key, after, BATCH_ROWS)
        for row in rows:
            if fresh := _reencrypted(row, rotation):
                replace_ciphertexts(row, fresh)
                rotation.reencrypted += len(fresh)
                _audit(row.organisation_id, rotation)
    return rows[-1].id if rows else 0


def _audit(organisation_id: int | None, rotation: Rotation) -> None:
    """Once, in the organisation's trail. In the batch's transaction."""
    if organisation_id is not None and organisation_id not in rotation.organisations:
        rotation.organisations.add(organisation_id)
        record(organisation_id, rotation.actor, "keys.rotated", details={"key": rotation.key})


def _reencrypted(row: EncryptedRow, rotation: Rotation) -> dict[str, bytes]:
    """By column, what was not under the current key and could be opened."""
    fresh = {}
    for column, ciphertext in row.ciphertexts.items():
        aad = row.aad(column)
        try:
            if key_id_of(ciphertext) != rotation.key:
                fresh[column] = keyring().encrypt(keyring().decrypt(ciphertext, aad), aad)
        except DecryptionError as reason:
            rotation.reason = rotation.reason or str(reason)
            rotation.unreadable[_key_name(ciphertext)] += 1
    return fresh


def _key_name(ciphertext: bytes) -> str:
    try:
        return key_id_of(ciphertext)
    except DecryptionError:
        return "?"
