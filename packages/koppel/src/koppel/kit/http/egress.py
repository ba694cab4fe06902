"""Limits the addresses that outbound calls may reach, for URLs that a person entered.

The address of the connection is checked, after name resolution: a name may resolve to any address, and to
another one the next time.
"""

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_NEVER_PUBLIC: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),  # of protocols; versions of Python differ about it, and about the next two
    IPv6Network("3fff::/20"),
    IPv6Network("5f00::/16"),
    IPv6Network("fec0::/10"),  # site-local, deprecated: Python calls it global
    IPv6Network("64:ff9b:1::/48"),  # translation inside one's own network
    IPv6Network("2001::/32"),  # Teredo, which wraps an IPv4 address
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""What IANA gives to the internet. Python calls other unassigned parts global, such as `::ffff:0:127.0.0.1`,
which a translator turns into an IPv4 address.
"""
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The upper half of an interface id whose lower half is an IPv4 address."""
_STANDARD_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}", re.ASCII)
_NUMERIC_LABEL = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)


class AddressRefused(OSError):
    """The name resolves only to addresses that may not be called."""


@dataclass(frozen=True)
class EgressPolicy:
    """The addresses that may be called."""

    networks: tuple[Network, ...] = ()
    """Allowed networks."""
    public: bool = True
    """Whether public addresses are allowed too."""

    def allows(self, address: str) -> bool:
        """Return whether this IP address may be called.

        An IPv4 address inside an IPv6 address is checked as IPv4.
        """
        unwrapped = _unwrap(ip_address(address.partition("%")[0]))
        if any(unwrapped in network for network in self.networks):
            return True
        return self.public and _is_public(unwrapped)

    def require_allowed(self, host: str) -> None:
        """Raise `AddressRefused` for a literal IP address that may not be called, and for an IPv4 address
        that is not written as four decimal numbers (127.1, 0177.0.0.1, 2130706433, 0x7f000001).

        A host name passes: its addresses are checked when `transport.GuardedResolver` resolves it.
        """
        text = unicodedata.normalize("NFKC", host).replace("。", ".").strip("[]").rstrip(".").lower()
        try:
            allowed = self.allows(text)
        except ValueError:
            allowed = not _is_odd_ipv4(text)
        if not allowed:
            raise AddressRefused(host)


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF) or _is_isatap(address):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_isatap(address: IPv6Address) -> bool:
    return int(address) >> 32 & 0xFFFFFFFF in _ISATAP


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    is_special = any(address in network for network in _NEVER_PUBLIC)
    return address.is_global and not address.is_multicast and not is_special


def _is_odd_ipv4(text: str) -> bool:
    """Return whether a resolver may read this as an IPv4 address: its last label is a number. No domain of
    the internet ends so.
    """
    return _NUMERIC_LABEL.fullmatch(text.rpartition(".")[2]) is not None and not _STANDARD_IPV4.fullmatch(
        text
    )
