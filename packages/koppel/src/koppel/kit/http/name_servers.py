"""The addresses of name servers, as the settings list them. Imported before Django is set up."""

from dataclasses import dataclass
from ipaddress import ip_address

PORT = 53
PORT_MAX = 65535


@dataclass(frozen=True)
class NameServer:
    """Where a name server listens."""

    address: str
    port: int = PORT


def parse_name_server(text: str) -> NameServer:
    """Read `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`. Raises `ValueError`."""
    address, port = text, str(PORT)
    if text.startswith("["):
        address, _bracket, suffix = text[1:].partition("]")
        port = suffix.removeprefix(":") or port
    elif text.count(":") == 1:
        address, _colon, port = text.partition(":")
    if not 0 < int(port) <= PORT_MAX:
        raise ValueError(port)
    return NameServer(str(ip_address(address)), int(port))
