"""Tells of sign-ins, of memberships, of new issues and of webhooks that were switched off.

Imported once, by `AppConfig.ready`."""

from koppel.notifications.events.channels import event_opened, events_closed
from koppel.notifications.sources import issue_digest, membership_notices, new_device_alerts
from koppel.notifications.webhooks import division_hooks, event_types
from koppel.notifications.webhooks.payloads import enqueue_closed, enqueue_opened

issue_digest.register()
new_device_alerts.register()
membership_notices.register()
event_types.register()
division_hooks.register()
event_opened.register(enqueue_opened)
events_closed.register(enqueue_closed)
