"""What of a happening may be told to somebody."""

from typing import Any

from koppel.notifications.models import Happening

NAMES_MAX = 12


def facts_seen(happening: Happening, seen: frozenset[int] | None) -> dict[str, Any]:
    """Only administrations in `seen` are named and counted (None: all); of a single one its own facts are told too."""
    touched = happening.administrations
    shown = [own for key, own in touched.items() if seen is None or int(key) in seen]
    facts: dict[str, Any] = dict(happening.facts)
    if not shown:
        return facts
    shown.sort(key=lambda own: str(own.get("name", "")).casefold())
    names = [str(own.get("name", "")) for own in shown]
    listed = ", ".join(names[:NAMES_MAX]) + (" …" if len(names) > NAMES_MAX else "")
    issues = sum(own.get("issues", 0) for own in shown)
    facts |= shown[0]
    facts |= {"names": listed, "count": len(names)}
    return facts | {"issues": issues} if issues else facts
