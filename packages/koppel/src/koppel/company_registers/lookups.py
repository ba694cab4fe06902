"""Use cases of register lookups: request them, read known results and store an answer. No page waits for a
register.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.company_registers.clients import register_for
from koppel.company_registers.clients.protocol import LookupOutcome, QueryKind, RegisterQuery, RegisterResult
from koppel.company_registers.hooks import lookup_answered
from koppel.company_registers.lookup_result import LookupResult
from koppel.company_registers.models import Lookup
from koppel.company_registers.numbers import NumberNote, NumberStatus, check_number
from koppel.company_registers.outbox import LOOKUP_OUTBOX
from koppel.company_registers.sectors.activities import Activity
from koppel.kit.database.text import clean_text
from koppel.kit.tenancy import organisation_scope

RESULT_LIFETIME = timedelta(days=30)
"""A younger answer is not requested again when the same company occurs once more."""


def build_query(country: str, number: str = "", vat_number: str = "", name: str = "") -> RegisterQuery | None:
    """Return the query for a company with these details; None when no register can answer it.

    A valid or doubtful number is looked up itself; a Dutch RSIN, typed or within the VAT number, leads to it;
    without either the name is searched for, which only proposes candidates.
    """
    country = {"UK": "GB"}.get(country.upper(), country.upper())
    query = _build_query(country, number.strip(), vat_number.strip(), name.strip())
    return query if query and register_for(query) else None


def request_lookups(organisation_id: int, queries: Iterable[RegisterQuery], *, refresh: bool = False) -> int:
    """Request these lookups in the caller's transaction and scope; a job makes them after commit. Returns
    how many.

    Recent answers are not requested again, unless `refresh`.
    """
    unique_queries = list(dict.fromkeys(queries))
    known_results = cached_results(organisation_id, unique_queries)
    now = timezone.now()
    new_lookups = [
        Lookup(
            organisation_id=organisation_id,
            country=query.country,
            kind=query.kind,
            value=query.value,
            due_at=now,
        )
        for query in unique_queries
        if query not in known_results
    ]
    Lookup.objects.bulk_create(new_lookups, ignore_conflicts=True, batch_size=2000)
    stale_lookups = _rows(organisation_id, list(known_results)).filter(due_at=None)
    if not refresh:
        stale_lookups = stale_lookups.filter(Q(answered_at=None) | Q(answered_at__lt=now - RESULT_LIFETIME))
    count = len(new_lookups) + LOOKUP_OUTBOX.requeue(stale_lookups, requested_at=now)
    if count:
        LOOKUP_OUTBOX.enqueue({"organisation_id": organisation_id})
    return count


def cached_results(
    organisation_id: int, queries: Iterable[RegisterQuery]
) -> dict[RegisterQuery, LookupResult]:
    """Return what is known about each query; one that was never made is absent. In the caller's scope."""
    requested = set(queries)
    results = (to_lookup_result(row) for row in _rows(organisation_id, list(requested)))
    return {result.query: result for result in results if result.query in requested}


def store_result(organisation_id: int, lookup_id: int, result: RegisterResult) -> None:
    """Store a register's answer and call the hooks of the apps above, in one transaction."""
    with organisation_scope(organisation_id):
        row = Lookup.objects.in_organisation(organisation_id).select_for_update().filter(pk=lookup_id).first()
        if row is None:
            return
        before = to_lookup_result(row)
        for name, value in _columns(result).items():
            setattr(row, name, value)
        row.answered_at, row.due_at, row.leased_until, row.attempts = timezone.now(), None, None, 0
        row.save()
        after = to_lookup_result(row)
        lookup_answered(organisation_id, before, after)


def to_lookup_result(row: Lookup) -> LookupResult:
    activity = None
    if row.activity_code:
        activity = Activity(code=row.activity_code, scheme=row.activity_scheme, label=row.activity_label)
    return LookupResult(
        query=RegisterQuery(country=row.country, kind=QueryKind(row.kind), value=row.value),
        outcome=LookupOutcome(row.outcome) if row.outcome else None,
        is_waiting=row.due_at is not None,
        source=row.source,
        number=row.number,
        legal_name=row.legal_name,
        closed_on=row.closed_on,
        activity=activity,
        candidates=tuple(row.candidates),
        answered_at=row.answered_at,
        reason=row.reason,
    )


def _build_query(country: str, number: str, vat_number: str, name: str) -> RegisterQuery | None:
    number_check = check_number(number, country) if number else None
    if number_check is not None and number_check.note is NumberNote.DUMMY:
        return None
    if number_check is not None and number_check.status is not NumberStatus.INVALID:
        return RegisterQuery(country=country, kind=QueryKind.NUMBER, value=number_check.number)
    if country == "NL" and (rsin := _rsin(number_check.number if number_check else "", vat_number)):
        return RegisterQuery(country=country, kind=QueryKind.RSIN, value=rsin)
    return RegisterQuery(country=country, kind=QueryKind.NAME, value=name[:300]) if name else None


def _rsin(number: str, vat_number: str) -> str:
    """Return an RSIN that was typed, or the nine digits of a legal entity's VAT number. A sole trader's VAT
    number has no RSIN.
    """
    for text in (number, re.sub(r"[^A-Z0-9]", "", vat_number.upper())):
        if match := re.fullmatch(r"(?:NL)?(\d{9})(?:B\d{2})?", text):
            return match[1]
    return ""


def _rows(organisation_id: int, queries: list[RegisterQuery]) -> "QuerySet[Lookup]":
    """Return the rows of these queries. The values of different kinds never coincide, so one list of values
    is enough.
    """
    return Lookup.objects.in_organisation(organisation_id).filter(
        country__in={query.country for query in queries},
        kind__in={query.kind for query in queries},
        value__in={query.value for query in queries},
    )


def _columns(result: RegisterResult) -> Mapping[str, Any]:
    activity = result.activity
    return {
        "outcome": result.outcome,
        "source": result.source,
        "number": clean_text(result.number, 60),
        "legal_name": clean_text(result.legal_name, 400),
        "closed_on": result.closed_on,
        "activity_code": clean_text(activity.code, 20) if activity else "",
        "activity_scheme": activity.scheme if activity else "",
        "activity_label": clean_text(activity.label, 400) if activity else "",
        "candidates": list(result.candidates),
        "reason": result.reason,
    }
