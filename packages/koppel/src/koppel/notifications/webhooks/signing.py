"""How a receiver knows that a message is ours: the headers of Standard
Webhooks (standardwebhooks.com, version 1.0.0).

`webhook-signature` holds one `v1,<base64>` per secret in use: HMAC-SHA256 over `id.timestamp.body`.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from koppel.kit.encryption import Secret

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> Secret:
    """Return a secret as receivers' libraries take it: `whsec_` and base64."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def headers(message_id: str, timestamp: int, body: bytes, keys: Sequence[Secret]) -> dict[str, str]:
    """Return the signed headers of an attempt. `timestamp` is its time in seconds: a receiver refuses old
    ones."""
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(message_id, timestamp, body, key) for key in keys),
    }


def signature(message_id: str, timestamp: int, body: bytes, key: Secret) -> str:
    """Return `v1,<base64>`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    code = base64.b64decode(key.reveal().removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(code, signed, hashlib.sha256).digest()).decode()
