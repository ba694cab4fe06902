"""Cleans text that people type."""


def clean_text(text: str, length_max: int | None = None) -> str:
    """Return the text stripped, without NUL, and cut to `length_max`.

    PostgreSQL cannot store NUL.
    """
    return text.replace("\0", "").strip()[:length_max]
