"""Notifications: an event becomes notices, mails and calls of webhooks.

Begin with `events.services` (`open_event`, `close_event`) and `events.dispatch`; `audience` finds the
receivers. The texts of each event come from the app that opens it (`event_types`).
"""
