"""Secrets: a type that cannot be printed, ciphertexts bound to their row, and the installation's keys.

Model columns that hold a secret use `koppel.kit.encryption.fields.EncryptedField`.
"""

from koppel.kit.encryption.ciphers import DecryptionError, Keyring, Secret, is_ciphertext, key_id_of
from koppel.kit.encryption.installation_keys import keyring

__all__ = ["DecryptionError", "Keyring", "Secret", "is_ciphertext", "key_id_of", "keyring"]
