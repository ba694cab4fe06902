"""Finds connectors by their entry point: a folder or an installed package adds one."""

from functools import cache
from importlib.metadata import entry_points

from koppel.connector.contract import Connector

GROUP = "koppel.connectors"


@cache
def connectors() -> dict[str, Connector]:
    """Return all connectors by key, in order of their title."""
    installed: list[Connector] = [point.load() for point in entry_points(group=GROUP)]
    return {
        loaded.descriptor.key: loaded
        for loaded in sorted(installed, key=lambda loaded: loaded.descriptor.title)
    }


def connector(key: str) -> Connector:
    """Return the connector with this key. Raises `LookupError` when its package is not installed."""
    try:
        return connectors()[key]
    except KeyError:
        raise LookupError(
            f"No connector named {key!r} is installed. Installed: {', '.join(connectors())}."
        ) from None


def system_title(key: str) -> str:
    """Return the accounting system's name as a person reads it; '' when its connector is not installed."""
    return connectors()[key].descriptor.title if key in connectors() else ""
