"""Keys for backups."""

from pathlib import Path

import pyrage


def write_identity(file: Path) -> str:
    """Write a private key as `age-keygen` does; return the public one."""
    identity = pyrage.x25519.Identity.generate()
    file.write_text(f"# created: 2026-11-30\n# public key: {identity.to_public()}\n{identity}\n")
    return str(identity.to_public())
