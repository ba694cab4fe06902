"""Encrypt the secrets of authenticator apps and recovery codes like every other secret, each bound to its
account.

allauth stores them as text within its JSON, and uses `encrypt_text` and `decrypt_text`, which do not know the
account. So a text is bound to it when its row is saved (`bind_to_account`), and a code of a row with a text
of another account is refused (`has_own_secrets`).
"""

import base64
from collections import Counter
from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction

from koppel.kit.encryption import DecryptionError, key_id_of, keyring

AAD = "mfa_authenticator"
SEPARATOR = "."


def encrypt_text(text: str) -> str:
    return base64.b64encode(keyring().encrypt(text.encode(), AAD)).decode()


def decrypt_text(text: str) -> str:
    """Decrypt a secret of a second step. Raises `DecryptionError`."""
    ciphertext, aad = _parse(text)
    return keyring().decrypt(ciphertext, aad).decode()


def bind_to_account(authenticator: Authenticator) -> None:
    """Bind the texts of a row that is about to be saved to its account."""
    unbound = [text for text in _encrypted_texts(authenticator.data) if not _account_of(text)]
    if unbound:
        user_id = authenticator.user_id
        replacements = {text: _bound(decrypt_text(text), user_id) for text in unbound}
        authenticator.data = _replace(authenticator.data, replacements)


def has_own_secrets(authenticator: Authenticator) -> bool:
    """Return whether the texts of a stored row are bound to its account."""
    account = str(authenticator.user_id)
    return all(_account_of(text) == account for text in _encrypted_texts(authenticator.data))


def list_ciphertexts() -> Iterator[tuple[bytes, str]]:
    """Yield each ciphertext with the account to which it is bound."""
    for stored_fields in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list(
        "data", flat=True
    ):
        for text in _encrypted_texts(stored_fields):
            yield _parse(text)


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
        key = key_id_of(_parse(text)[0])
        if key == keyring().current:
            continue
        try:
            replacements[text] = _bound(decrypt_text(text), authenticator.user_id)
        except DecryptionError:
            failures[key] += 1
    if replacements:
        authenticator.data = _replace(authenticator.data, replacements)
        authenticator.save(update_fields=["data"])
    return len(replacements)


def _bound(secret: str, user_id: int) -> str:
    ciphertext = keyring().encrypt(secret.encode(), _aad_of(str(user_id)))
    return f"{user_id}{SEPARATOR}{base64.b64encode(ciphertext).decode()}"


def _parse(text: str) -> tuple[bytes, str]:
    """Return the ciphertext of a stored text, and the place to which it is bound."""
    account = _account_of(text)
    return base64.b64decode(text.removeprefix(account + SEPARATOR)), _aad_of(account)


def _account_of(text: str) -> str:
    """Return the account to which an encrypted text is bound; '' for a text that is not bound yet."""
    return text.rpartition(SEPARATOR)[0]


def _aad_of(account: str) -> str:
    return f"{AAD}|{account}" if account else AAD


def _encrypted_texts(stored_fields: dict[str, Any]) -> list[str]:
    texts = [stored_fields[name] for name in ("secret", "seed") if name in stored_fields]
    return texts + list(stored_fields.get("migrated_codes", []))


def _replace(value: Any, replacements: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replace(inner, replacements) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace(inner, replacements) for inner in value]
    return replacements.get(value, value) if isinstance(value, str) else value
