"""Networks of the operator that webhooks may reach besides public addresses."""

from ipaddress import IPv4Network, IPv6Network

from django.conf import settings


def webhook_networks(organisation_id: int) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks that webhooks of this organisation may reach: the common ones and its own."""
    own_networks: tuple[IPv4Network | IPv6Network, ...] = settings.ORGANISATION_WEBHOOK_NETWORKS.get(
        organisation_id, ()
    )
    return (*settings.WEBHOOK_NETWORKS, *own_networks)
