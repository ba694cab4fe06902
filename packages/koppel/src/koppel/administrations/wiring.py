"""Proves to connections what was imported, says what becomes of it without a connection, and registers its bulk actions.

Imported once, by `AppConfig.ready`."""

from koppel.administrations.bulk import actions_activate, actions_assign, actions_favourite  # noqa: F401 - registers its actions
from koppel.administrations.hooks import notification_audience, offboarding
from koppel.administrations.hooks.extension_points import Card, register_card
from koppel.administrations.hooks.group_usage import AdministrationGroupUsage
from koppel.administrations.hooks.import_lookup import find_imported_company
from koppel.administrations.identity import services as identity
from koppel.administrations.lifecycle.connection_removal import (
    accept_change,
    attach_waiting,
    detach_from_connection,
    hold,
    release,
)
from koppel.administrations.scope import restricted_company_ids
from koppel.connections.companies.resolution import register_take_over
from koppel.connections.hooks import register_dependants, register_hold, register_release, register_restricted
from koppel.connections.sessions.consent_scope import register_import_lookup
from koppel.organisations.groups.hooks import register_group_dependants

register_import_lookup(find_imported_company)
register_group_dependants(AdministrationGroupUsage())
notification_audience.register()
register_dependants(detach_from_connection, attach_waiting)
register_restricted(restricted_company_ids)
register_take_over(accept_change)
register_hold(hold)
register_release(release)
identity.register()
register_card(Card("register", "administrations:register_card", 60))
offboarding.register()
