"""The figures on pages against totals computed from the vendor's own answers, read by another client."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from html import unescape
from typing import Any

import pytest

from tests.administrations.test_list import browser_of
from tests.fixtures.stack import Sandbox
from tests.sandbox.test_third_party_client import client, metadata, sign_in
from tests.sync.factories import Synced, import_company

COMPANIES = 6
RESULT_TYPES = {"Income": -1, "Expense": 1}
__all__ = ["client", "metadata"]


@dataclass
class Totals:
    """What the source says about a fiscal year; amounts are debit less credit."""

    opening: dict[str, Decimal] = field(default_factory=dict)
    movements: dict[str, list[Decimal]] = field(default_factory=lambda: defaultdict(list))
    results: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """By type and month."""

    def result(self, kind: str, last_month: str) -> Decimal:
        return sum(
            (
                amount
                for (of_kind, month), amount in self.results.items()
                if of_kind == kind and month <= last_month
            ),
            Decimal(0),
        )

    def closing(self, account: str) -> Decimal:
        return self.opening.get(account, Decimal(0)) + sum(self.movements[account], Decimal(0))


def read_all(client: Any, sandbox: Sandbox, company: str, path: str) -> Iterator[dict[str, Any]]:
    headers = {"ipp-company-id": company, "ipp-application-type": "Visma.net Financials"}
    page = 1
    while True:
        params = {"lastModifiedDateTime": "1990-01-01", "pageNumber": page, "pageSize": 1000}
        rows = client.get(f"{sandbox.url}{path}", headers=headers, params=params).json(parse_float=Decimal)
        yield from rows
        if not rows or path.startswith("/v1"):
            return
        page += 1


def totals_of(client: Any, sandbox: Sandbox, company: str) -> dict[str, Totals]:
    """By fiscal year, from lines and beginning balances alone."""
    years: dict[str, Totals] = defaultdict(Totals)
    kinds = {row["accountCD"]: row["type"] for row in read_all(client, sandbox, company, "/v1/account")}
    for batch in read_all(client, sandbox, company, "/v2/journaltransaction"):
        year = years[batch["financialPeriod"][:4]]
        for line in batch["journalTransactionLines"]:
            account = line["accountNumber"]
            amount = Decimal(line["debitAmount"]) - Decimal(line["creditAmount"])
            year.movements[account].append(amount)
            if (kind := kinds.get(account)) in RESULT_TYPES:
                year.results[kind, batch["financialPeriod"][4:]] += RESULT_TYPES[kind] * amount
    first: dict[tuple[str, str], str] = {}
    for row in read_all(client, sandbox, company, "/v2/generalLedgerBalance"):
        period, account = row["financialPeriod"], row["account"]["number"]
        if period <= first.get((period[:4], account), period):
            first[period[:4], account] = period
            years[period[:4]].opening[account] = Decimal(row["beginningBalance"])
    return years


def amount_of(text: str) -> Decimal:
    return Decimal(unescape(text).replace("\N{MINUS SIGN}", "-").replace(",", "").strip())


def read_figure(card: str, label: str) -> Decimal:
    """The amount behind a label of the account card."""
    match = re.search(rf"{label}\s*<b>([^<]+)<", card)
    assert match, label
    return amount_of(match[1])


def result_figures(chart: str, label: str) -> tuple[Decimal, Decimal]:
    """The amount of the year, and that of the year before until the same period."""
    match = re.search(rf"<dt>{label}</dt><dd>([^<]+)</dd>\s*<dd class=\"hint\">\d+: ([^<]+)<", chart)
    assert match, label
    return amount_of(match[1]), amount_of(match[2])


@pytest.mark.drill
def test_account_cards_and_result_show_what_the_source_says(
    client: Any, metadata: dict[str, Any], connected: Any, sandbox: Sandbox
) -> None:
    """Six administrations in several currencies, each fiscal year, each account."""
    sign_in(client, metadata, sandbox)
    connection = connected()
    browser, wrong, compared = browser_of(connection.actor), [], 0
    for index in range(COMPANIES):
        synced: Synced = import_company(connection, index)
        assert synced.sync().state == "succeeded"
        root = f"/administrations/{synced.administration_id}/books/"
        years = totals_of(client, sandbox, synced.company_id)
        chart = browser.get(f"{root}chart/").content.decode()
        newest = max(years)
        last_month = max(month for _kind, month in years[newest].results)
        for label, kind in (("Income", "Income"), ("Cost", "Expense")):
            pair = years[newest].result(kind, "99"), years[f"{int(newest) - 1}"].result(kind, last_month)
            compared += 2
            if (on_chart := result_figures(chart, label)) != pair:
                wrong.append(f"{index} {label}: {on_chart} and not {pair}")
        for year, source in years.items():
            export = browser.get(f"{root}?year={year}&format=csv")
            overview = b"".join(export.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
            for account in sorted(source.movements.keys() | source.opening.keys()):
                card = browser.get(f"{root}account/{account}/?year={year}").content.decode()
                expected = (source.opening.get(account, Decimal(0)), source.closing(account))
                on_card = (read_figure(card, "Opening balance"), read_figure(card, "Closing balance"))
                compared += 2
                if on_card != expected:
                    wrong.append(f"{index} {year} {account}: {on_card} and not {expected}")
                if account not in overview:
                    wrong.append(f"{index} {year} {account} is not in the overview")
    assert wrong == [], "\n".join(wrong[:40])
    assert compared > 500
