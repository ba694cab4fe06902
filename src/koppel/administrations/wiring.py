"""Proves to connections what was imported, says what becomes of it without a connection, and registers its bulk acts.

Imported once, by `AppConfig.ready`."""

from koppel.administrations.bulk import actions_activate, actions_assign, actions_favourite  # noqa: F401 - registers its actions
from koppel.administrations.hooks import notification_audience, offboarding
from koppel.administrations.hooks.extension_points import Card, register_card
from koppel.administrations.hooks.group_usage import Administrations
from koppel.administrations.hooks.import_lookup import imported
from koppel.administrations.identity import services as identity
from koppel.administrations.lifecycle.connection_removal import adopt, hold, release, settle, take_over
from koppel.administrations.scope import companies_hidden_from
from koppel.connections.companies.resolution import register_take_over
from koppel.connections.hooks import register_dependants, register_hidden, register_hold, register_release
from koppel.connections.sessions.consent_scope import register_proof
from koppel.organisations.groups.hooks import register_group_dependants

register_proof(imported)
register_group_dependants(Administrations())
notification_audience.register()
register_dependants(settle, adopt)
register_hidden(companies_hidden_from)
register_take_over(take_over)
register_hold(hold)
register_release(release)
identity.register()
register_card(Card("register", "administrations:register_card", 60))
offboarding.register()
