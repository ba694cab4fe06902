"""The tables and columns with encrypted secrets, and how to read and replace their ciphertexts. In installation scope.

The secrets of two-step verification are not here: `organisations.access.mfa_secrets` stores those in allauth's rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from koppel.connections.vault.encryption import app_registration_aad, consent_attempt_aad, grant_aad
from koppel.kit.tenancy import installation_scope
from koppel.notifications.webhooks.endpoints import secret_aad
from koppel.organisations.encryption import provider_secret_aad


@dataclass(frozen=True)
class EncryptedTable:
    """A table with encrypted `columns`. `aad` makes the associated data of a ciphertext, from the values of
    `names` and the column."""

    table: str
    columns: tuple[str, ...]
    names: tuple[str, ...]
    aad: Callable[[Sequence[Any], str], str]


ENCRYPTED_TABLES = (
    EncryptedTable(
        "connections_grant", ("access_token", "refresh_token"), ("organisation_id", "id"),
        lambda names, column: grant_aad(int(names[0]), int(names[1]), column),
    ),
    EncryptedTable(
        "connections_app_registration", ("client_secret",), ("connector", "client_id"),
        lambda names, _column: app_registration_aad(str(names[0]), str(names[1])),
    ),
    EncryptedTable(
        "organisations_identity_provider", ("client_secret",), ("organisation_id",),
        lambda names, _column: provider_secret_aad(int(names[0])),
    ),
    EncryptedTable(
        "notifications_webhook_endpoint", ("secret", "previous_secret"), ("organisation_id", "id"),
        lambda names, _column: secret_aad(int(names[0]), int(names[1])),
    ),
    EncryptedTable(
        "connections_consent_attempt", ("secrets", "callback"), ("state_hash",),
        lambda names, column: consent_attempt_aad(str(names[0]), column),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class EncryptedRow:
    """The ciphertexts of one row, by column; empty columns are left out."""

    table: EncryptedTable
    id: int
    organisation_id: int | None
    names: Sequence[Any]
    ciphertexts: Mapping[str, bytes]

    def aad(self, column: str) -> str:
        return self.table.aad(self.names, column)


def lock_rows_under_other_keys(table: EncryptedTable, key: str, after: int, limit: int) -> list[EncryptedRow]:
    """Return rows after this id with a column that is encrypted under another key, by id, locked until
    the transaction ends."""
    other = " OR ".join(
        f"(length({column}) > 2 AND substring({column} FROM 3 FOR get_byte({column}, 1)) <> %s)"
        for column in table.columns
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_columns(table)} FROM {table.table} WHERE id > %s AND ({other})"  # noqa: S608
            " ORDER BY id LIMIT %s FOR NO KEY UPDATE",
            [after, *[key.encode()] * len(table.columns), limit],
        )
        return [_row(table, values) for values in cursor.fetchall()]


def replace_ciphertexts(row: EncryptedRow, ciphertexts: Mapping[str, bytes]) -> None:
    assigned = ", ".join(f"{column} = %s" for column in ciphertexts)
    with connection.cursor() as cursor:
        statement = f"UPDATE {row.table.table} SET {assigned} WHERE id = %s"  # noqa: S608
        cursor.execute(statement, [*ciphertexts.values(), row.id])


def all_ciphertexts() -> Iterator[tuple[bytes, str]]:
    """Return every ciphertext with its associated data."""
    for table in ENCRYPTED_TABLES:
        with installation_scope("key check"), connection.cursor() as cursor:
            cursor.execute(f"SELECT {_columns(table)} FROM {table.table}")  # noqa: S608
            for values in cursor.fetchall():
                row = _row(table, values)
                yield from ((ciphertext, row.aad(column)) for column, ciphertext in row.ciphertexts.items())


def _columns(table: EncryptedTable) -> str:
    return ", ".join(("id", "organisation_id", *table.names, *table.columns))


def _row(table: EncryptedTable, values: Sequence[Any]) -> EncryptedRow:
    row_id, organisation_id, *others = values
    names, ciphertexts = others[: len(table.names)], others[len(table.names) :]
    by_column = {
        column: bytes(ciphertext) for column, ciphertext in zip(table.columns, ciphertexts, strict=True) if ciphertext
    }
    return EncryptedRow(table, row_id, organisation_id, names, by_column)
