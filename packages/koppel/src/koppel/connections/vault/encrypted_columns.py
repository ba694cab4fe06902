"""Every secret in the database, found by walking the models for encrypted fields. In installation scope.

The secrets of two-step verification are not here: `organisations.access.mfa_secrets` stores those in
allauth's rows.
"""

from collections.abc import Iterator
from functools import reduce
from operator import or_

from django.apps import apps
from django.db.models import Model, Q

from koppel.kit.encryption.fields import EncryptedField, encrypted_fields
from koppel.kit.tenancy import installation_scope


def encrypted_models() -> list[type[Model]]:
    """Return the models with encrypted fields, of all apps."""
    return [model for model in apps.get_models() if not model._meta.proxy and encrypted_fields(model)]


def lock_rows_under_other_keys(model: type[Model], key: str, after: int, limit: int) -> list[Model]:
    """Return rows after this primary key with a secret that is encrypted under another key, in order, locked
    until the transaction ends.
    """
    is_other = reduce(or_, (Q((f"{field.name}__under_other_key", key)) for field in encrypted_fields(model)))
    rows = model._base_manager.filter(is_other, pk__gt=after).order_by("pk").select_for_update(no_key=True)
    return list(rows[:limit])


def ciphertexts_of(row: Model) -> Iterator[tuple[EncryptedField, bytes]]:
    """Return the row's ciphertexts, without erased and absent ones."""
    for field in encrypted_fields(type(row)):
        if ciphertext := bytes(getattr(row, field.attname) or b""):
            yield field, ciphertext


def all_ciphertexts() -> Iterator[tuple[bytes, str]]:
    """Return every ciphertext with its associated data."""
    for model in encrypted_models():
        with installation_scope("key check"):
            for row in model._base_manager.all():
                yield from ((ciphertext, field.aad_of(row)) for field, ciphertext in ciphertexts_of(row))
