"""Text that people type and systems send, in the one form in which it is stored, searched and compared.

Unicode writes é as one character or as e with an accent behind it. macOS and some accounting systems send the
second; everything here is in the first, NFC.
"""

import unicodedata


def compose(text: str) -> str:
    """Return the text in Unicode's composed form, NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def clean_text(text: str, length_max: int | None = None) -> str:
    """Return the text composed, without NUL, which PostgreSQL cannot store, without space around it, and cut
    to `length_max`.
    """
    return compose(text).replace("\0", "").strip()[:length_max]
