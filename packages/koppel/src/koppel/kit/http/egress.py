"""Limits the addresses that outbound calls may reach, for URLs that a person entered.

The address of the connection is checked, after name resolution: a name may resolve to any address, and to
another one the next time.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

Network = IPv4Network | IPv6Network
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """The name resolves only to addresses that may not be called."""


@dataclass(frozen=True)
class EgressPolicy:
    """Allows `networks`, and public addresses unless `public` is False."""

    networks: tuple[Network, ...] = ()
    public: bool = True

    def allows(self, address: str) -> bool:
        """Return whether this IP address may be called.

        An IPv4 address inside an IPv6 address is checked as IPv4.
        """
        unwrapped = _unwrap(ip_address(address.partition("%")[0]))
        if any(unwrapped in network for network in self.networks):
            return True
        return self.public and unwrapped.is_global and not unwrapped.is_multicast

    def require_allowed(self, host: str) -> None:
        """Raise `AddressRefused` for a literal IP address that may not be called.

        A host name passes: its addresses are checked when `GuardedResolver` resolves it.
        """
        try:
            allowed = self.allows(host.strip("[]"))
        except ValueError:
            return
        if not allowed:
            raise AddressRefused(host)


class GuardedResolver(AbstractResolver):
    """Resolves a host name with the system's resolver; returns the addresses that the policy allows."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results: Sequence[ResolveResult] = await self._resolver.resolve(host, port, family)
        allowed = [result for result in results if self._policy.allows(result["host"])]
        if not allowed:
            raise AddressRefused(host)
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
