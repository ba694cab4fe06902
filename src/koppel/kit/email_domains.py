"""Domains of e-mail addresses: one spelling to compare, and those of public mail services, which belong to everybody."""

import re

PUBLIC_SERVICES = re.compile(
    r"(?:aol|gmail|gmx|googlemail|hotmail|icloud|live|msn|outlook|proton|protonmail|yahoo|yandex|ymail|zoho|zohomail)"
    r"\.(?:com|net|org|me|ch|[a-z]{2}|com?\.[a-z]{2})"
)
"""Services with one name under many top-level domains."""

PUBLIC_DOMAINS = frozenset((
    "caiway.nl", "casema.nl", "chello.nl", "duck.com", "email.com", "fastmail.com", "fastmail.fm",
    "free.fr", "freenet.de", "hetnet.nl", "hey.com", "home.nl", "hushmail.com", "inbox.lv", "kpnmail.nl",
    "kpnplanet.nl", "laposte.net", "mac.com", "mail.com", "mail.ru", "mailbox.org", "me.com", "online.nl",
    "orange.fr", "passport.com", "planet.nl", "pm.me", "posteo.de", "posteo.net", "proximus.be",
    "quicknet.nl", "rocketmail.com", "scarlet.be", "sfr.fr", "skynet.be", "solcon.nl", "t-online.de",
    "tele2.nl", "telenet.be", "telfort.nl", "tuta.com", "tuta.io", "tutamail.com", "tutanota.com",
    "upcmail.nl", "wanadoo.fr", "web.de", "windowslive.com", "wxs.nl", "xs4all.nl", "zeelandnet.nl",
    "ziggo.nl", "zonnet.nl",
))  # fmt: skip


def normalised(domain: str) -> str:
    """In small letters and in the spelling of the domain name system (`xn--…`), without a dot at the end."""
    text = domain.strip().rstrip(".").lower()
    try:
        return text.encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        return text


def domain_of(email: str) -> str:
    """'' when the address has none."""
    return normalised(email.rpartition("@")[2]) if "@" in email else ""


def is_public(domain: str) -> bool:
    """Whether anybody can have an address there, so that it says nothing about where a person works."""
    name = normalised(domain)
    return name in PUBLIC_DOMAINS or PUBLIC_SERVICES.fullmatch(name) is not None
