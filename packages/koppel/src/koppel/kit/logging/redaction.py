"""Redacts log values: removes secrets and limits the size, whatever the caller passes.

A text is cut first and redacted then, so a megabyte costs no more than a line. The patterns of `secret_text`
take linear time. A part of a secret that remains at the cut is redacted as well.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from koppel.kit.encryption import Secret
from koppel.kit.logging.secret_text import REDACTED, redacted_text

LEFT_OUT = "[left out]"
INTEGER_BITS_MAX = 256
TRACEBACKS = ("exception", "stack")
"""Keys whose text has many lines; the end is kept too, because it names the exception."""

FIRST_KEYS = ("event", "level", "timestamp", "logger", *TRACEBACKS)


@dataclass(frozen=True)
class TextLimits:
    """Size limits."""

    text: int = 2_048
    """Characters of one text."""
    traceback: int = 16_384
    """Characters of a traceback."""
    key: int = 128
    """Characters of a key."""
    items: int = 50
    depth: int = 6
    values: int = 500
    """The number of nested values."""
    total: int = 65_536
    """Characters of all texts together."""


LOG_LINE = TextLimits()


def redacted(value: Mapping[str, Any], limits: TextLimits = LOG_LINE) -> dict[str, Any]:
    """Return a copy with secrets replaced and long, wide or deep values cut, with a mark.

    Secrets are each `Secret`, values under a secret key, and text that looks like a secret.
    """
    redactor = _Redactor(limits)
    copied = {
        redactor.key(key): redactor.value(key, part) for key, part in islice(_by_weight(value), limits.values)
    }
    if len(value) > limits.values:
        copied["…"] = LEFT_OUT
    return copied


def _by_weight(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Sort the event first, then short values: a large value leaves no room for those after it."""
    return sorted(
        value.items(),
        key=lambda item: (item[0] not in FIRST_KEYS, isinstance(item[1], Collection), item[0] in TRACEBACKS),
    )


class _Redactor:
    """Redacts one event, and tracks how much more of the event may be logged."""

    def __init__(self, limits: TextLimits) -> None:
        self._limits = limits
        self._values_left = limits.values
        self._characters_left = limits.total

    def key(self, key: object) -> str:
        return self._short(_text_of(key), self._limits.key)

    def value(self, key: object, value: object, depth: int = 0) -> Any:
        self._values_left -= 1
        if isinstance(value, Secret) or (value is not None and self._is_secret(key)):
            return REDACTED
        if isinstance(value, str):
            return self._text(key, value)
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return value if value.bit_length() <= INTEGER_BITS_MAX else LEFT_OUT
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._collection(key, value, depth + 1)
        return self._short(_text_of(value, self._limits.text), self._limits.text)

    def _is_secret(self, key: object) -> bool:
        """Return whether a key names a secret; also true for a key that is too long to check."""
        text = _text_of(key)
        is_long = len(text) > self._limits.key
        return is_long or bool(_SECRET_KEY.search(text) and not _COUNT_KEY.search(text))

    def _collection(self, key: object, value: Collection[Any], depth: int) -> Any:
        if depth > self._limits.depth or self._values_left <= 0:
            return LEFT_OUT
        limit = min(self._limits.items, self._values_left)
        rest = len(value) - limit
        if isinstance(value, Mapping):
            parts = {
                self.key(name): self.value(name, part, depth) for name, part in islice(value.items(), limit)
            }
            return parts | ({"…": f"{rest} more"} if rest > 0 else {})
        listed = [self.value(key, part, depth) for part in islice(value, limit)]
        return listed + ([f"… {rest} more"] if rest > 0 else [])

    def _text(self, key: object, text: str) -> str:
        if key not in TRACEBACKS:
            return self._short(text, self._limits.text)
        limit = self._limits.traceback
        if len(text) <= limit:
            return self._short(text, limit)
        # No secret continues past the first line of a frame, so the end needs no context before that line.
        frame_start = text.find(_FRAME, len(text) - limit // 2)
        head = self._short(text[: len(text) if frame_start < 0 else frame_start], limit // 2)
        return head if frame_start < 0 else head + self._short(text[frame_start:], limit // 2)

    def _short(self, text: str, limit: int) -> str:
        limit = max(0, min(limit, self._characters_left))
        self._characters_left -= min(len(text), limit)
        if len(text) <= limit:
            return redacted_text(text)
        return f"{redacted_text(text[:limit], is_cut=True)}… [{len(text) - limit} more characters]"


_FRAME = '\n  File "'
_SECRET_KEY = re.compile(
    r"token|secret|passw(?:or)?d|passphrase|wachtwoord|authorization|cookie|api[-_ "
    r"]?key|credential|(?<![a-z])pwd"
    r"|(?:private|signing|encryption|access|vault|session)[-_]?keys?|session_?id|csrf|code_verifier|client_assertion",
    re.IGNORECASE,
)
_COUNT_KEY = re.compile(r"(_count|_seconds|_at|(?<!session)_id|_type|_endpoint)$", re.IGNORECASE)
"""Keys of facts about a secret that are not secret: counts, ages, locations."""


def _text_of(value: object, limit: int = LOG_LINE.text) -> str:
    """Return the text of any value; a value whose text cannot be computed is replaced by a note."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return repr(bytes(value[: limit + 1]))
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"
