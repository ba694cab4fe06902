"""The IP address of the client."""

from django.conf import settings
from django.http import HttpRequest


def client_ip(request: HttpRequest) -> str:
    """Return the client's address.

    Behind trusted proxies it is the address that the outermost one saw: the client can forge anything before
    it.
    """
    direct = str(request.META.get("REMOTE_ADDR", ""))
    count = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    if not count:
        return direct
    forwarded = [
        address.strip()
        for address in request.headers.get("X-Forwarded-For", "").split(",")
        if address.strip()
    ]
    return forwarded[-count] if len(forwarded) >= count else direct
