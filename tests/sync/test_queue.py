"""The order of the queue when more runs wait than workers have room for."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from koppel.administrations.models import Administration
from koppel.connections.models import Connection
from koppel.kit.clock import now
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.pool import Database
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from koppel.sync.models import Run
from koppel.sync.runs import queue
from koppel.sync.runs.claims import ClaimedRun
from koppel.sync.runs.queue import OrganisationSlots
from koppel.sync.worker.dispatcher import slots_per_organisation
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
                organisation_id=member.organisation_id,
                connection_id=first.connection_id,
                remote_company_id=remote.pk,
                name=remote.name,
                status="active",
                activated_at=now(),
            )
        return member, list(Administration.objects.order_by("pk"))


def queued_runs(administrations: list[Administration], trigger: str = "schedule", **fields: Any) -> list[int]:
    """A queued run for each; their ids."""
    organisation_id = administrations[0].organisation_id
    with organisation_scope(organisation_id):
        created = Run.objects.bulk_create(
            Run(organisation_id=organisation_id, administration=administration, trigger=trigger, **fields)
            for administration in administrations
        )
    return [run.pk for run in created]


async def claim_runs(
    database: Database, worker: str, room: int, slots: OrganisationSlots | None = None
) -> list[ClaimedRun]:
    """Claim runs for a worker whose heartbeat continues."""
    async with database.installation_transaction() as connection:
        runs = (await queue.claim_next(connection, worker, room, slots)).runs
        await connection.execute(
            "UPDATE sync_run SET heartbeat_at = now() + interval '1 hour' WHERE state = 'running' "
            "AND heartbeat_at = now()"
        )
        return runs


def claimed_by(
    *room: int, worker: str = "w", slots: OrganisationSlots | None = None
) -> list[list[ClaimedRun]]:
    """What a worker with so much room takes, one look after the other."""

    async def looks() -> list[list[ClaimedRun]]:
        taken_runs = []
        async with Database.open(size=1) as database:
            for number in room:
                taken_runs.append(await claim_runs(database, worker, number, slots))
        return taken_runs

    return asyncio.run(looks())


def test_a_large_import_does_not_delay_a_small_organisation(actor: MakeActor) -> None:
    _large, many = firm_with(actor, 40)
    small, few = firm_with(actor, 3)
    queued_runs(many, "import")
    queued_runs(few, "schedule")
    first, second = claimed_by(4, 4)
    assert Counter(run.organisation_id for run in first)[small.organisation_id] == 2, "they take turns"
    assert Counter(run.organisation_id for run in second)[small.organisation_id] == 1, (
        "the last of the small one"
    )


def test_a_person_who_waits_goes_first_and_the_schedule_last(actor: MakeActor) -> None:
    _firm, companies = firm_with(actor, 30)
    queued_runs(companies[:20], "schedule")
    imports = queued_runs(companies[20:28], "import")
    by_person = queued_runs(companies[28:], "manual")
    (first,) = claimed_by(5)
    assert [run.id for run in first] == by_person + imports[:3]


def test_thousands_of_runs_by_hand_do_not_delay_one_of_another_organisation(actor: MakeActor) -> None:
    _large, many = firm_with(actor, 40)
    small, few = firm_with(actor, 2)
    queued_runs(many, "manual")
    earlier = queued_runs(few[:1], "manual")
    (first,) = claimed_by(4)
    assert earlier[0] in [run.id for run in first]
    another = queued_runs(few[1:], "manual")
    (next_claimed,) = claimed_by(1)
    assert [run.id for run in next_claimed] == another
    assert small.organisation_id == next_claimed[0].organisation_id


def test_no_organisation_has_all_places_of_a_worker(actor: MakeActor) -> None:
    """With slots left, others are claimed although the runs of the large one would precede."""
    large, many = firm_with(actor, 8)
    queued_runs(many, "manual")
    assert len(claimed_by(5, slots=OrganisationSlots(3))[0]) == 3
    small, few = firm_with(actor, 1)
    queued_runs(few, "schedule")
    (claimed_runs,) = claimed_by(5, slots=OrganisationSlots(3, Counter({large.organisation_id: 3})))
    assert [run.organisation_id for run in claimed_runs] == [small.organisation_id]


def test_slots_of_an_organisation_leave_some_to_others() -> None:
    assert [slots_per_organisation(concurrency) for concurrency in (1, 2, 5, 20, 40)] == [1, 1, 4, 18, 36]


@pytest.mark.parametrize(
    ("index", "trigger", "attempt"), [("queued_runs", "manual", 0), ("begun_imports", "import", 1)]
)
def test_choosing_reads_no_more_of_a_long_queue_than_of_a_short_one(
    actor: MakeActor, database_addresses: Addresses, index: str, trigger: str, attempt: int
) -> None:
    """The indexes give the first runs of each organisation in order."""
    _firm, companies = firm_with(actor, 300)
    queued_runs(companies, trigger, attempt=attempt)
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as superuser:
        superuser.execute("ANALYZE")

    async def plan() -> dict[str, Any]:
        async with Database.open(size=1) as database, database.installation_transaction() as connection:
            for name in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin"):
                await connection.execute(f"SET LOCAL {name} = off")  # so few rows could also be read whole
            explained = await connection.execute(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {queue._CHOOSE_RUNS}", {"room": 5, "excluded": []}
            )
            ((document,),) = await explained.fetchall()
            tree: dict[str, Any] = document[0]["Plan"]
            return tree

    rows = list(rows_by_index(asyncio.run(plan()), index))
    assert rows
    assert sum(rows) - len(rows) <= 5 + queue.LOOKAHEAD < 300


def rows_by_index(node: dict[str, Any], index: str) -> Iterator[int]:
    """How many rows each scan of the index returned."""
    if node.get("Index Name") == index:
        yield round(node["Actual Rows"] * node["Actual Loops"])
    for child in node.get("Plans", []):
        yield from rows_by_index(child, index)


def test_a_scheduled_run_that_had_its_turn_waits_for_those_that_had_none(actor: MakeActor) -> None:
    _firm, companies = firm_with(actor, 4)
    large = queued_runs(companies[:2], attempt=1)
    small = queued_runs(companies[2:])
    assert [[run.id for run in look] for look in claimed_by(2, 2)] == [small, large]


def test_imports_that_began_continue_before_new_ones_begin_the_oldest_first(actor: MakeActor) -> None:
    """Of hundreds at once the first become active while the last have not begun."""
    _firm, companies = firm_with(actor, 8)
    new = queued_runs(companies[:3], "import")
    begun = queued_runs(companies[3:4], "import", attempt=1) + queued_runs(
        companies[4:6], "import", attempt=3
    )
    scheduled = queued_runs(companies[6:])
    looks = claimed_by(2, 2, 4)
    assert [[run.id for run in look] for look in looks] == [
        begun[:2],
        [*begun[2:], *new[:1]],
        new[1:] + scheduled,
    ]


def test_an_import_that_waits_for_the_vendor_leaves_its_place_to_a_new_one_until_it_may_continue(
    actor: MakeActor,
) -> None:
    firm, companies = firm_with(actor, 4)
    waiting = queued_runs(companies[:1], "import", attempt=1, not_before=now() + timedelta(minutes=5))
    new = queued_runs(companies[1:], "import")
    assert [[run.id for run in look] for look in claimed_by(1)] == [new[:1]]
    with organisation_scope(firm.organisation_id):
        Run.objects.filter(pk__in=waiting).update(not_before=now())
    assert [[run.id for run in look] for look in claimed_by(1, 1)] == [waiting, new[1:2]]


def test_imports_that_began_do_not_delay_another_organisation(actor: MakeActor) -> None:
    _large, many = firm_with(actor, 20)
    small, few = firm_with(actor, 2)
    queued_runs(many, "import", attempt=2)
    queued_runs(few, "import")
    (first,) = claimed_by(4)
    assert Counter(run.organisation_id for run in first)[small.organisation_id] == 2


def test_runs_waiting_for_the_vendor_or_a_paused_connection_are_not_claimed(actor: MakeActor) -> None:
    firm, companies = firm_with(actor, 2)
    queued_runs(companies[:1], not_before=now() + timedelta(minutes=5))
    assert claimed_by(10) == [[]]
    queued_runs(companies[1:])
    with organisation_scope(firm.organisation_id):
        Connection.objects.update(state="paused")
    assert claimed_by(10) == [[]]
    with organisation_scope(firm.organisation_id):
        Connection.objects.update(state="active")
    assert [len(look) for look in claimed_by(10)] == [1]


def test_runs_of_a_dead_worker_are_claimed_once(actor: MakeActor) -> None:
    firm, companies = firm_with(actor, 3)
    queued_runs(companies)
    (first,) = claimed_by(3, worker="dead")
    assert claimed_by(3) == [[]]
    with organisation_scope(firm.organisation_id):
        Run.objects.filter(pk=first[0].id).update(heartbeat_at=now() - timedelta(seconds=16))
    (second_claim,) = claimed_by(3)
    assert [(run.id, run.attempt) for run in second_claim] == [(first[0].id, 2)]


def test_a_stopping_worker_requeues_only_its_own_runs(actor: MakeActor) -> None:
    _firm, companies = firm_with(actor, 4)
    queued_runs(companies)
    claimed_by(2, worker="stops")
    claimed_by(2, worker="stays")

    async def stop() -> int:
        async with Database.open(size=1) as database, database.installation_transaction() as connection:
            return await queue.release_claims(connection, "stops")

    assert asyncio.run(stop()) == 2
    (second_claim,) = claimed_by(10)
    assert [run.attempt for run in second_claim] == [2, 2]


@pytest.mark.usefixtures("clean_database")
def test_two_workers_that_look_at_once_share_the_runs(actor: MakeActor) -> None:
    _firm, companies = firm_with(actor, 30)
    queued_runs(companies)

    async def race() -> list[list[ClaimedRun]]:
        async with Database.open(size=6) as database:

            async def claim_two(name: str) -> list[ClaimedRun]:
                return await claim_runs(database, name, 5)

            return list(await asyncio.gather(*(claim_two(f"w{number}") for number in range(6))))

    got = [run.id for look in asyncio.run(race()) for run in look]
    assert len(got) == len(set(got)) == 30
