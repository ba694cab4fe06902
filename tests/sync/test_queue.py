"""Who comes next when there is more to sync than workers have room for. Firms wait; a worker takes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from koppel.administrations.models import Administration
from koppel.connections.models import Connection
from koppel.kit.clock import now
from koppel.kit.database import Database
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from koppel.sync.models import Run
from koppel.sync.runs import queue
from koppel.sync.runs.store import Held
from tests.books.factories import administration_of
from tests.fixtures.people import MakeActor


def firm_with(actor: MakeActor, count: int) -> tuple[Actor, list[Administration]]:
    """A firm whose connection reaches `count` administrations, all active."""
    member = actor()
    first = administration_of(member, "Company 0", activated_at=now())
    with organisation_scope(member.organisation_id):
        remotes = [first.remote_company]
        for number in range(1, count):
            remote = first.remote_company
            remote.pk, remote.external_id, remote.name = None, f"Company {number}", f"Company {number}"
            remote._state.adding = True
            remote.save()
            remotes.append(remote)
            Administration.objects.create(
                organisation_id=member.organisation_id, connection_id=first.connection_id, remote_company_id=remote.pk,
                name=remote.name, status="active", activated_at=now(),
            )  # fmt: skip
        return member, list(Administration.objects.order_by("pk"))


def waiting(administrations: list[Administration], trigger: str = "schedule", **fields: Any) -> list[int]:
    """A queued run for each; their ids."""
    organisation_id = administrations[0].organisation_id
    with organisation_scope(organisation_id):
        made = Run.objects.bulk_create(
            Run(organisation_id=organisation_id, administration=one, trigger=trigger, **fields)
            for one in administrations
        )
    return [run.pk for run in made]


async def look(database: Database, worker: str, room: int) -> list[Held]:
    """What a worker takes whose heart beats on, however long it is until the next look."""
    async with database.for_installation() as connection:
        runs = (await queue.take(connection, worker, room)).runs
        await connection.execute(
            "UPDATE sync_run SET heartbeat_at = now() + interval '1 hour' WHERE state = 'running' AND heartbeat_at = now()"
        )
        return runs


def taken(*room: int, worker: str = "w", then: Callable[[int], None] | None = None) -> list[list[Held]]:
    """What a worker with so much room takes, one look after the other."""

    async def looks() -> list[list[Held]]:
        found = []
        async with Database.open(size=1) as database:
            for number in room:
                found.append(await look(database, worker, number))
        return found

    return asyncio.run(looks())


def test_a_small_firm_is_not_held_up_by_a_large_import(actor: MakeActor) -> None:
    _large, many = firm_with(actor, 40)
    small, few = firm_with(actor, 3)
    waiting(many, "import")
    waiting(few, "schedule")
    first, second = taken(4, 4)
    assert Counter(run.organisation_id for run in first)[small.organisation_id] == 2, "they take turns"
    assert Counter(run.organisation_id for run in second)[small.organisation_id] == 1, "the last of the small one"


def test_a_person_who_waits_goes_first_and_the_schedule_last(actor: MakeActor) -> None:
    _firm, companies = firm_with(actor, 30)
    waiting(companies[:20], "schedule")
    imports = waiting(companies[20:28], "import")
    asked = waiting(companies[28:], "person")
    (first,) = taken(5)
    assert [run.id for run in first] == asked + imports[:3]


def test_a_run_that_had_its_turn_waits_for_those_that_had_none(actor: MakeActor) -> None:
    """Small companies of an import finish early although nobody knew that they are small."""
    _firm, companies = firm_with(actor, 4)
    large = waiting(companies[:2], "import", attempt=1)
    small = waiting(companies[2:], "import")
    assert [[run.id for run in look] for look in taken(2, 2)] == [small, large]


def test_what_waits_for_the_vendor_or_with_its_connection_is_left_alone(actor: MakeActor) -> None:
    firm, companies = firm_with(actor, 2)
    waiting(companies[:1], not_before=now() + timedelta(minutes=5))
    assert taken(10) == [[]]
    waiting(companies[1:])
    with organisation_scope(firm.organisation_id):
        Connection.objects.update(state="paused")
    assert taken(10) == [[]]
    with organisation_scope(firm.organisation_id):
        Connection.objects.update(state="active")
    assert [len(look) for look in taken(10)] == [1]


def test_what_a_dead_worker_left_is_taken_over_and_nothing_is_taken_twice(actor: MakeActor) -> None:
    firm, companies = firm_with(actor, 3)
    waiting(companies)
    (first,) = taken(3, worker="dead")
    assert taken(3) == [[]]
    with organisation_scope(firm.organisation_id):
        Run.objects.filter(pk=first[0].id).update(heartbeat_at=now() - timedelta(seconds=16))
    (again,) = taken(3)
    assert [(run.id, run.attempt) for run in again] == [(first[0].id, 2)]


def test_a_worker_that_stops_gives_its_runs_back_and_only_its_own(actor: MakeActor) -> None:
    _firm, companies = firm_with(actor, 4)
    waiting(companies)
    taken(2, worker="stops")
    taken(2, worker="stays")

    async def stop() -> int:
        async with Database.open(size=1) as database, database.for_installation() as connection:
            return await queue.give_back(connection, "stops")

    assert asyncio.run(stop()) == 2
    (again,) = taken(10)
    assert [run.attempt for run in again] == [2, 2]


@pytest.mark.usefixtures("clean_database")
def test_two_workers_that_look_at_once_share_the_runs(actor: MakeActor) -> None:
    _firm, companies = firm_with(actor, 30)
    waiting(companies)

    async def race() -> list[list[Held]]:
        async with Database.open(size=6) as database:

            async def one(name: str) -> list[Held]:
                return await look(database, name, 5)

            return list(await asyncio.gather(*(one(f"w{number}") for number in range(6))))

    got = [run.id for look in asyncio.run(race()) for run in look]
    assert len(got) == len(set(got)) == 30
