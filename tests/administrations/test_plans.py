"""No filter, search or sorting of the list, and nothing on the dashboard, reads other firms' rows to find its own."""

from typing import Any

from bench.L1 import addresses
from koppel.administrations.asked import asked_of_text
from koppel.administrations.listing import page_of
from koppel.administrations.queries import choices
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.queries import page_of as notices_of
from koppel.web.overview import overview
from tests.administrations.firm import firm_of
from tests.administrations.test_bulk import colleague
from tests.fixtures.plans import tables_read_whole


def test_every_look_at_the_list_is_served_by_an_index(actor: Any) -> None:
    boss = actor("administrator")
    user = colleague(actor, boss, "user")
    firm = firm_of(boss, 200, [user.membership_id])
    asked = [asked_of_text(one.partition("?")[2]) for one in dict.fromkeys(addresses(firm))]
    with organisation_scope(boss.organisation_id):
        for one in (boss, user):
            for each in asked:
                assert tables_read_whole(lambda: page_of(one, each)) == [], each.query()  # noqa: B023 - called at once
            assert tables_read_whole(lambda: overview(one)) == []  # noqa: B023
            assert tables_read_whole(lambda: (choices(one), notices_of(one))) == []  # noqa: B023
