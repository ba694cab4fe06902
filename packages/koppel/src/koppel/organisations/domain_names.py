"""Decides how the domain of an e-mail address is spelled, and whether it is public, such as gmail.com."""

import re
from functools import cache
from pathlib import Path

import idna
from publicsuffixlist import PublicSuffixList

RECORD_LABEL = "_koppel"
"""Below the domain: the name of the TXT record that verifies it. No host and no customer of a shared domain
can have a name with an underscore.
"""
RECORD_PREFIX = "koppel-verification="

PUBLIC_SERVICES = re.compile(
    r"(?:aol|gmail|gmx|googlemail|hotmail|icloud|live|msn|outlook|proton|protonmail|yahoo|yandex|ymail|zoho|zohomail)"
    r"\.(?:com|net|org|me|ch|[a-z]{2}|com?\.[a-z]{2})"
)
"""Services with one name under many top-level domains."""

PUBLIC_DOMAINS = frozenset(Path(__file__).with_name("domain_names.txt").read_text("utf-8").split())
"""Services, regional providers and disposable addresses: one domain a line in the file, sorted."""


def normalised(domain: str) -> str:
    """Return the domain in lower case and the spelling of DNS (`xn--…`), without a final dot."""
    text = domain.strip().rstrip(".").lower()
    try:
        return idna.encode(text, uts46=True, transitional=False).decode("ascii").lower().rstrip(".")
    except (idna.IDNAError, UnicodeError):
        return text


def domain_of(email: str) -> str:
    """Return the domain of an address; '' when it has none."""
    return normalised(email.rpartition("@")[2]) if "@" in email else ""


def is_public(domain: str) -> bool:
    """Return whether the domain offers addresses to the public, so that it does not identify an employer."""
    name = normalised(domain)
    return name in PUBLIC_DOMAINS or PUBLIC_SERVICES.fullmatch(name) is not None


def is_public_suffix(domain: str) -> bool:
    """Return whether anyone can register names below the domain (co.uk, github.io): publicsuffix.org."""
    return bool(_public_suffixes().is_public(normalised(domain)))


def displayed(domain: str) -> str:
    """Return the domain as people write it, with accents instead of the spelling of DNS."""
    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()
