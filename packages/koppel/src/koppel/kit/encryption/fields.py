"""The model field for secrets: a column of ciphertexts, each bound to its table, row and column.

Key rotation finds these fields by walking the models (`koppel.connections.vault.encrypted_columns`), so new
ones need no registration.
"""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.lookups import Lookup

from koppel.kit.encryption.ciphers import Secret, is_ciphertext
from koppel.kit.encryption.installation_keys import keyring


class EncryptedField(models.BinaryField):  # type: ignore[type-arg]
    """A column of ciphertexts.

    Attribute access reads and assigns ciphertexts, because encryption needs the row's key: use
    `encrypt_column` and `decrypt_column`. A value that is not a ciphertext is refused before it reaches the
    database; empty bytes are an erased secret.

    `row_key` names the attributes that bind a ciphertext to its row; they must not change while a secret is
    stored. `bound_as` is the column named in the associated data, for columns that pass a ciphertext on.
    """

    def __init__(
        self,
        *args: Any,
        row_key: Sequence[str] = ("organisation_id", "id"),
        bound_as: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.row_key, self.bound_as = tuple(row_key), bound_as

    def encrypt(self, secret: Secret, *row_key: object) -> bytes:
        return keyring().encrypt(secret.reveal().encode(), self.aad(*row_key))

    def decrypt(self, ciphertext: bytes | memoryview, *row_key: object) -> Secret:
        """Decrypt the secret of this row. Raises `DecryptionError`."""
        return Secret(keyring().decrypt(bytes(ciphertext), self.aad(*row_key)).decode())

    def aad(self, *row_key: object) -> str:
        """Return the associated data of the row with these values of `row_key`, in its order."""
        if len(row_key) != len(self.row_key):
            raise TypeError(f"{self} is bound to {', '.join(self.row_key)}.")
        return "|".join((self.model._meta.db_table, *map(str, row_key), self.bound_as or self.attname))

    def aad_of(self, row: models.Model) -> str:
        return self.aad(*(getattr(row, name) for name in self.row_key))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value and not is_ciphertext(bytes(value)):
            raise ValueError(f"{self} stores ciphertexts only; encrypt_column makes one.")
        return super().get_db_prep_value(value, connection, prepared)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return [*super().check(**kwargs), *self._check_row_key()]

    def _check_row_key(self) -> list[CheckMessage]:
        columns = {field.attname for field in self.model._meta.concrete_fields}
        unknown = [name for name in self.row_key if name not in columns]
        return (
            [Error(f"No column of the row: {', '.join(unknown)}.", obj=self, id="koppel.E001")]
            if unknown
            else []
        )

    def deconstruct(self) -> Any:
        # For migrations this is a column of bytes: the binding is not part of the schema.
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.BinaryField", args, kwargs


@EncryptedField.register_lookup
class UnderOtherKey(Lookup):
    """The lookup `column__under_other_key="k2"`: the ciphertext was not encrypted with this key.

    False for an erased secret.
    """

    lookup_name = "under_other_key"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        column, params = self.process_lhs(compiler, connection)
        condition = f"(length({column}) > 2 AND substring({column} FROM 3 FOR get_byte({column}, 1)) <> %s)"
        return condition, [*params, *params, *params, str(self.rhs).encode()]


def encrypted_fields(model: type[models.Model]) -> list[EncryptedField]:
    return [field for field in model._meta.concrete_fields if isinstance(field, EncryptedField)]


def encrypted_field(model: type[models.Model], name: str) -> EncryptedField:
    field = model._meta.get_field(name)
    if not isinstance(field, EncryptedField):
        raise FieldDoesNotExist(f"{model._meta.label} has no encrypted field {name!r}.")
    return field


def encrypt_column(row: models.Model, column: str, secret: Secret) -> bytes:
    """Return the ciphertext of a secret for this column of this row. The row's key must be set."""
    field = encrypted_field(type(row), column)
    return keyring().encrypt(secret.reveal().encode(), field.aad_of(row))


def decrypt_column(row: models.Model, column: str) -> Secret:
    """Return the secret in this column of the row.

    Raises `DecryptionError`, also for an erased secret.
    """
    field = encrypted_field(type(row), column)
    return Secret(keyring().decrypt(bytes(getattr(row, column) or b""), field.aad_of(row)).decode())
