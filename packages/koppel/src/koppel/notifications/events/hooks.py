"""Further channels of events, such as webhooks: called when members
are notified, and when an event is closed.

Both run in the caller's transaction and scope; a listener's exception
rolls it back, and nobody is notified."""

from collections.abc import Collection

from koppel.kit.hooks import Hook
from koppel.notifications.models import Event

event_opened = Hook[[Event], None]()
"""Called before the first notification of an event is created, and again with what it reached later."""

events_closed = Hook[[int, Collection[int]], None]()
"""Called with an organisation and the ids of its events that were notified and are over now."""
