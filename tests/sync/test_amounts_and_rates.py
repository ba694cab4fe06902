"""Amounts without the noise of floating point, and the rate of VAT that holds on the day of reading."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from koppel.books.models import MODELS_BY_RESOURCE
from koppel.connectors.visma_net import normalise
from koppel.connectors.visma_net.normalise import schedule_in_force
from koppel.issues.models import Issue
from koppel.kit.tenancy import organisation_scope
from tests.sync.factories import Synced

JOURNAL = "journaltransaction"


def line(amount: str) -> bytes:
    return b'{"lineNumber":1,"accountNumber":"1930","debitAmount":%s}' % amount.encode()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("10.100000000000001", "10.1000"),
        ("0.30000000000000004", "0.3000"),
        ("1E-15", "0"),
        ("-1e-9", "0"),
        ("99.99999999999999", "100"),
        ("1234.5600000000002", "1234.56"),
        ("10.0050", "10.005"),
        ("0.1234", "0.1234"),
        ("88781.1100", "88781.11"),
        ("12345678901234567.89", "12345678901234567.89"),
        ("1e3", "1000"),
    ],
)
def test_an_amount_has_at_most_four_decimals(sent: str, kept: str) -> None:
    row = normalise.entry_line(line(sent), "GL 1")
    assert row.debit == Decimal(kept)
    assert row.debit == round(row.debit, 4)
    assert not (row.debit == 0 and row.debit.is_signed())


def test_noise_of_the_accounting_system_is_no_difference(synced: Synced) -> None:
    synced.sandbox.fault(JOURNAL, kind="replace", old='"debitAmount":', body='"debitAmount":1E-15,"was":')
    run = synced.sync()
    assert run.state == "succeeded", run.reason
    with organisation_scope(synced.actor.organisation_id):
        contexts = json.dumps(list(Issue.objects.values_list("context", flat=True)), default=str)
    assert "E-" not in contexts


def vat(*schedules: dict[str, Any]) -> bytes:
    return json.dumps({"vatId": "1", "schedules": schedules}).encode()


@pytest.mark.parametrize(
    ("starts", "in_force"),
    [
        (["2019-01-01T00:00:00", "2027-01-01T00:00:00"], "2019-01-01"),
        (["2027-01-01T00:00:00", "2019-01-01T00:00:00", "2025-07-01T00:00:00"], "2025-07-01"),
        (["2026-11-29T00:00:00", "2019-01-01"], "2026-11-29"),
        (["2026-11-30T00:00:00"], None),
        (["", "2027-01-01"], ""),
        ([None], ""),
        (["0001-01-01T00:00:00"], "0001-01-01"),
        ([], None),
    ],
)
def test_the_schedule_in_force_is_the_newest_that_has_begun(
    starts: list[str | None], in_force: str | None
) -> None:
    schedules = [{"startDate": start, "vatRate": place} for place, start in enumerate(starts)]
    assert schedule_in_force(vat(*schedules), date(2026, 11, 29)) == in_force


def rates(synced: Synced) -> dict[str, Decimal | None]:
    with organisation_scope(synced.actor.organisation_id):
        rows = MODELS_BY_RESOURCE["vat_codes"].objects.filter(deleted_at=None)
        return dict(rows.values_list("code", "rate"))


def test_a_rate_of_the_future_is_not_the_rate_of_today(synced: Synced) -> None:
    today = date.today()  # noqa: DTZ011 - a day far from both schedules
    code = {
        "vatId": "H",
        "vatCategoryId": "H",
        "description": "Hoog",
        "schedules": [
            {"startDate": "2019-01-01T00:00:00", "vatRate": 21, "groupType": "Output"},
            {"startDate": f"{today.year + 2}-01-01T00:00:00", "vatRate": 23, "groupType": "Output"},
        ],
    }
    synced.sandbox.fault("/v1/vat$", kind="status", status=200, body=json.dumps([code]))
    run = synced.sync()
    assert run.state == "succeeded", run.reason
    assert rates(synced) == {"H": 21}
