"""The model field for secrets: a column of ciphertexts, each bound to its table, row and column.

Key rotation finds these fields by walking the models (`koppel.connections.vault.encrypted_columns`), so new
ones need no registration.
"""

from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.lookups import Lookup

from koppel.kit.encryption.ciphers import Secret, is_ciphertext
from koppel.kit.encryption.installation_keys import keyring

ROW_KEY = ("organisation_id", "id")
"""What every model with an encrypted field has."""


class EncryptedField(models.BinaryField):  # type: ignore[type-arg]
    """A column of ciphertexts.

    Attribute access reads and assigns ciphertexts, because encryption needs the row's key: use
    `encrypt_column` and `decrypt_column`. A value that is not a ciphertext is refused before it reaches the
    database; empty bytes are an erased secret.

    A ciphertext is bound to `table|organisation|id|column`: copied to a row of another organisation, to
    another row or another column it does not open. The row must have its id before a secret is stored.
    """

    def encrypt(self, secret: Secret, organisation_id: int | None, row_id: int) -> bytes:
        return keyring().encrypt(secret.reveal().encode(), self.aad(organisation_id, row_id))

    def decrypt(self, ciphertext: bytes | memoryview, organisation_id: int | None, row_id: int) -> Secret:
        """Decrypt the secret of this row. Raises `DecryptionError`."""
        return Secret(keyring().decrypt(bytes(ciphertext), self.aad(organisation_id, row_id)).decode())

    def aad(self, organisation_id: int | None, row_id: int) -> str:
        """Return the associated data of a row; `organisation_id` None is the installation's."""
        return f"{self.model._meta.db_table}|{organisation_id}|{row_id}|{self.attname}"

    def aad_of(self, row: models.Model) -> str:
        """Return the associated data of this row. Raises `ValueError` before it has an id."""
        if row.pk is None:
            raise ValueError(f"{self} is bound to its row, which has no id yet.")
        return self.aad(getattr(row, ROW_KEY[0]), row.pk)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value and not is_ciphertext(bytes(value)):
            raise ValueError(f"{self} stores ciphertexts only; encrypt_column makes one.")
        return super().get_db_prep_value(value, connection, prepared)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return [*super().check(**kwargs), *self._check_row_key()]

    def _check_row_key(self) -> list[CheckMessage]:
        columns = {field.attname for field in self.model._meta.concrete_fields}
        unknown = [name for name in ROW_KEY if name not in columns]
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
