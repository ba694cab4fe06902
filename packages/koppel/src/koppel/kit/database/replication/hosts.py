"""The hosts that a PostgreSQL URL names. With several, libpq tries one after the other at each connection."""

from dataclasses import dataclass
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

CONNECT_SECONDS = 5
"""How long a host may take to answer before the next one is tried; psycopg would wait for two minutes."""
KEEP_ALIVE: dict[str, Any] = {"keepalives_idle": 15, "keepalives_interval": 5, "tcp_user_timeout": 15000}
"""A session of a server that lost its power ends within half a minute."""
READ_WRITE = ("read-write", "primary")
"""Values of `target_session_attrs` with which a standby is passed over."""


@dataclass(frozen=True)
class DatabaseHost:
    """One host of a URL, and how to connect to it alone, be it primary or standby."""

    name: str
    """`host:port`, or the folder of a socket."""
    conninfo: str


def hosts_of(url: str) -> list[DatabaseHost]:
    """Return the hosts of a URL in their order. Raises `psycopg.ProgrammingError` when it cannot be parsed.

    As libpq does: one port is that of all hosts, an empty one 5432.
    """
    parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    names, ports = parts.get("host", "").split(","), parts.get("port", "").split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    addresses = parts["hostaddr"].split(",") if "hostaddr" in parts else [""] * len(names)
    parts["target_session_attrs"] = "any"
    return [
        DatabaseHost(
            f"{name}:{port or '5432'}",
            make_conninfo("", **{**parts, "host": name, "port": port, "hostaddr": address or None}),
        )
        for name, port, address in zip(names, ports, addresses, strict=False)
    ]


def passes_over_standbys(url: str) -> bool:
    """Return whether connections go to the host that accepts writes, whichever it is."""
    return conninfo_to_dict(url).get("target_session_attrs") in READ_WRITE


def connection_limits(url: str) -> dict[str, Any]:
    """Return the parameters with which a dead host is noticed, without those that the URL sets itself."""
    parameters = conninfo_to_dict(url) if url else {}
    return {
        name: value
        for name, value in {"connect_timeout": CONNECT_SECONDS, **KEEP_ALIVE}.items()
        if name not in parameters
    }
