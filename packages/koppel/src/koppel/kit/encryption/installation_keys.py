"""The keys of this installation: `KOPPEL_VAULT_KEYS`, and the ones that `koppel keys rotate --new` added to
`secrets.json`.
"""

import json
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from koppel.kit.encryption.ciphers import Keyring


def keyring() -> Keyring:
    """Return the current keys: `koppel keys rotate --new` may add one while processes run."""
    file = Path(settings.DATA_DIR, "secrets.json")
    try:
        changed_at = file.stat().st_mtime_ns if settings.DATA_DIR else 0
    except OSError:
        changed_at = 0
    return _keyring(settings.VAULT_KEYS, str(file), changed_at)


@lru_cache(maxsize=4)
def _keyring(keys: str, file: str, _changed_at: int) -> Keyring:
    """Return the environment's keys, or those of the file when it extends them."""
    ring = Keyring.parse(keys)
    try:
        stored = Keyring.parse(json.loads(Path(file).read_text())["KOPPEL_VAULT_KEYS"])
    except (OSError, ValueError, KeyError, TypeError):
        return ring
    return stored if stored.includes(ring) else ring
