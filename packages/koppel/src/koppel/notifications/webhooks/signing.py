"""Sign messages as Standard Webhooks specifies (standardwebhooks.com, version 1.0.0), so that receivers can
verify their sender.

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
    """Return a random secret in the format of Standard Webhooks: `whsec_` and base64."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def signed_headers(message_id: str, timestamp: int, body: bytes, keys: Sequence[Secret]) -> dict[str, str]:
    """Return the headers of an attempt, with one signature per key. `timestamp` is the attempt's Unix time in
    seconds: receivers refuse old ones.
    """
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(message_id, timestamp, body, key) for key in keys),
    }


def signature(message_id: str, timestamp: int, body: bytes, key: Secret) -> str:
    """Return `v1,<base64>`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    key_bytes = base64.b64decode(key.reveal().removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key_bytes, signed, hashlib.sha256).digest()).decode()
