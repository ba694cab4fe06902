"""Register look-ups over HTTP against the sandbox's published formats."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.db import DataError
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from koppel.company_registers import lookups, tasks
from koppel.company_registers.clients import rate_limit, register_for
from koppel.company_registers.clients.protocol import (
    LookupOutcome,
    QueryKind,
    RegisterQuery,
    RegisterQuota,
    RegisterResult,
)
from koppel.company_registers.lookup_result import LookupResult
from koppel.company_registers.lookups import build_query, cached_results, request_lookups, store_result
from koppel.company_registers.models import Lookup, RegisterRateLimit
from koppel.company_registers.outbox import LOOKUP_OUTBOX
from koppel.company_registers.sectors.activities import Activity, Section
from koppel.company_registers.tasks import enqueue_due
from koppel.connections.sessions.runtime import as_worker
from koppel.kit.http.client import HttpClient, run
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.roles import Actor
from tests.company_registers.factories import run_lookup_worker
from tests.fixtures.stack import Sandbox


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


def look_up_companies(
    admin: Actor, *queries: RegisterQuery, refresh: bool = False
) -> dict[RegisterQuery, LookupResult]:
    """Ask, let a worker do its job, read what is known."""
    with organisation_scope(admin.organisation_id):
        request_lookups(admin.organisation_id, queries, refresh=refresh)
    run_lookup_worker(admin)
    with organisation_scope(admin.organisation_id):
        return cached_results(admin.organisation_id, queries)


def number(country: str, value: str) -> RegisterQuery:
    return RegisterQuery(country=country, kind=QueryKind.NUMBER, value=value)


def test_a_dutch_company_is_found_with_its_name_and_sector(registers: Sandbox, admin: Actor) -> None:
    entry = {"country": "NL", "number": "33031431", "name": "Koekjes en Co  B.V. ", "activity": "10720"}
    registers.control("registers", entry)
    query = number("NL", "33031431")
    result = look_up_companies(admin, query)[query]
    assert (result.outcome, result.source, result.legal_name) == (
        LookupOutcome.FOUND,
        "kvk",
        "Koekjes en Co B.V.",
    )
    assert result.activity == Activity(code="10720", scheme="SBI-2025")
    assert result.sector == Section("C", "NACE-2.1")
    assert registers.calls("basisprofielen")[-1]["status"] == 200


def test_the_test_companies_of_the_dutch_register_still_have_codes_of_the_old_revision(
    registers: Sandbox, admin: Actor
) -> None:
    query = number("NL", "68727720")
    result = look_up_companies(admin, query)[query]
    assert result.activity is not None
    assert (result.activity.scheme, result.sector) == ("SBI-2008", Section("L", "NACE-2.1"))


@pytest.mark.parametrize(
    ("country", "value", "source", "activity", "sector"),
    [
        ("NO", "923609016", "brreg", ("62.010", "SN-2007"), "K"),
        ("FI", "2077474-0", "prh", ("62100", "TOL-2025"), "K"),
        ("SE", "556036-0793", "vies", None, None),
        ("DK", "22756214", "vies", None, None),
    ],
)
def test_each_country_is_asked_at_its_own_register(
    registers: Sandbox, admin: Actor, country: str, value: str, source: str, activity: Any, sector: str | None
) -> None:
    vat = {"SE": "556036079301", "DK": "22756214"}.get(country, "")
    entry = {"country": country, "number": value, "name": "Fjordheim AS", "vat": vat}
    registers.control("registers", entry | ({"activity": activity[0]} if activity else {}))
    query = build_query(country, value)
    assert query is not None
    result = look_up_companies(admin, query)[query]
    assert (result.outcome, result.source) == (LookupOutcome.FOUND, source)
    assert not result.has_different_name("Fjordheim")
    assert result.has_different_name("Nordlys")
    assert (result.activity and (result.activity.code, result.activity.scheme)) == activity
    assert (result.sector and result.sector.letter) == sector


@pytest.mark.parametrize(("country", "value"), [("NL", "33031431"), ("NO", "923609016"), ("FI", "2077474-0")])
def test_closed_and_unknown_companies_are_distinguished(
    registers: Sandbox, admin: Actor, country: str, value: str
) -> None:
    query = number(country, value)
    assert look_up_companies(admin, query)[query].outcome is LookupOutcome.NOT_FOUND
    entry = {
        "country": country,
        "number": value,
        "name": "Was Here",
        "activity": "47110",
        "closed_on": "2024-05-01",
    }
    registers.control("registers", entry)
    result = look_up_companies(admin, query, refresh=True)[query]
    assert (result.outcome, result.closed_on) == (LookupOutcome.CLOSED, date(2024, 5, 1))


def test_a_company_that_norway_removed_altogether_is_closed_too(registers: Sandbox, admin: Actor) -> None:
    registers.control("registers", {"country": "NO", "number": "923609016", "removed": True})
    query = number("NO", "923609016")
    assert look_up_companies(admin, query)[query].outcome is LookupOutcome.CLOSED


def test_an_rsin_in_the_wrong_field_leads_to_the_number(registers: Sandbox, admin: Actor) -> None:
    entry = {
        "country": "NL",
        "number": "33031431",
        "name": "Koekjes B.V.",
        "activity": "1072",
        "rsin": "002455799",
    }
    registers.control("registers", entry)
    for typed, vat in (("NL002455799B11", ""), ("", "NL002455799B11")):
        query = build_query("NL", typed, vat, "Koekjes")
        assert query == RegisterQuery(country="NL", kind=QueryKind.RSIN, value="002455799")
        result = look_up_companies(admin, query)[query]
        assert (result.outcome, result.number) == (LookupOutcome.FOUND, "33031431")


def test_an_rsin_of_two_companies_is_ambiguous_and_a_name_only_proposes(
    registers: Sandbox, admin: Actor
) -> None:
    for company_number in ("33031431", "17052456"):
        registers.control(
            "registers",
            {
                "country": "NL",
                "number": company_number,
                "name": f"Twins {company_number}",
                "rsin": "002455799",
            },
        )
    rsin, name = (
        RegisterQuery(country="NL", kind=QueryKind.RSIN, value="002455799"),
        RegisterQuery(country="NL", kind=QueryKind.NAME, value="twins 33031431"),
    )
    results = look_up_companies(admin, rsin, name)
    assert results[rsin].outcome is LookupOutcome.AMBIGUOUS
    assert {candidate.number for candidate in results[rsin].candidates} == {"33031431", "17052456"}
    assert results[name].outcome is LookupOutcome.AMBIGUOUS
    assert [candidate.number for candidate in results[name].candidates] == ["33031431"]


@pytest.mark.parametrize(
    ("status", "value", "least"),
    [(429, "7200", 7200), (503, "two hours ahead", 7200), (500, "7200", 7200), (429, "9" * 12, 259_200)],
)
def test_a_register_that_asks_for_a_pause_is_not_called_before_it_is_over(
    registers: Sandbox, admin: Actor, status: int, value: str, least: int
) -> None:
    in_two_hours = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    header = in_two_hours if value == "two hours ahead" else value
    registers.fault("/registers/kvk", status=status, times=50, headers={"Retry-After": header})
    registers.forget_calls()
    queries = [number("NL", value) for value in ("33031431", "17052456", "69599084")]
    look_up_companies(admin, queries[0])
    call_count = len(registers.calls("/registers/kvk"))
    for query in (*queries, *queries):
        look_up_companies(admin, query, refresh=True)
    assert len(registers.calls("/registers/kvk")) == call_count == 1
    with installation_scope("pauses"):
        limit = RegisterRateLimit.objects.get(source="kvk")
    assert limit.backoff_until is not None
    assert abs((limit.backoff_until - timezone.now()).total_seconds() - least) < 30


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 401},
        {"kind": "html", "status": 502},
        {"kind": "truncate"},
        {"kind": "drop", "times": 2},
        {"kind": "status", "status": 404, "body": "not the register's own 404"},
    ],
)
def test_a_register_that_is_down_is_never_a_company_that_does_not_exist(
    registers: Sandbox, admin: Actor, fault: dict[str, Any]
) -> None:
    registers.control(
        "registers", {"country": "NL", "number": "33031431", "name": "Koekjes B.V.", "activity": "10720"}
    )
    registers.fault("/registers/kvk", **fault)
    query = number("NL", "33031431")
    result = look_up_companies(admin, query)[query]
    assert (result.outcome, result.is_waiting) == (LookupOutcome.UNAVAILABLE, True)
    end_pause(admin)
    run_lookup_worker(admin)
    with organisation_scope(admin.organisation_id):
        assert cached_results(admin.organisation_id, [query])[query].outcome is LookupOutcome.FOUND


def test_known_data_is_kept_while_the_register_is_down(registers: Sandbox, admin: Actor) -> None:
    registers.control(
        "registers", {"country": "NL", "number": "33031431", "name": "Koekjes B.V.", "activity": "10720"}
    )
    query = number("NL", "33031431")
    look_up_companies(admin, query)
    registers.fault("/registers/kvk", status=503)
    result = look_up_companies(admin, query, refresh=True)[query]
    assert (result.outcome, result.legal_name, result.is_waiting) == (
        LookupOutcome.FOUND,
        "Koekjes B.V.",
        True,
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [("300", "service_unavailable"), ("301", "ms_unavailable"), ("600", "ms_max_concurrent_req")],
)
def test_a_busy_member_state_is_unknown_and_never_invalid(
    registers: Sandbox, admin: Actor, code: str, reason: str
) -> None:
    body = f'{{"actionSucceed": false, "errorWrappers": [{{"error": "{reason.upper()}"}}]}}'
    registers.fault("/registers/vies", status=200, body=body)
    query = number("DK", "22756214")
    result = look_up_companies(admin, query)[query]
    assert (result.outcome, result.reason) == (LookupOutcome.UNAVAILABLE, reason)
    assert code


def end_pause(admin: Actor) -> None:
    """As if the pause were over."""
    with installation_scope("test"):
        RegisterRateLimit.objects.all().delete()
        Lookup.objects.exclude(due_at=None).update(due_at=timezone.now())


def test_a_result_is_cached_for_a_month(registers: Sandbox, admin: Actor) -> None:
    registers.control(
        "registers", {"country": "NL", "number": "33031431", "name": "Koekjes B.V.", "activity": "10720"}
    )
    query = number("NL", "33031431")
    look_up_companies(admin, query)
    registers.forget_calls()
    look_up_companies(admin, query, query)
    assert registers.calls("/registers/") == []
    with organisation_scope(admin.organisation_id):
        Lookup.objects.update(answered_at=timezone.now() - lookups.RESULT_LIFETIME - timedelta(minutes=1))
    look_up_companies(admin, query)
    assert len(registers.calls("/registers/kvk")) == 1


def test_one_job_looks_up_hundreds_for_one_organisation(registers: Sandbox, admin: Actor, actor: Any) -> None:
    queries = [number("NL", f"{50_000_000 + place}") for place in range(110)]
    results = look_up_companies(admin, *queries)
    assert {one.outcome for one in results.values()} == {LookupOutcome.NOT_FOUND}
    assert len(results) == 110
    stranger = actor("administrator")
    with organisation_scope(stranger.organisation_id):
        assert cached_results(stranger.organisation_id, queries) == {}


def test_calls_are_outside_transactions_and_without_personal_numbers(
    registers: Sandbox, admin: Actor
) -> None:
    assert build_query("SE", "640823-3234") is None
    assert build_query("NL", "12345678", "", "Dummy") is None
    assert build_query("US", "123456") is None
    query = number("NL", "33031431")
    with organisation_scope(admin.organisation_id):
        request_lookups(admin.organisation_id, [query])
        register = register_for(query)
        assert register is not None
        with pytest.raises(RuntimeError, match="transaction"):
            run(lambda http: register.look_up(http, query, date(2026, 11, 25)))
    assert registers.calls("/registers/") == []


def test_disabled_registers_are_not_called(settings: Any) -> None:
    settings.REGISTERS = [""]
    assert build_query("NO", "923609016") is None
    settings.REGISTERS = ["kvk", "brreg"]
    settings.KVK_API_KEY = ""
    assert build_query("NL", "69599084") is None
    assert build_query("NO", "923609016") is not None


def test_the_budget_counts_all_workers_together(registers: Sandbox, admin: Actor) -> None:
    async def within() -> list[float]:
        async with HttpClient() as http, as_worker(http, size=4) as runtime:

            async def acquire_once() -> float:
                async with runtime.database.installation_transaction() as connection:
                    return await rate_limit.acquire(
                        connection, "made-up", RegisterQuota(calls=5, seconds=3600)
                    )

            return list(await asyncio.gather(*(acquire_once() for _ in range(12))))

    waits = asyncio.run(within())
    assert waits.count(0.0) == 5
    assert all(3000 < one <= 3600 for one in waits if one)


def test_look_ups_of_a_dead_worker_are_leased_again(registers: Sandbox, admin: Actor) -> None:
    query = number("NL", "69599084")
    with organisation_scope(admin.organisation_id):
        request_lookups(admin.organisation_id, [query])
        assert LOOKUP_OUTBOX.claim({"organisation_id": admin.organisation_id})
        Lookup.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    with installation_scope("test"):
        ProcrastinateJob.objects.all().delete()  # it died with the job

    async def within() -> None:
        async with HttpClient() as http, as_worker(http, size=4) as _runtime:
            await enqueue_due(timestamp=0)

    asyncio.run(within())
    with installation_scope("test"):
        waiting = ProcrastinateJob.objects.filter(task_name="company_registers.look_up", status="todo")
        assert waiting.filter(args={"organisation_id": admin.organisation_id}).count() == 1
    run_lookup_worker(admin)
    with organisation_scope(admin.organisation_id):
        assert Lookup.objects.get().answered_at


@pytest.mark.parametrize(
    ("register_name", "book_name", "differs"),
    [
        ("BAKKERIJ DE HAAN B.V.", "Bakkerij de Haan", False),
        ("Bakkerij De Haan B.V.", "Bakkerij De Haan BV", False),
        ("Fjordheim AS", "Fjordheim", False),
        ("Van Dam Groep B.V.", "Van Dam Holding B.V.", True),
        ("B.V.", "N.V.", True),
        ("Stichting Zon", "Zon", False),
        ("Østergård ApS", "Ostergard ApS", False),
        ("Østergård ApS", "Vestergård ApS", True),
    ],
)
def test_only_a_real_difference_of_names_is_shown(register_name: str, book_name: str, differs: bool) -> None:
    result = LookupResult(number("NL", "69599084"), LookupOutcome.FOUND, legal_name=register_name)
    assert result.has_different_name(book_name) is differs


def test_a_result_that_cannot_be_stored_affects_only_its_company(
    registers: Sandbox, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store_or_fail(organisation_id: int, lookup_id: int, result: RegisterResult) -> None:
        with organisation_scope(organisation_id):
            if Lookup.objects.get(pk=lookup_id).value == "69599084":
                raise DataError
        store_result(organisation_id, lookup_id, result)

    monkeypatch.setattr(tasks, "store_result", store_or_fail)
    look_up_companies(
        admin,
        RegisterQuery(country="NL", kind=QueryKind.NUMBER, value="69599084"),
        RegisterQuery(country="NL", kind=QueryKind.NUMBER, value="17052456"),
    )
    with organisation_scope(admin.organisation_id):
        company_number = Lookup.objects.get(value="69599084")
        assert (company_number.outcome, company_number.reason, company_number.attempts) == (
            "unavailable",
            "crashed",
            1,
        )
        assert Lookup.objects.get(value="17052456").answered_at


def test_a_name_that_the_database_cannot_hold_is_repaired(registers: Sandbox, admin: Actor) -> None:
    registers.control("registers", {"country": "NL", "number": "69599084", "name": "A\0B"})
    assert look_up_companies(admin, number("NL", "69599084"))[number("NL", "69599084")].legal_name == "AB"
