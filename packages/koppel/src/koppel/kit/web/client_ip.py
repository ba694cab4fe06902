"""The IP address of the client."""

from django.conf import settings
from django.http import HttpRequest


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
