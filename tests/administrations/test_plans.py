"""List filters, searches, sortings and the dashboard do not read the rows of other organisations."""

from typing import Any

import psycopg

from bench.L1_administration_list import addresses
from koppel.administrations.list.query import parse_query_string
from koppel.administrations.list.queryset import get_page
from koppel.administrations.queries import assignment_choices
from koppel.connections.models import Connection
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.inbox.queries import list_page as notices_page_of
from koppel.organisations.roles import Actor
from koppel.web.dashboard import load_dashboard
from tests.administrations.factories import create_firm
from tests.administrations.test_bulk import colleague
from tests.fixtures.plans import full_table_scans


def test_every_list_query_uses_an_index(actor: Any, database_addresses: Addresses) -> None:
    admin = actor("administrator")
    user = colleague(actor, admin, "user")
    firm = create_firm(admin, 200, [user.membership_id])
    fill_other_organisation(actor("administrator"), database_addresses)
    queries = [parse_query_string(address.partition("?")[2]) for address in dict.fromkeys(addresses(firm))]
    assert queries
    with organisation_scope(admin.organisation_id):
        for viewer in (admin, user):
            for query in queries:
                assert full_table_scans(lambda: get_page(viewer, query)) == [], query.to_query_string()  # noqa: B023 - called at once
            assert full_table_scans(lambda: load_dashboard(viewer)) == []  # noqa: B023
            assert full_table_scans(lambda: (assignment_choices(viewer), notices_page_of(viewer))) == []  # noqa: B023


def fill_other_organisation(stranger: Actor, addresses: Addresses) -> None:
    """Create many rows of another organisation, with fresh statistics: reading them all is slow."""
    create_firm(stranger, 1500)
    with organisation_scope(stranger.organisation_id):
        connection_ = Connection.objects.filter(organisation_id=stranger.organisation_id)[0]
        keys = {
            "organisation_id": stranger.organisation_id,
            "app_id": connection_.app_id,
            "owner_id": connection_.owner_id,
        }
        Connection.objects.bulk_create(
            [Connection(**keys, connector="scripted", account=f"a{number}") for number in range(1500)]
        )
    with psycopg.connect(addresses.superuser_url, autocommit=True) as connection:
        connection.execute("ANALYZE")
