"""Where the vendor sends people back to: one address for all systems, registered at each of them."""

from django.conf import settings
from django.urls import reverse


def redirect_uri() -> str:
    """Return the address to register at the vendor."""
    return f"{settings.PUBLIC_URL}{reverse('connections:callback')}"
