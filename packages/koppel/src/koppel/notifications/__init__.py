"""What we tell whom: an event becomes notifications, mails and calls of webhooks.

Begin with `events.services` (`open_event`, `close_event`) and `events.dispatch`; whom an event concerns is in
`audience`. The words of each event come from the app that opens it (`event_types`).
"""
