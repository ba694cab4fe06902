"""The fixtures of the session's database."""

import psycopg
import pytest
from django.db import connection

from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Membership
from tests.fixtures.people import MakeActor, MakeOrganisation


@pytest.mark.usefixtures("clean_database")
def test_tests_run_as_the_application_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("koppel_app",)


def test_people_are_committed_and_kept_apart_by_organisation(
    actor: MakeActor, organisation: MakeOrganisation, database_addresses: Addresses
) -> None:
    anna = actor()
    actor("reader", organisation("Kantoor Zuid"))
    with organisation_scope(anna.organisation_id):
        assert list(Membership.objects.values_list("user_id", flat=True)) == [anna.user_id]
    with psycopg.connect(database_addresses.superuser_url) as seen_from_outside:
        assert seen_from_outside.execute("SELECT count(*) FROM organisations_membership").fetchone() == (2,)


def test_the_next_test_starts_empty(clean_database: None, database_addresses: Addresses) -> None:
    with psycopg.connect(database_addresses.superuser_url) as connection:
        assert connection.execute("SELECT count(*) FROM organisations_user").fetchone() == (0,)
        assert connection.execute("SELECT count(*) > 0 FROM django_migrations").fetchone() == (True,)
