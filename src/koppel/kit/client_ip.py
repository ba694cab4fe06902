"""Where a request comes from."""

from django.conf import settings
from django.http import HttpRequest


def address_of(request: HttpRequest) -> str:
    """The caller's address. Behind proxies of ours, what the outermost of them saw: the caller may write anything before it."""
    direct = str(request.META.get("REMOTE_ADDR", ""))
    count = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    if not count:
        return direct
    seen = [one.strip() for one in request.headers.get("X-Forwarded-For", "").split(",") if one.strip()]
    return seen[-count] if len(seen) >= count else direct
