"""What the hosts of `DATABASE_URL` are, which standbys follow the primary, and how far behind they are.

The application role needs no rights for it: a standby says itself what it has received. With
`pg_read_all_stats` the primary also tells of standbys that `DATABASE_URL` does not name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from koppel.kit.database.replication.hosts import DatabaseHost, hosts_of

CONNECT_SECONDS = 3
NO_STANDBYS = frozenset({"pg_basebackup", "pg_receivewal"})
"""Programs that follow the primary and cannot take its place."""
_POSITION = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
            ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
"""
_SENDERS = """
SELECT application_name, sync_state, (pg_current_wal_lsn() - flush_lsn)::float8,
       extract(epoch FROM flush_lag)::float8
  FROM pg_stat_replication ORDER BY application_name, pid
"""
"""Without `pg_read_all_stats` all but the name is NULL."""
_NAMES = re.compile(r"(?:(?:FIRST|ANY)?\s*\d+\s*\((?P<list>.*)\))|(?P<plain>.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class HostState:
    """One host of the URL. `position` is its place in the write-ahead log, in bytes; None without answer."""

    name: str
    failure: str = ""
    """The reason when there is no answer."""
    is_primary: bool = False
    position: float | None = None
    seconds_since_replay: float | None = None
    """The age of the last transaction that a standby replayed."""


@dataclass(frozen=True)
class Standby:
    """A server that follows the primary. What is None is not known."""

    name: str
    is_synchronous: bool
    bytes_behind: float | None = None
    seconds_behind: float | None = None


@dataclass(frozen=True)
class ReplicationState:
    """`synchronous_names` is the server's `synchronous_standby_names`."""

    hosts: list[HostState]
    synchronous_names: str = ""
    standbys: list[Standby] = field(default_factory=list)

    @property
    def primaries(self) -> list[str]:
        return [host.name for host in self.hosts if host.is_primary]

    @property
    def unreachable(self) -> list[HostState]:
        return [host for host in self.hosts if host.failure]

    @property
    def synchronous(self) -> list[Standby]:
        return [standby for standby in self.standbys if standby.is_synchronous]


def replication_state(url: str) -> ReplicationState:
    """Ask each host of the URL, and the primary for its standbys. Raises `psycopg.Error` of the primary."""
    addresses = hosts_of(url)
    # Standbys first: what the primary writes meanwhile makes them look further behind, never nearer.
    states = sorted(map(_host_state, addresses), key=lambda host: host.is_primary)
    with psycopg.connect(url, connect_timeout=CONNECT_SECONDS, autocommit=True) as connection:
        position = connection.execute(_POSITION).fetchone()
        row = connection.execute("SHOW synchronous_standby_names").fetchone()
        senders = connection.execute(_SENDERS).fetchall() if position and not position[0] else []
    names = str(row[0]) if row else ""
    followers = [host for host in states if not host.failure and not host.is_primary]
    primary_position = float(position[1]) if position and not position[0] else None
    return ReplicationState(states, names, _standbys(senders, names, followers, primary_position))


def synchronous_names(setting: str) -> frozenset[str]:
    """Return the names in a value of `synchronous_standby_names`; `*` is every standby."""
    match = _NAMES.fullmatch(setting.strip())
    listed = (match["list"] or match["plain"] or "") if match else setting
    return frozenset(name.strip().strip('"') for name in listed.split(",") if name.strip())


def _host_state(host: DatabaseHost) -> HostState:
    try:
        with psycopg.connect(host.conninfo, connect_timeout=CONNECT_SECONDS, autocommit=True) as connection:
            row = connection.execute(_POSITION).fetchone()
    except psycopg.Error as error:
        return HostState(host.name, failure=str(error).strip().splitlines()[0])
    is_standby, position, seconds = row or (True, None, None)
    return HostState(host.name, "", not is_standby, None if position is None else float(position), seconds)


def _standbys(
    senders: Sequence[tuple[Any, ...]],
    names: str,
    followers: Sequence[HostState],
    primary_position: float | None,
) -> list[Standby]:
    """Join what the primary tells with what the standbys of the URL say. A single one of each is the same."""
    expected = synchronous_names(names)
    senders = [sender for sender in senders if sender[0] not in NO_STANDBYS]
    only_follower = followers[0] if len(followers) == len(senders) == 1 else None
    standbys = []
    for name, sync_state, *lag in senders:
        is_synchronous = sync_state in ("sync", "quorum")
        if sync_state is None:
            is_synchronous = "*" in expected or name in expected
        if only_follower is not None and lag[0] is None:
            behind = _behind(only_follower, primary_position)
        else:
            behind = lag
        standbys.append(Standby(name or "without a name", is_synchronous, *behind))
    return standbys


def _behind(standby: HostState, primary_position: float | None) -> list[float | None]:
    """Return the bytes and seconds that a standby is behind."""
    if primary_position is None or standby.position is None:
        return [None, None]
    behind = max(0.0, primary_position - standby.position)
    return [behind, 0.0 if behind == 0 else standby.seconds_since_replay]
