"""Encryption to public keys in the format of age (https://age-encryption.org); `age -d` opens it as well."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pyrage

from koppel.kit.cli.errors import CommandError

_PRIVATE = "AGE-SECRET-KEY-"


class ByteReader(Protocol):
    """What bytes are read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; b'' at the end."""


class ByteWriter(Protocol):
    """What bytes are written to."""

    def write(self, chunk: bytes, /) -> int:
        """Write all of the bytes; return their number."""

    def flush(self) -> None:
        """Write what is buffered."""


def parse_recipients(text: str) -> tuple[str, ...]:
    """Return public keys that are separated by commas. Raises `CommandError`."""
    recipients = tuple(part.strip() for part in text.split(",") if part.strip())
    for recipient in recipients:
        _parse_recipient(recipient)
    return recipients


def _parse_recipient(text: str) -> "pyrage.x25519.Recipient | pyrage.ssh.Recipient":
    if text.startswith(_PRIVATE):
        raise CommandError(
            "That is a private key; backups are encrypted to the public one, which begins with age1."
        )
    for kind in (pyrage.x25519.Recipient, pyrage.ssh.Recipient):
        try:
            return kind.from_str(text)
        except pyrage.RecipientError:
            continue
    raise CommandError(f"{text!r} is no public key of age or SSH; `age-keygen` makes one, age1….")


def read_identities(file: Path) -> "list[pyrage.x25519.Identity | pyrage.ssh.Identity]":
    """Return the private keys of a file that `age-keygen` or `ssh-keygen` wrote. Raises `CommandError`."""
    try:
        text = file.read_bytes()
        if b"PRIVATE KEY-----" in text:
            return [pyrage.ssh.Identity.from_buffer(text)]
        lines = [line.strip() for line in text.decode().splitlines()]
        identities = [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith(_PRIVATE)]
    except (OSError, UnicodeError, pyrage.IdentityError) as error:
        raise CommandError(f"The private key in {file} cannot be read: {error}.") from None
    if not identities:
        raise CommandError(f"{file} has no private key; it is the file that `age-keygen -o` wrote.")
    return list(identities)


def copy_encrypted(source: ByteReader, target: ByteWriter, recipients: Sequence[str]) -> None:
    """Copy all of the bytes, encrypted to the recipients; as they are when there are none."""
    if recipients:
        pyrage.encrypt_io(source, target, [_parse_recipient(recipient) for recipient in recipients])
    else:
        while chunk := source.read(1 << 20):
            target.write(chunk)


def copy_decrypted(source: ByteReader, target: ByteWriter, identity_file: Path | None) -> None:
    """Copy all of the bytes, decrypted; as they are without keys. Raises `CommandError`."""
    if identity_file is None:
        while chunk := source.read(1 << 20):
            target.write(chunk)
        return
    try:
        pyrage.decrypt_io(source, target, read_identities(identity_file))
    except pyrage.DecryptError as error:
        raise CommandError(
            f"The backup does not open with the key in {identity_file}: {str(error).rstrip('.')}."
        ) from None


def read_decrypted(file: Path, identity_file: Path | None) -> bytes:
    """Return the content of a small file. Raises `CommandError`."""
    target = io.BytesIO()
    with file.open("rb") as source:
        copy_decrypted(source, target, identity_file)
    return target.getvalue()
