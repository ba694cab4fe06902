"""The part of an event's context that a recipient may see."""

from koppel.notifications.models import Event, EventContext, EventFacts

NAMES_MAX = 12


def count_in(facts: EventFacts, key: str, default: int = 0) -> int:
    """Return a count among the facts; `default` when there is none."""
    count = facts.get(key)
    return count if isinstance(count, int) else default


def visible_context(event: Event, visible_ids: frozenset[int] | None) -> EventContext:
    """Name and count only administrations in `visible_ids` (None: all); a single one adds its own facts."""
    affected = event.administrations
    visible = [
        details
        for administration_id, details in affected.items()
        if visible_ids is None or administration_id in visible_ids
    ]
    context = dict(event.context)
    if not visible:
        return context
    visible.sort(key=lambda details: str(details.get("name", "")).casefold())
    names = [str(details.get("name", "")) for details in visible]
    listed = ", ".join(names[:NAMES_MAX]) + (" …" if len(names) > NAMES_MAX else "")
    issues = sum(count_in(details, "issues") for details in visible)
    context |= visible[0]
    context |= {"names": listed, "count": len(names)}
    return context | {"issues": issues} if issues else context
