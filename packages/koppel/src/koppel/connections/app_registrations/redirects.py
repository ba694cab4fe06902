"""The address to which vendors send people back: one for all systems, registered at each."""

from django.conf import settings
from django.urls import reverse


def redirect_uri() -> str:
    """Return the redirect address, which is registered at the vendor."""
    return f"{settings.PUBLIC_URL}{reverse('connections:redirect_address')}"
