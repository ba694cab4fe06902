"""The IP address of the client."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest

NETWORK_BITS_V6 = 64
"""A household or office has this much of IPv6 to itself."""


def client_ip(request: HttpRequest) -> str:
    """Return the client's address.

    Behind trusted proxies it is the address that the outermost one saw: the client can forge anything before
    it.
    """
    direct = str(request.META.get("REMOTE_ADDR", ""))
    return address_behind_proxies(direct, request.headers.get("X-Forwarded-For", ""))


def address_behind_proxies(direct: str, forwarded_for: str) -> str:
    """Return the client's address; `direct` is that of the connection, `forwarded_for` the header."""
    count = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    if not count:
        return direct
    forwarded = [address.strip() for address in forwarded_for.split(",") if address.strip()]
    return forwarded[-count] if len(forwarded) >= count else direct


def network_of(address: str) -> str:
    """Return the network that one client has to itself, under which its requests are counted."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((address, NETWORK_BITS_V6), strict=False))
