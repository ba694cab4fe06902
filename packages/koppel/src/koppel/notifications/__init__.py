"""Notifications: an event becomes notifications on screen, emails and webhook messages.

Begin with `events.services` (`open_event`, `close_event`) and `events.dispatch`; `audience` chooses the
recipients. The app that opens an event registers its texts (`event_types`).
"""
