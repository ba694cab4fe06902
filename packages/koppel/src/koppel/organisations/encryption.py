"""The installation's keys, and the encryption of secrets of people and organisations, bound to where they are
stored.
"""

import json
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from koppel.kit.encryption import Keyring


@lru_cache(maxsize=4)
def _keyring(keys: str, file: str, _changed_at: int) -> Keyring:
    """Return the environment's keyring, or the one in `secrets.json` when that only has keys added since this
    process began.
    """
    ring = Keyring.parse(keys)
    try:
        stored = Keyring.parse(json.loads(Path(file).read_text())["KOPPEL_VAULT_KEYS"])
    except (OSError, ValueError, KeyError, TypeError):
        return ring
    return stored if stored.includes(ring) else ring


def keyring() -> Keyring:
    """Return the installation's current keys: `koppel keys rotate --new` adds one while everything runs."""
    file = Path(settings.DATA_DIR, "secrets.json")
    try:
        changed_at = file.stat().st_mtime_ns if settings.DATA_DIR else 0
    except OSError:
        changed_at = 0
    return _keyring(settings.VAULT_KEYS, str(file), changed_at)


def encrypt(secret: bytes, aad: str) -> bytes:
    """Encrypt. `aad` names the row, so that the ciphertext is refused in another."""
    return keyring().encrypt(secret, aad)


def decrypt(ciphertext: bytes, aad: str) -> bytes:
    """Raises `DecryptionError`."""
    return keyring().decrypt(bytes(ciphertext), aad)


def provider_secret_aad(organisation_id: int) -> str:
    """The place of the client secret of an organisation's identity provider."""
    return f"organisations_identity_provider|{organisation_id}|client_secret"
