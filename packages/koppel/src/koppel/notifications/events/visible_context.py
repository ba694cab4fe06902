"""The part of an event's context that a recipient may see."""

from koppel.notifications.models import Event, EventContext, EventFacts

NAMES_MAX = 12


def count_in(facts: EventFacts, key: str, default: int = 0) -> int:
    """A count among the facts; `default` when there is none."""
    count = facts.get(key)
    return count if isinstance(count, int) else default


def visible_context(event: Event, visible_ids: frozenset[int] | None) -> EventContext:
    """Only administrations in `visible_ids` are named and counted (None: all); of a single one its own facts are told too."""
    affected = event.administrations
    visible = [details for key, details in affected.items() if visible_ids is None or key in visible_ids]
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
