"""Finds connectors by their entry point, so that a folder or an installed package is all it takes to add one."""

from functools import cache
from importlib.metadata import entry_points

from koppel.connector.contract import Connector

GROUP = "koppel.connectors"


@cache
def connectors() -> dict[str, Connector]:
    """All connectors by key, in order of their title."""
    loaded: list[Connector] = [point.load() for point in entry_points(group=GROUP)]
    return {one.descriptor.key: one for one in sorted(loaded, key=lambda one: one.descriptor.title)}


def connector(key: str) -> Connector:
    """The connector with this key. Raises `LookupError` when its package is not installed."""
    try:
        return connectors()[key]
    except KeyError:
        raise LookupError(f"No connector named {key!r} is installed. Installed: {', '.join(connectors())}.") from None
