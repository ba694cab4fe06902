"""The networks from which members of an organisation may sign in; without any, all networks are allowed."""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.utils.translation import gettext as _

from koppel.kit.database.text import clean_text
from koppel.organisations.errors import Refused
from koppel.organisations.models import Organisation

NETWORKS_MAX = 100


def parse_networks(text: str) -> tuple[str, ...]:
    """Parse addresses and networks (192.0.2.7, 2001:db8::/32), separated by anything. Raises `Refused`."""
    words = clean_text(text).replace(",", " ").replace(";", " ").split()
    if len(words) > NETWORKS_MAX:
        raise Refused(_("Enter at most %s networks.") % NETWORKS_MAX, field="networks")
    return tuple(dict.fromkeys(str(_network(word)) for word in words))


def allows(organisation: Organisation, address: str) -> bool:
    """Return whether members may come from this address."""
    return not organisation.networks or contains(organisation.networks, address)


def contains(networks: list[str] | tuple[str, ...], address: str) -> bool:
    """Return whether an address is in one of the networks. An IPv4 address may come as IPv6."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in ip_network(network) for network in networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        message = _("“%s” is not an address or a network, such as 192.0.2.0/24.") % text[:60]
        raise Refused(message, field="networks") from None
