"""What an entry and its lines take from elsewhere: the ledger's type from the journals, so that a budget does
not count, and the currency of lines from their entry.
"""

from decimal import Decimal

import pytest

from koppel.administrations.models import Administration
from koppel.books.models import Entry, EntryLine
from koppel.books.reports.period_selection import fiscal_years
from koppel.books.reports.period_totals import result_by_period
from koppel.books.reports.trial_balance import trial_balance
from koppel.connectors.visma_net import normalise
from koppel.kit.tenancy import organisation_scope
from koppel.sync.engine import stored_rows
from tests.sync.factories import Synced

JOURNAL, LEDGERS = "journaltransaction", "/v1/ledger"


def move_answers_to_ledger(synced: Synced, number: str) -> None:
    """All batches that the source answers from now on are of this ledger; `2` is its budget."""
    synced.sandbox.fault(JOURNAL, kind="replace", times=1000, old='"ledger":"1"', body=f'"ledger":"{number}"')


def types(synced: Synced) -> set[str]:
    return {row.balance_type for row in synced.rows("entries")}


def debit_total(synced: Synced) -> Decimal:
    """The debit of all years, and income and cost of the newest."""
    with organisation_scope(synced.actor.organisation_id):
        years = fiscal_years(synced.administration_id)
        results = result_by_period(synced.administration_id, next(iter(years)))
        totals = [
            trial_balance(synced.administration_id, year, last).total("debit") for year, last in years.items()
        ]
        return sum((*totals, *(row.income + row.cost for row in results)), Decimal(0))


def test_entries_of_a_budget_are_marked_and_count_nowhere(synced: Synced) -> None:
    move_answers_to_ledger(synced, "2")
    synced.sync()
    assert types(synced) == {"budget"}
    assert debit_total(synced) == 0
    synced.sandbox.release()
    synced.sync(full=True)
    assert types(synced) == {"actual"}
    assert debit_total(synced) > 0


@pytest.mark.parametrize("kind", ["Budget", "Report", "Statistical"])
def test_entries_follow_the_type_of_their_ledger(synced: Synced, kind: str) -> None:
    synced.sandbox.fault(
        LEDGERS, kind="replace", old='"balanceType":"Actual"', body=f'"balanceType":"{kind}"'
    )
    synced.sync()
    assert types(synced) == {kind.lower()}
    assert debit_total(synced) == 0
    synced.sync()
    assert types(synced) == {"actual"}
    assert debit_total(synced) > 0
    assert {row.balance_type for row in synced.rows("journals")} == {"actual", "budget"}


@pytest.mark.parametrize("changed", [False, True])
def test_lines_have_the_currency_of_their_entry(synced: Synced, changed: bool) -> None:
    """Also after it changed at the source; the lines themselves are the same then."""
    if changed:
        synced.sync()
        assert {row.currency for row in synced.rows("entry_lines")} == {"EUR"}
    synced.sandbox.fault(
        JOURNAL, kind="replace", times=1000, old='"currencyId":"EUR"', body='"currencyId":"USD"'
    )
    synced.sync(full=changed)
    assert {row.currency for row in synced.rows("entries")} == {"USD"}
    assert {row.currency for row in synced.rows("entry_lines")} == {"USD"}


def test_rows_of_an_older_version_get_both_when_they_are_normalised_again(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        Entry.objects.update(balance_type="budget")
        EntryLine.objects.update(currency=None)
        administration = Administration.objects.select_related("connection").get(pk=synced.administration_id)
    for resource in ("entries", "entry_lines"):
        monkeypatch.setitem(normalise.VERSIONS, resource, 12)
    stored_rows.renormalise(synced.actor, administration, lambda _resource, _count: None)
    assert types(synced) == {"actual"}
    assert {row.currency for row in synced.rows("entry_lines")} == {"EUR"}


def test_blanks_around_an_account_number_make_no_other_account(synced: Synced) -> None:
    code = synced_account(synced)
    for path, name in ((JOURNAL, "accountNumber"), ("generalLedgerBalance", "number")):
        old, body = f'"{name}":"{code}"', f'"{name}":" {code} "'
        synced.sandbox.fault(path, kind="replace", times=1000, old=old, body=body)
    synced.sync(full=True)
    accounts = {row.account for row in (*synced.rows("entry_lines"), *synced.rows("balances"))}
    assert code in accounts
    assert accounts == {account.strip() for account in accounts}


def synced_account(synced: Synced) -> str:
    """Return an account with entries, after a first sync."""
    synced.sync()
    return str(synced.rows("entry_lines")[0].account)
