"""The facts of an event that a recipient may see: its own, and those of visible administrations."""

from collections.abc import Collection, Mapping

from koppel.notifications.models import Event, EventContext, EventFacts

NAMES_MAX = 12
FACTS_MAX = 50
"""The most administrations of which a notification keeps more than counts, by name."""


def count_in(facts: EventFacts, key: str, default: int = 0) -> int:
    """Return a count among the facts; `default` when there is none."""
    count = facts.get(key)
    return count if isinstance(count, int) else default


def stored_facts(event: Event, visible_ids: Collection[int] | None) -> dict[int, EventContext]:
    """Return the facts of the event's administrations in `visible_ids` (None: all) for a notification: the
    first ones by name whole, of the others the counts.
    """
    visible = {
        key: facts
        for key, facts in event.administrations.items()
        if visible_ids is None or key in visible_ids
    }
    by_name = sorted(visible, key=lambda key: _by_name(visible[key]))
    whole = set(by_name[:FACTS_MAX])
    return {key: dict(visible[key]) if key in whole else sum_counts([visible[key]]) for key in by_name}


def message_context(event_facts: EventFacts, administrations: Mapping[int, EventFacts]) -> EventContext:
    """Return the context of a message: the event's own facts, and the names and counts of these
    administrations; a single one adds its own facts.
    """
    context = dict(event_facts)
    if not administrations:
        return context
    affected = sorted(administrations.values(), key=_by_name)
    names = [str(facts["name"]) for facts in affected if facts.get("name")][:NAMES_MAX]
    listed = ", ".join(names) + (" …" if len(affected) > NAMES_MAX else "")
    context |= affected[0]
    return context | {"names": listed, "count": len(affected)} | sum_counts(affected)


def sum_counts(affected: Collection[EventFacts]) -> EventContext:
    """Return the sum of each count among the facts of several administrations."""
    counts: dict[str, int] = {}
    for facts in affected:
        for key, value in facts.items():
            if isinstance(value, int) and not isinstance(value, bool):
                counts[key] = counts.get(key, 0) + value
    return {**counts}


def _by_name(facts: EventFacts) -> tuple[bool, str]:
    name = str(facts.get("name") or "")
    return (not name, name.casefold())
