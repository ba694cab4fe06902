"""No filter, search or sorting of the list, and nothing on the dashboard, reads other firms' rows to find its own."""

from typing import Any

import psycopg

from bench.L1_administration_list import addresses
from koppel.administrations.list.query import asked_of_text
from koppel.administrations.list.queryset import page_of
from koppel.administrations.queries import choices
from koppel.connections.models import Connection
from koppel.kit.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.inbox.queries import page_of as notices_of
from koppel.organisations.roles import Actor
from koppel.web.dashboard import overview
from tests.administrations.factories import firm_of
from tests.administrations.test_bulk import colleague
from tests.fixtures.plans import tables_read_whole


def test_every_look_at_the_list_is_served_by_an_index(actor: Any, database_addresses: Addresses) -> None:
    boss = actor("administrator")
    user = colleague(actor, boss, "user")
    firm = firm_of(boss, 200, [user.membership_id])
    others(actor("administrator"), database_addresses)
    asked = [asked_of_text(one.partition("?")[2]) for one in dict.fromkeys(addresses(firm))]
    with organisation_scope(boss.organisation_id):
        for one in (boss, user):
            for each in asked:
                assert tables_read_whole(lambda: page_of(one, each)) == [], each.query()  # noqa: B023 - called at once
            assert tables_read_whole(lambda: overview(one)) == []  # noqa: B023
            assert tables_read_whole(lambda: (choices(one), notices_of(one))) == []  # noqa: B023


def others(stranger: Actor, addresses: Addresses) -> None:
    """Another firm's rows, many of them, and statistics that know it: who reads them all pays for it."""
    firm_of(stranger, 1500)
    with organisation_scope(stranger.organisation_id):
        one = Connection.objects.filter(organisation_id=stranger.organisation_id)[0]
        own = {"organisation_id": stranger.organisation_id, "app_id": one.app_id, "owner_id": one.owner_id}
        Connection.objects.bulk_create(
            [Connection(**own, connector="scripted", account=f"a{number}") for number in range(1500)]
        )
    with psycopg.connect(addresses.superuser_url, autocommit=True) as connection:
        connection.execute("ANALYZE")
