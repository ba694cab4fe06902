"""A type for secrets that cannot be printed, and AES-GCM ciphertexts bound to their row.

A ciphertext is `VERSION(1) | key id length(1) | key id | nonce(12) | encrypted and tag(16)`. The associated
data names the row (`table|organisation|row|column`), so a ciphertext moved to another row cannot be
decrypted.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
NONCE_BYTES = 12
TAG_BYTES = 16


class Secret:
    """A text that must not be shown. Only `reveal()` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not written to files, queues or other processes.")


class DecryptionError(Exception):
    """A ciphertext cannot be decrypted. Nothing is destroyed.

    The key id is unknown, the bytes are damaged, or they belong to another row.
    """


class Keyring:
    """Named AES-256 keys: the first encrypts, all decrypt."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ValueError("A keyring needs at least one key.")
        self._fingerprints = {key_id: hashlib.sha256(key).digest() for key_id, key in keys.items()}
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.current = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Parse `id:base64[,id:base64…]`, newest first. Raises `ValueError` with a sentence."""
        keys: dict[str, bytes] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            key_id, _, encoded = part.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except ValueError:
                key = b""
            if not key_id or len(key) != 32:
                raise ValueError("KOPPEL_VAULT_KEYS must look like id:base64-of-32-bytes[,older-id:…].")
            keys[key_id] = key
        return cls(keys)

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._ciphers

    def includes(self, other: "Keyring") -> bool:
        """Return whether this ring has all keys of the other: it is equal, or a later version."""
        return self._fingerprints.items() >= other._fingerprints.items()

    @property
    def fingerprints(self) -> dict[str, str]:
        """What tells one key from another, by id; the keys cannot be computed from it."""
        return {key_id: digest.hex() for key_id, digest in self._fingerprints.items()}

    def encrypt(self, secret: bytes, aad: str) -> bytes:
        """Encrypt for the row that `aad` names."""
        nonce = os.urandom(NONCE_BYTES)
        key_id = self.current.encode()
        header = bytes([VERSION, len(key_id)]) + key_id
        return header + nonce + self._ciphers[self.current].encrypt(nonce, secret, header + aad.encode())

    def decrypt(self, ciphertext: bytes, aad: str) -> bytes:
        """Decrypt a ciphertext of the row that `aad` names. Raises `DecryptionError`."""
        key_id = key_id_of(ciphertext)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise DecryptionError(
                f"Key {key_id!r} is not in KOPPEL_VAULT_KEYS; put it back to read what it sealed."
            )
        end = 2 + len(key_id.encode())
        nonce, encrypted = ciphertext[end : end + NONCE_BYTES], ciphertext[end + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, encrypted, ciphertext[:end] + aad.encode())
        except InvalidTag:
            raise DecryptionError(
                f"The secret of {aad} does not open with key {key_id!r}: wrong key or moved bytes."
            ) from None


def key_id_of(ciphertext: bytes) -> str:
    """Return the id of the key of this ciphertext.

    Raises `DecryptionError` when these bytes are not a ciphertext.
    """
    if len(ciphertext) < 2 or ciphertext[0] != VERSION:
        raise DecryptionError("These bytes are not a sealed secret.")
    return ciphertext[2 : 2 + ciphertext[1]].decode(errors="replace")


def is_ciphertext(value: bytes) -> bool:
    """Return whether these bytes have the form of a ciphertext; its origin is not checked."""
    return len(value) >= 2 and value[0] == VERSION and len(value) >= 2 + value[1] + NONCE_BYTES + TAG_BYTES
