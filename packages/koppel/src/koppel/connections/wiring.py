"""Register the listeners, issues and events of connections. Imported once, by `AppConfig.ready`."""

from koppel.audit.hooks import audit_actions
from koppel.audit.subjects import SubjectKind
from koppel.connections.audit_actions import AUDIT_ACTIONS
from koppel.connections.event_types import EVENT_TYPES, describe_subject
from koppel.connections.issue_types import ISSUE_TYPES
from koppel.connections.lifecycle.handover import OWNED_CONNECTIONS
from koppel.issues.issue_types import issue_types
from koppel.notifications.audience.hooks import subjects
from koppel.notifications.event_types import event_types
from koppel.organisations.people.hooks import ownership_providers

for action in AUDIT_ACTIONS:
    audit_actions.register(action.value, action)
for issue_type in ISSUE_TYPES:
    issue_types.register(issue_type.code, issue_type)
for event_type in EVENT_TYPES:
    event_types.register(event_type.code, event_type)
subjects.register(SubjectKind.CONNECTION, describe_subject)
ownership_providers.register("connections", OWNED_CONNECTIONS)
