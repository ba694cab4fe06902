"""Several hosts in a PostgreSQL URL, and what a commit waits for."""

from contextlib import closing

import psycopg
import pytest
from django.db import connection, transaction
from psycopg.conninfo import conninfo_to_dict

from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.replication import Durability, connection_limits, durability_sql, hosts_of
from koppel.kit.database.replication.durability import wait_for_standby
from koppel.kit.database.replication.hosts import passes_over_standbys
from koppel.kit.database.replication.standbys import replication_state, synchronous_names

TWO_HOSTS = (
    "postgresql://koppel_app:a%40b@one:5432,two:5433/koppel?target_session_attrs=read-write&sslmode=require"
)


def test_each_host_of_a_url_is_reached_alone_whatever_it_is() -> None:
    assert [host.name for host in hosts_of(TWO_HOSTS)] == ["one:5432", "two:5433"]
    first, second = (conninfo_to_dict(host.conninfo) for host in hosts_of(TWO_HOSTS))
    assert (first["host"], first["port"], second["host"], second["port"]) == ("one", "5432", "two", "5433")
    for parts in (first, second):
        assert (parts["password"], parts["sslmode"], parts["target_session_attrs"]) == (
            "a@b",
            "require",
            "any",
        )


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("postgresql://u:p@one/db", ["one:5432"]),
        ("postgresql://u:p@one,two/db", ["one:5432", "two:5432"]),
        ("host=one,two port=6000 dbname=db", ["one:6000", "two:6000"]),
        ("postgresql://u:p@one:6000,two/db", ["one:6000", "two:5432"]),
        ("postgresql://u:p@[::1]:6000,two:6001/db", ["::1:6000", "two:6001"]),
    ],
)
def test_ports_belong_to_hosts_as_with_libpq(url: str, names: list[str]) -> None:
    assert [host.name for host in hosts_of(url)] == names


def test_only_a_url_that_asks_for_a_primary_passes_over_standbys() -> None:
    assert passes_over_standbys(TWO_HOSTS)
    assert not passes_over_standbys("postgresql://u:p@one,two/db")
    assert not passes_over_standbys("postgresql://u:p@one,two/db?target_session_attrs=any")


def test_limits_notice_a_dead_host_and_leave_those_of_the_url() -> None:
    assert connection_limits("postgresql://u:p@one/db")["connect_timeout"] == 5
    limits = connection_limits("postgresql://u:p@one/db?connect_timeout=20&keepalives_idle=3")
    assert set(limits) == {"keepalives_interval", "tcp_user_timeout"}


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("", set()),
        ("*", {"*"}),
        ("south", {"south"}),
        ('north, "south"', {"north", "south"}),
        ("FIRST 1 (north, south)", {"north", "south"}),
        ("ANY 2 (*)", {"*"}),
        ("2 (a,b,c)", {"a", "b", "c"}),
    ],
)
def test_names_of_synchronous_standbys_are_read_in_every_form(setting: str, names: set[str]) -> None:
    assert synchronous_names(setting) == names


@pytest.mark.parametrize(
    ("of_server", "durability", "in_force"),
    [
        ("off", Durability.SERVER, "off"),
        ("on", Durability.LOCAL, "local"),
        ("off", Durability.STANDBY, "on"),
        ("remote_write", Durability.STANDBY, "on"),
        ("remote_apply", Durability.STANDBY, "remote_apply"),
    ],
)
def test_a_transaction_waits_for_what_it_asks_and_never_for_less_than_needed(
    database_addresses: Addresses, of_server: str, durability: Durability, in_force: str
) -> None:
    with closing(psycopg.connect(database_addresses.app_url)) as session:
        session.execute(f"SET synchronous_commit = {of_server}".encode())
        session.commit()
        if statement := durability_sql(durability):
            session.execute(statement.encode())
        assert session.execute("SHOW synchronous_commit").fetchone() == (in_force,)
        session.commit()
        assert session.execute("SHOW synchronous_commit").fetchone() == (of_server,)


@pytest.mark.usefixtures("clean_database")
def test_only_a_transaction_can_wait_for_a_standby() -> None:
    with pytest.raises(RuntimeError, match="Only the commit of a transaction"):
        wait_for_standby()
    with transaction.atomic(), connection.cursor() as cursor:
        wait_for_standby()
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)


def test_a_server_without_standby_is_seen_as_such_and_a_dead_host_is_named(
    database_addresses: Addresses,
) -> None:
    parts = conninfo_to_dict(database_addresses.app_url)
    url = (
        f"postgresql://{parts['user']}:{parts['password']}@127.0.0.1:9,127.0.0.1:{parts['port']}"
        f"/{parts['dbname']}?target_session_attrs=read-write"
    )
    state = replication_state(url)
    assert (state.primaries, state.standbys) == ([f"127.0.0.1:{parts['port']}"], [])
    assert [host.name for host in state.unreachable] == ["127.0.0.1:9"]
    assert str(parts["password"]) not in state.unreachable[0].failure
