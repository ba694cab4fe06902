"""Limits of requests, and of all requests of one process."""

from dataclasses import dataclass

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


@dataclass(frozen=True)
class Limits:
    """`bodies` are request bodies that are being received or processed. Times are in seconds, sizes in
    bytes.
    """

    head_size: int = 64 * KIBIBYTE
    """Of the address and all headers together."""
    headers: int = 100
    body_size: int = 12 * MEBIBYTE
    body_size_of_strangers: int = 256 * KIBIBYTE
    """Of requests with neither a session nor a token: forms to sign in, and answers of other systems. What a
    stranger sends beyond it has a limit of its own, so that large bodies never keep out these.
    """
    body_pause: float = 10.0
    """Between two parts of a body."""
    body_seconds: float = 20.0
    body_bytes_per_second: int = 16 * KIBIBYTE
    """A body of this size gets another second beyond `body_seconds`."""
    bodies: int = 1000
    """Of organisations; and as many of strangers."""
    bodies_of_client: int = 300
    bodies_size: int = 128 * MEBIBYTE
    """Of organisations; as much of strangers, and as much of what strangers send beyond their size."""
    bodies_size_of_client: int = 48 * MEBIBYTE
    waiting: int = 500
    """Requests of organisations that wait for a thread; and as many of strangers."""
    waiting_of_client: int = 60
    waiting_seconds: float = 20.0
    response_pause: float = 30.0
    """Between two parts of a response that a client takes."""
    discard_seconds: float = 5.0
    """So long the rest of a refused body is read: browsers show no response before they have sent it."""


DEFAULT_LIMITS = Limits()
