"""Re-encrypt every secret with the current key while Koppel runs, and count the secrets that cannot be
decrypted.

If a key decrypts none of the secrets under its name, it is the wrong key, and nothing is changed. A batch is
one transaction that locks its rows, so a simultaneously refreshed token is neither lost nor overwritten.
After an interruption the next run continues, because secrets under the current key are not selected again.
Secrets that cannot be decrypted stay unchanged.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain

from django.db.models import Model

from koppel.audit.models import ActorKind, Interface
from koppel.audit.services import AuditActor, add_audit_entry
from koppel.connections.audit_actions import VaultAction
from koppel.connections.vault.encrypted_columns import (
    all_ciphertexts,
    ciphertexts_of,
    encrypted_models,
    lock_rows_under_other_keys,
)
from koppel.kit.encryption import DecryptionError, key_id_of, keyring
from koppel.kit.errors import KoppelError
from koppel.kit.tenancy import installation_scope
from koppel.organisations.access.mfa_secrets import list_ciphertexts as mfa_ciphertexts
from koppel.organisations.access.mfa_secrets import reencrypt_all

BATCH_ROWS = 200


@dataclass
class Rotation:
    """The result of a rotation."""

    key: str
    actor: AuditActor
    reencrypted: int = 0
    organisations: set[int] = field(default_factory=set)
    unreadable: Counter[str] = field(default_factory=Counter)
    """The number of secrets that stay under each key."""
    reason: str = ""
    """Why the first of them was not decrypted."""


class WrongKey(KoppelError):
    """A key of the keyring does not belong to its name. Nothing was changed."""


def require_matching_keys() -> None:
    """Require that keys belong to their names. Raises `WrongKey` when one decrypts none of the secrets under
    its name.
    """
    for use in key_uses():
        if use.key in keyring() and use.unreadable == use.secrets:
            raise WrongKey(
                f"The key {use.key!r} in KOPPEL_VAULT_KEYS does not open what is sealed: "
                f"none of the {use.secrets} secrets"
                " under its name, so it is another key. Put the right one back; nothing was changed."
            )


def rotate_keys(operator: str) -> Rotation:
    """Re-encrypt all secrets with the keyring's first key. Raises `WrongKey`.

    Each organisation's audit log says who did it, in the transaction that first changes one of its secrets,
    so that an interrupted rotation is in the log too.
    """
    require_matching_keys()
    rotation = Rotation(
        keyring().current,
        AuditActor(kind=ActorKind.OPERATOR, id=None, name=operator, interface=Interface.CLI),
    )
    for model in encrypted_models():
        last = 0
        while (last := _reencrypt_batch(model, last, rotation)) > 0:
            pass
    reencrypted, unreadable = reencrypt_all()
    rotation.reencrypted += reencrypted
    rotation.unreadable.update(unreadable)
    _count_unreadable(rotation.key, rotation)
    return rotation


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """The number of secrets encrypted with a key, of those that cannot be decrypted, and why ('' when all
    can).
    """

    key: str
    secrets: int
    unreadable: int
    reason: str


def key_uses() -> list[KeyUse]:
    """Decrypt every secret once, and count by key."""
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
        KeyUse(key=key_id, secrets=count, unreadable=unreadable[key_id], reason=broken.get(key_id, ""))
        for key_id, count in sorted(counted.items())
    ]


def _count_unreadable(key: str, rotation: Rotation) -> None:
    """Count secrets under the current key that cannot be decrypted: the rotation does not touch them."""
    for use in key_uses():
        if use.key == key and use.unreadable:
            rotation.unreadable[key] += use.unreadable
            rotation.reason = rotation.reason or use.reason


def _reencrypt_batch(model: type[Model], after: int, rotation: Rotation) -> int:
    """Re-encrypt a batch and return its last id; 0 when nothing is left."""
    with installation_scope("key rotation"):
        rows = lock_rows_under_other_keys(model, rotation.key, after, BATCH_ROWS)
        for row in rows:
            if fresh := _reencrypt(row, rotation):
                model._base_manager.filter(pk=row.pk).update(**fresh)
                rotation.reencrypted += len(fresh)
                _audit(getattr(row, "organisation_id", None), rotation)
    return rows[-1].pk if rows else 0


def _audit(organisation_id: int | None, rotation: Rotation) -> None:
    """Write to the organisation's audit log, once. In the batch's transaction."""
    if organisation_id is not None and organisation_id not in rotation.organisations:
        rotation.organisations.add(organisation_id)
        add_audit_entry(
            organisation_id, rotation.actor, VaultAction.KEYS_ROTATED, details={"key": rotation.key}
        )


def _reencrypt(row: Model, rotation: Rotation) -> dict[str, bytes]:
    """Return new ciphertexts by field, of those that were under another key and could be decrypted."""
    fresh = {}
    for column, ciphertext in ciphertexts_of(row):
        aad = column.aad_of(row)
        try:
            if key_id_of(ciphertext) != rotation.key:
                fresh[column.name] = keyring().encrypt(keyring().decrypt(ciphertext, aad), aad)
        except DecryptionError as reason:
            rotation.reason = rotation.reason or str(reason)
            rotation.unreadable[_key_name(ciphertext)] += 1
    return fresh


def _key_name(ciphertext: bytes) -> str:
    try:
        return key_id_of(ciphertext)
    except DecryptionError:
        return "?"
