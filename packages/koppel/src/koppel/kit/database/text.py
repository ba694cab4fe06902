"""Text that people type, as it is stored."""


def clean_text(text: str, length_max: int | None = None) -> str:
    """Return the text without NUL, which PostgreSQL cannot store, without
    space around it, and cut to `length_max`."""
    return text.replace("\0", "").strip()[:length_max]
