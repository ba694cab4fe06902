"""The address of a SIEM, as the settings name it. Imported before Django is set up."""

from urllib.parse import urlsplit

PORTS = {"syslog": 601, "syslogs": 6514}


def parse_siem_url(text: str) -> str:
    """Return the address of `KOPPEL_AUDIT_SIEM_URL`. Raises `ValueError` for one that cannot be used."""
    text = text.strip()
    parts = urlsplit(text)
    is_local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if text and not (parts.hostname and (parts.scheme in ("https", *PORTS) or is_local)):
        raise ValueError(text)
    return text
