"""Signed heads: the length and last link of a chain, with a time, under a key that is not in the database.

Who can rewrite the whole database can rewrite a chain with it, but not a head that was signed before. The key
is Ed25519; `KOPPEL_AUDIT_KEYS` holds the installation's, the newest first. Its id is the beginning of the
hash of its public part, so nobody can give another key the same id.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

CONTEXT = b"koppel audit head v1\n"
PUBLIC_PREFIX = "public:"
KEY_BYTES = 32
UNREADABLE = (
    "KOPPEL_AUDIT_KEYS is set to something that Koppel cannot read; "
    "docs/audit-log.md says under The key what it may be."
)


@dataclass(frozen=True, kw_only=True)
class Head:
    """The head of a chain at one time.

    `head` is the last link in hexadecimal, `signed_at` ISO 8601 in UTC.
    """

    chain: int
    length: int
    head: str
    signed_at: str
    installation: int
    key: str

    def content(self) -> bytes:
        """Return the bytes that are signed."""
        return CONTEXT + json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class HeadDocument:
    """A head with its signature, as it goes to the log and to a SIEM: one line of JSON."""

    head: Head
    signature: bytes

    def to_dict(self) -> dict[str, Any]:
        return {"event": "audit_head", **asdict(self.head), "signature": self.signature.hex()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "HeadDocument":
        """Read a document; other fields, as a log adds them, do not count. Raises `ValueError`."""
        try:
            head = Head(
                chain=int(document["chain"]),
                length=int(document["length"]),
                head=bytes.fromhex(document["head"]).hex(),
                signed_at=str(document["signed_at"]),
                installation=int(document["installation"]),
                key=str(document["key"]),
            )
            return cls(head, bytes.fromhex(document["signature"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"Not a signed head: {error}") from None


@dataclass(frozen=True)
class SigningKeys:
    """The key that signs, when this process has one, and every public key that is trusted, by id."""

    current: Ed25519PrivateKey | None
    public: Mapping[str, Ed25519PublicKey]

    @classmethod
    def parse(cls, text: str) -> "SigningKeys":
        """Read `KOPPEL_AUDIT_KEYS`: base64 of 32 bytes, the newest first, separated by commas.

        A former key may be reduced to its public part, `public:` and base64. Raises `ValueError`.
        """
        private: list[Ed25519PrivateKey] = []
        public: list[Ed25519PublicKey] = []
        for part in filter(None, (each.strip() for each in text.split(","))):
            raw = _decode(part.removeprefix(PUBLIC_PREFIX))
            if part.startswith(PUBLIC_PREFIX):
                public.append(Ed25519PublicKey.from_public_bytes(raw))
            else:
                private.append(Ed25519PrivateKey.from_private_bytes(raw))
                public.append(private[-1].public_key())
        return cls(private[0] if private else None, {key_id(key): key for key in public})

    @property
    def current_id(self) -> str:
        return key_id(self.current.public_key()) if self.current else ""

    def sign(self, head: Head) -> HeadDocument:
        if self.current is None:
            raise ValueError("No key signs here.")
        return HeadDocument(head, self.current.sign(head.content()))

    def verifies(self, document: HeadDocument) -> bool:
        """Return whether a trusted key made the signature."""
        key = self.public.get(document.head.key)
        if key is None:
            return False
        try:
            key.verify(document.signature, document.head.content())
        except InvalidSignature:
            return False
        return True


def signing_keys() -> SigningKeys:
    """Return the installation's keys: those of the environment, and of `secrets.json` when that extends them.
    Raises `ValueError` with a sentence.
    """
    text = settings.AUDIT_KEYS
    try:
        stored = str(json.loads(Path(settings.DATA_DIR, "secrets.json").read_text())["KOPPEL_AUDIT_KEYS"])
    except (OSError, ValueError, KeyError, TypeError):
        stored = ""
    return SigningKeys.parse(stored if settings.DATA_DIR and stored.endswith(text) else text)


def public_part(key: Ed25519PublicKey) -> str:
    """Return a public key in the form of `KOPPEL_AUDIT_KEYS`, which may be given to anyone."""
    return PUBLIC_PREFIX + base64.b64encode(key.public_bytes_raw()).decode()


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(UNREADABLE) from None
    if len(raw) != KEY_BYTES:
        raise ValueError(UNREADABLE)
    return raw
