"""Secrets of people and organisations, sealed with the vault's keys for the place they are kept in."""

from functools import cache

from django.conf import settings

from koppel.kit.secrets import Keyring


@cache
def _keyring(keys: str) -> Keyring:
    return Keyring.parse(keys)


def seal(secret: bytes, place: str) -> bytes:
    """`place` names the row, so that what is sealed for one is refused in another."""
    return _keyring(settings.VAULT_KEYS).seal(secret, place)


def unseal(envelope: bytes, place: str) -> bytes:
    """Raises `SealBroken`."""
    return _keyring(settings.VAULT_KEYS).open(bytes(envelope), place)
