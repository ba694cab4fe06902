"""The signs of stated balances: a balance that did not move has the sign of those that did."""

from decimal import Decimal

import msgspec
import pytest

from koppel.connector.contract import Record
from koppel.connectors.visma_net import normalise
from koppel.connectors.visma_net.balance_signs import signs_of, with_signs

Stated = tuple[str, str, int, int, int, int]
BY_ACCOUNT: list[Stated] = [
    ("1930", "Asset", 1000, 100, 0, 1100),
    ("2440", "Liability", 400, 0, 0, 400),
    ("3010", "Income", 0, 0, 100, 100),
    ("2099", "Liability", 600, 0, 0, 600),
]
BY_DEBIT = [
    (code, kind, -o, d, c, -e) if kind != "Asset" else (code, kind, o, d, c, e)
    for code, kind, o, d, c, e in BY_ACCOUNT
]


def records(stated: list[Stated]) -> list[Record]:
    return [
        Record(
            code,
            msgspec.json.encode(
                {
                    "account": {"number": code, "type": kind},
                    "financialPeriod": "202501",
                    "beginningBalance": opening,
                    "periodToDateDebit": debit,
                    "periodToDateCredit": credit,
                    "yearToDateBalance": closing,
                }
            ),
            "202501",
        )
        for code, kind, opening, debit, credit, closing in stated
    ]


@pytest.mark.parametrize("stated", [BY_ACCOUNT, BY_DEBIT])
def test_all_balances_come_out_debit_positive(stated: list[Stated]) -> None:
    page = records(stated)
    if signs_of(page) == normalise.BY_ACCOUNT:
        page = [with_signs(record) for record in page]
    rows = {row.account: row for row in map(normalise.balance, (record.raw for record in page))}
    figures = {code: (row.opening, row.closing) for code, row in rows.items()}
    assert figures == {
        "1930": (Decimal(1000), Decimal(1100)),
        "2440": (Decimal(-400), Decimal(-400)),
        "3010": (Decimal(0), Decimal(-100)),
        "2099": (Decimal(-600), Decimal(-600)),
    }


def test_without_a_movement_the_totals_show_the_signs() -> None:
    still = [(code, kind, opening, 0, 0, opening) for code, kind, opening, _d, _c, _e in BY_ACCOUNT]
    assert signs_of(records(still)) == "account"
    assert signs_of(records([("1930", "Asset", 1000, 0, 0, 1000)])) == ""
    negative = [(code, kind, opening, 0, 0, opening) for code, kind, opening, _d, _c, _e in BY_DEBIT]
    assert signs_of(records(negative)) == "debit"
