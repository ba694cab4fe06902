"""Register the listeners, issues and bulk actions of administrations. Imported once, by `AppConfig.ready`."""

from collections.abc import Mapping
from urllib.parse import urlencode

from django.urls import reverse

from koppel.administrations.access import related_visible_condition, restricted_company_ids
from koppel.administrations.audit_actions import AUDIT_ACTIONS, AdministrationAction
from koppel.administrations.audit_log import reading
from koppel.administrations.bulk import STANDARD_ACTIONS, bulk_actions
from koppel.administrations.event_types import EVENT_TYPES
from koppel.administrations.identity.services import handle_lookup_result
from koppel.administrations.issue_types import ISSUE_TYPES
from koppel.administrations.listeners import connection, group_usage, handover, notification_audience
from koppel.administrations.listeners.import_lookup import find_imported_company
from koppel.audit.hooks import audit_actions, erasure_actions, existing_administrations
from koppel.audit.subjects import SubjectKind
from koppel.company_registers.hooks import lookup_answered
from koppel.connections import hooks as connection_hooks
from koppel.issues.hooks import related_visible
from koppel.issues.issue_types import issue_types
from koppel.notifications.audience import hooks as audience_hooks
from koppel.notifications.event_types import event_types
from koppel.organisations import hooks as organisation_hooks
from koppel.organisations.groups import hooks as group_hooks
from koppel.organisations.people.hooks import ownership_providers

connection_hooks.find_imported_company.register(find_imported_company)
connection_hooks.restricted_company_ids.register(restricted_company_ids)
connection_hooks.detach_administrations.register(connection.detach_from_connection)
connection_hooks.attach_waiting.register(connection.attach_waiting)
connection_hooks.block_administrations.register(connection.block)
connection_hooks.unblock_administrations.register(connection.unblock)
connection_hooks.accept_company_change.register(connection.accept_change)
connection_hooks.other_register_name.register(connection.other_register_name)
connection_hooks.confirm_register_name.register(connection.confirm_register_name)
lookup_answered.register(handle_lookup_result)
related_visible.register(related_visible_condition)

group_hooks.count_usage.register(group_usage.count_administrations)
group_hooks.move_usage.register(group_usage.move_administrations)
group_hooks.settings_impact.register(group_usage.settings_impact)
ownership_providers.register_all(handover.PROVIDERS)

audience_hooks.visible_administrations_of.register(notification_audience.visible_administrations_of)
audience_hooks.readable_administrations.register(notification_audience.readable_administrations)
audience_hooks.unrestricted.register(notification_audience.unrestricted_ids)
audience_hooks.audience_of.register(notification_audience.audience_of)
audience_hooks.fallback_recipients.register(notification_audience.fallback_recipients)
audience_hooks.subjects.register(SubjectKind.ADMINISTRATION, notification_audience.describe_subject)

for action in AUDIT_ACTIONS:
    audit_actions.register(action.value, action)
erasure_actions.register(AdministrationAction.ERASED.value, AdministrationAction.ERASED)
existing_administrations.register(reading.existing_administrations)
for issue_type in ISSUE_TYPES:
    issue_types.register(issue_type.code, issue_type)
for event_type in EVENT_TYPES:
    event_types.register(event_type.code, event_type)
for bulk_action in STANDARD_ACTIONS:
    bulk_actions.register(bulk_action.code, bulk_action)


def _list_url(filters: Mapping[str, object]) -> str:
    return f"{reverse('administrations:list')}?{urlencode(filters)}"


def _detail_url(administration_id: int) -> str:
    return reverse("administrations:detail", args=[administration_id])


organisation_hooks.administrations_url.register(_list_url)
connection_hooks.administration_url.register(_detail_url)
