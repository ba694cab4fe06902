"""Encrypt the secrets of authenticator apps and recovery codes like every other secret.

allauth stores them as text within its JSON, and uses `encrypt_text` and `decrypt_text`.
"""

import base64
from collections import Counter
from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction

from koppel.kit.encryption import DecryptionError, key_id_of, keyring

AAD = "mfa_authenticator"


def encrypt_text(text: str) -> str:
    return base64.b64encode(keyring().encrypt(text.encode(), AAD)).decode()


def decrypt_text(text: str) -> str:
    """Decrypt a secret of a second step. Raises `DecryptionError`."""
    return keyring().decrypt(base64.b64decode(text), AAD).decode()


def ciphertexts() -> Iterator[tuple[bytes, str]]:
    """Yield each ciphertext with the place to which it is bound."""
    for data in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list(
        "data", flat=True
    ):
        for text in _encrypted_texts(data):
            yield base64.b64decode(text), AAD


def reencrypt_all() -> tuple[int, Counter[str]]:
    """Encrypt all with the current key. Return their number, and by key the number that could not be opened
    and stay.
    """
    count, failures = 0, Counter[str]()
    for pk in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list("pk", flat=True):
        with transaction.atomic():
            authenticator = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if authenticator is not None:
                count += _reencrypt(authenticator, failures)
    return count, failures


def _reencrypt(authenticator: Authenticator, failures: Counter[str]) -> int:
    replacements = {}
    for text in _encrypted_texts(authenticator.data):
        key = key_id_of(base64.b64decode(text))
        if key == keyring().current:
            continue
        try:
            replacements[text] = encrypt_text(decrypt_text(text))
        except DecryptionError:
            failures[key] += 1
    if replacements:
        authenticator.data = _replace(authenticator.data, replacements)
        authenticator.save(update_fields=["data"])
    return len(replacements)


def _encrypted_texts(data: dict[str, Any]) -> list[str]:
    texts = [data[name] for name in ("secret", "seed") if name in data]
    return texts + list(data.get("migrated_codes", []))


def _replace(value: Any, replacements: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replace(inner, replacements) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace(inner, replacements) for inner in value]
    return replacements.get(value, value) if isinstance(value, str) else value
