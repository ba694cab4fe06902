"""Check the standbys of the database: whether one can take over, and what is lost when it does."""

import os
from collections.abc import Iterator

import psycopg

from koppel.cli.checks.result import CheckFinding, advice
from koppel.kit.database.replication.hosts import hosts_of, passes_over_standbys
from koppel.kit.database.replication.standbys import ReplicationState, Standby, replication_state

TOPIC = "standby"
NONE = "No standby follows the database: with its server is lost what was committed since the last backup."
SYNCHRONOUS = (
    "Commits of consents and of the audit log wait for the standby {names} (synchronous); pages of syncs do "
    "not, and are read again after a failover."
)
NOBODY_FOLLOWS = (
    "synchronous_standby_names is {setting!r} and no such standby follows: commits wait until one does. "
    "Start it, or empty the setting."
)
ASYNCHRONOUS = (
    "The standby {name} is asynchronous{behind}. A failover loses what it has not received: a consent that "
    "was renewed meanwhile needs a new sign-in, and entries of the audit log, settings and invitations of "
    "that time are missing. With synchronous_standby_names no consent is lost."
)


def check_standbys() -> Iterator[CheckFinding]:
    """Report the hosts of `DATABASE_URL`, and of the standbys which commits wait for them."""
    url = os.environ["DATABASE_URL"]
    try:
        state = replication_state(url)
    except psycopg.Error as error:
        yield advice(TOPIC, f"The standbys cannot be read: {str(error).strip().splitlines()[0]}")
        return
    yield from _hosts(url, state)
    yield from _standbys(state)


def _hosts(url: str, state: ReplicationState) -> Iterator[CheckFinding]:
    if len(state.primaries) > 1:
        names = " and ".join(state.primaries)
        text = (
            f"{names} both accept writes. Stop the one that was the primary before the failover at once, and "
            'make it a standby anew; docs/operations.md says under "Two database servers" how.'
        )
        yield CheckFinding(TOPIC, False, text)
    if len(hosts_of(url)) > 1 and not passes_over_standbys(url):
        text = "DATABASE_URL names several hosts: add target_session_attrs=read-write, or programs may stay "
        yield CheckFinding(TOPIC, False, f"{text}at a standby.")
    for host in state.unreachable if len(state.hosts) > 1 else ():
        yield advice(TOPIC, f"The host {host.name} of DATABASE_URL does not answer: {host.failure}.")


def _standbys(state: ReplicationState) -> Iterator[CheckFinding]:
    if state.synchronous:
        names = ", ".join(standby.name for standby in state.synchronous)
        yield CheckFinding(TOPIC, True, SYNCHRONOUS.format(names=names))
    elif state.synchronous_names:
        yield CheckFinding(TOPIC, False, NOBODY_FOLLOWS.format(setting=state.synchronous_names))
    elif not state.standbys:
        yield CheckFinding(TOPIC, True, NONE)
    else:
        for standby in state.standbys:
            yield advice(TOPIC, ASYNCHRONOUS.format(name=standby.name, behind=_behind(standby)))


def _behind(standby: Standby) -> str:
    """Return a clause, '' when it is not known how far the standby is behind."""
    if standby.bytes_behind is None:
        return ""
    if standby.bytes_behind == 0:
        return " and has received everything just now"
    seconds = "" if standby.seconds_behind is None else f" and {standby.seconds_behind:.1f} s"
    return f" and {standby.bytes_behind / 1024:,.0f} kB{seconds} behind"
