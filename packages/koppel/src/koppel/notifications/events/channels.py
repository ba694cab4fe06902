"""Further channels that carry events, such as webhooks: told when people are notified, and when an event is closed."""

from collections.abc import Collection

from koppel.kit.hooks import Hook
from koppel.notifications.models import Event

event_opened: Hook[[Event], None] = Hook()
"""Called in the transaction in which the first notification of an event is created."""
events_closed: Hook[[int, Collection[int]], None] = Hook()
"""Called with an organisation and the ids of its events that were notified and are over now."""
