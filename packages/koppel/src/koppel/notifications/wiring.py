"""Connect notifications to sign-ins, memberships, merged divisions and quarantines, and register their own
events. Imported once, by `AppConfig.ready`.
"""

from django.contrib.auth.signals import user_logged_in

from koppel.audit.hooks import audit_actions
from koppel.kit.database.health.alarms import alarm_types
from koppel.kit.database.health.hooks import find_alarms, notify_operators
from koppel.notifications.alarm_types import ALARM_TYPES, find_mail_alarms
from koppel.notifications.audit_actions import AUDIT_ACTIONS
from koppel.notifications.event_types import audience_labels, event_types
from koppel.notifications.pending_messages import resume_messages
from koppel.notifications.sources import (
    disabled_webhooks,
    issue_digest,
    lapsed_domains,
    membership_changes,
    new_device_alerts,
    operator_alarms,
    required_sso,
)
from koppel.notifications.webhooks.division_usage import move_webhooks
from koppel.notifications.webhooks.hooks import webhook_disabled
from koppel.organisations.groups.hooks import move_usage
from koppel.organisations.hooks import (
    audience_events,
    domain_lapsed,
    domain_record_missing,
    membership_began,
    quarantine_ended,
    sign_in_linked,
    sso_requirement_changed,
)

for action in AUDIT_ACTIONS:
    audit_actions.register(action.value, action)
for source in (
    issue_digest,
    new_device_alerts,
    membership_changes,
    disabled_webhooks,
    lapsed_domains,
    required_sso,
):
    for event_type in source.EVENT_TYPES:
        event_types.register(event_type.code, event_type)
audience_events.register(audience_labels)
user_logged_in.connect(
    new_device_alerts.alert_new_device, dispatch_uid="koppel.notifications.sources.new_device_alerts"
)
membership_began.register(membership_changes.notify_membership)
sign_in_linked.register(membership_changes.notify_sign_in_linked)
domain_record_missing.register(lapsed_domains.notify_record_missing)
domain_lapsed.register(lapsed_domains.notify_lapsed)
sso_requirement_changed.register(required_sso.notify_requirement)
move_usage.register(move_webhooks)
quarantine_ended.register(resume_messages)
for code, alarm_type in ALARM_TYPES.items():
    alarm_types.register(code, alarm_type)
find_alarms.register(find_mail_alarms)
notify_operators.register(operator_alarms.mail_alarms)
webhook_disabled.register(disabled_webhooks.notify_disabled)
