"""Moves every sealed secret to the current key of the ring, while everything runs; and tells what the ring cannot open.

A key that opens nothing of what is sealed under its name is another one: then nothing is done at all.

A batch is one transaction that holds its rows, so a token that is renewed meanwhile is neither lost nor put back. What is done
already is not selected again: stopped anywhere, the next run goes on. What cannot be opened is counted and left as it is.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from koppel.audit.models import ActorKind, Interface
from koppel.audit.services import AuditActor, record
from koppel.connections.vault.encryption import app_registration_aad, consent_attempt_aad, grant_aad
from koppel.kit.encryption import DecryptionError, key_id_of
from koppel.kit.tenancy import installation_scope
from koppel.notifications.webhooks.endpoints import secret_aad
from koppel.organisations.access.mfa_secrets import ciphertexts as mfa_ciphertexts
from koppel.organisations.access.mfa_secrets import reencrypt_all
from koppel.organisations.encryption import keyring, provider_secret_aad

BATCH_ROWS = 200


@dataclass(frozen=True)
class EncryptedTable:
    """A table with sealed columns. `names` are the columns that its rows' names are made of (`encryption`)."""

    table: str
    columns: tuple[str, ...]
    names: tuple[str, ...]

    def aad(self, values: Sequence[Any], column: str) -> str:
        """The name that the envelope of this column is bound to."""
        if self.table == "connections_grant":
            return grant_aad(int(values[0]), int(values[1]), column)
        if self.table == "connections_app_registration":
            return app_registration_aad(str(values[0]), str(values[1]))
        if self.table == "organisations_identity_provider":
            return provider_secret_aad(int(values[0]))
        if self.table == "notifications_webhook_endpoint":
            return secret_aad(int(values[0]), int(values[1]))
        return consent_attempt_aad(str(values[0]), column)


ENCRYPTED_TABLES = (
    EncryptedTable("connections_grant", ("access_token", "refresh_token"), ("organisation_id", "id")),
    EncryptedTable("connections_app_registration", ("client_secret",), ("connector", "client_id")),
    EncryptedTable("organisations_identity_provider", ("client_secret",), ("organisation_id",)),
    EncryptedTable("notifications_webhook_endpoint", ("secret", "previous_secret"), ("organisation_id", "id")),
    EncryptedTable("connections_consent_attempt", ("secrets", "answer"), ("state_hash",)),
)


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


def rotate(operator: str) -> Rotation:
    """Seal everything with the ring's first key. Each organisation's trail says that, and who asked: in the transaction that
    first changes something of it, so that a rotation which is stopped has said so too. Raises `WrongKey`."""
    require_matching_keys()
    done = Rotation(keyring().current, AuditActor(ActorKind.OPERATOR, None, operator, interface=Interface.CLI))
    for table in ENCRYPTED_TABLES:
        last = 0
        while (last := _reencrypt_batch(table, last, done)) > 0:
            pass
    again, broken = reencrypt_all()
    done.reencrypted += again
    done.unreadable.update(broken)
    _count_broken_under(done.key, done)
    return done


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
    for ciphertext, row in _all_ciphertexts():
        try:
            key_id = key_id_of(ciphertext)
        except DecryptionError:
            key_id = "?"
        counted[key_id] += 1
        try:
            keyring().decrypt(ciphertext, row)
        except DecryptionError as reason:
            unreadable[key_id] += 1
            broken.setdefault(key_id, str(reason))
    return [
        KeyUse(key_id, count, unreadable[key_id], broken.get(key_id, "")) for key_id, count in sorted(counted.items())
    ]


def _count_broken_under(key: str, done: Rotation) -> None:
    """What was sealed with the first key already is not sealed again, but it must open as well."""
    for use in key_uses():
        if use.key == key and use.unreadable:
            done.unreadable[key] += use.unreadable
            done.reason = done.reason or use.reason


def _reencrypt_batch(table: EncryptedTable, after: int, done: Rotation) -> int:
    """The last id of the batch; 0 when there was nothing left."""
    current = done.key.encode()
    other = " OR ".join(
        f"(length({row}) > 2 AND substring({row} FROM 3 FOR get_byte({row}, 1)) <> %s)" for row in table.columns
    )
    organisation = ", organisation_id"
    chosen = f"id{organisation}, {', '.join((*table.names, *table.columns))}"
    with installation_scope("key rotation"), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {chosen} FROM {table.table} WHERE id > %s AND ({other})"  # noqa: S608 - names of our own
            " ORDER BY id LIMIT %s FOR NO KEY UPDATE",
            [after, *[current] * len(table.columns), BATCH_ROWS],
        )
        rows = cursor.fetchall()
        for row_id, organisation_id, *values in rows:
            names, envelopes = values[: len(table.names)], values[len(table.names) :]
            if fresh := _reencrypted(table, names, envelopes, done):
                assigned = ", ".join(f"{column} = %s" for column in fresh)
                cursor.execute(
                    f"UPDATE {table.table} SET {assigned} WHERE id = %s",  # noqa: S608 - names of our own
                    [*fresh.values(), row_id],
                )
                done.reencrypted += len(fresh)
                _audit(organisation_id, done)
    return int(rows[-1][0]) if rows else 0


def _audit(organisation_id: int | None, done: Rotation) -> None:
    """Once, in the organisation's trail. In the batch's transaction."""
    if organisation_id is not None and organisation_id not in done.organisations:
        done.organisations.add(organisation_id)
        record(organisation_id, done.actor, "keys.rotated", details={"key": done.key})


def _reencrypted(
    table: EncryptedTable, names: Sequence[Any], ciphertexts: Sequence[Any], done: Rotation
) -> dict[str, bytes]:
    fresh = {}
    for column, ciphertext in zip(table.columns, ciphertexts, strict=True):
        if not ciphertext:
            continue
        row = table.aad(names, column)
        try:
            if key_id_of(bytes(ciphertext)) != done.key:
                fresh[column] = keyring().encrypt(keyring().decrypt(bytes(ciphertext), row), row)
        except DecryptionError as reason:
            done.reason = done.reason or str(reason)
            done.unreadable[_key_name(bytes(ciphertext))] += 1
    return fresh


def _key_name(ciphertext: bytes) -> str:
    try:
        return key_id_of(ciphertext)
    except DecryptionError:
        return "?"


def _all_ciphertexts() -> Iterator[tuple[bytes, str]]:
    yield from mfa_ciphertexts()
    for table in ENCRYPTED_TABLES:
        with installation_scope("key check"), connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join((*table.names, *table.columns))} FROM {table.table}")  # noqa: S608
            for values in cursor.fetchall():
                names, ciphertexts = values[: len(table.names)], values[len(table.names) :]
                for column, ciphertext in zip(table.columns, ciphertexts, strict=True):
                    if ciphertext:
                        yield bytes(ciphertext), table.aad(names, column)
