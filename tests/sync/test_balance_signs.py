"""A source that states credit balances of liabilities and income as positive, synced from start to end."""

import json
from decimal import Decimal
from typing import Any

import pytest

from koppel.books.reports.period_selection import fiscal_years
from koppel.books.reports.trial_balance import trial_balance
from koppel.kit.tenancy import organisation_scope
from koppel.sync.models import Checkpoint
from tests.sync.factories import Synced

Figures = dict[str, tuple[Decimal, Decimal, Decimal]]


def figures(synced: Synced) -> Figures:
    """Return opening balance, movement and closing balance by year and account: each is as stated."""
    balances: Figures = {}
    with organisation_scope(synced.actor.organisation_id):
        for year, last in fiscal_years(synced.administration_id).items():
            report = trial_balance(synced.administration_id, year, last)
            assert report.is_matched, (year, report.unmatched, report.total("opening"))
            for account in report.accounts:
                assert account.opening + account.movement == account.stated
                balances[f"{year} {account.code}"] = (account.opening, account.movement, account.closing)
    return balances


def state_balances(synced: Synced, **values: Any) -> int:
    """Set `signs`, or `touch` periods at the source."""
    answer = synced.sandbox.control(f"companies/{synced.company_id}/balances", values)
    return int(answer["count"])


def last_period(synced: Synced) -> str:
    return max(row.period for row in synced.rows("balances"))


@pytest.fixture
def debit_figures(synced: Synced) -> Figures:
    """What the books are, as a source with debit-positive balances tells."""
    synced.sync()
    read = figures(synced)
    assert any(opening < 0 and not movement for opening, movement, _closing in read.values()), "still ones"
    with organisation_scope(synced.actor.organisation_id):
        Checkpoint.objects.filter(administration_id=synced.administration_id).delete()
    return read


@pytest.mark.parametrize("page_size", [1000, 7, 3, 1])
def test_a_first_import_of_balances_by_account_matches(synced: Synced, page_size: int) -> None:
    """Also where the first pages have only balances that did not move, which do not show their sign."""
    state_balances(synced, signs="account")
    synced.paging(page_size_max=page_size)
    assert synced.sync().state == "succeeded"
    balances = figures(synced).values()
    assert any(opening < 0 and not movement for opening, movement, _closing in balances), "still ones"


@pytest.mark.parametrize("page_size", [1000, 3])
def test_balances_by_account_give_the_same_trial_balance(
    synced: Synced, debit_figures: Figures, page_size: int
) -> None:
    state_balances(synced, signs="account")
    synced.paging(page_size_max=page_size)
    assert synced.sync(full=True).state == "succeeded"
    assert figures(synced) == debit_figures


def test_signs_that_only_a_change_shows_are_those_of_all_balances(
    synced: Synced, debit_figures: Figures
) -> None:
    """The checkpoint does not know them, as after a full read of balances that did not move."""
    state_balances(synced, signs="account")
    synced.sync(full=True)
    with organisation_scope(synced.actor.organisation_id):
        checkpoint = Checkpoint.objects.get(administration_id=synced.administration_id, resource="balances")
        forgotten = {**json.loads(checkpoint.incremental_cursor), "signs": ""}
        checkpoint.incremental_cursor = json.dumps(forgotten)
        checkpoint.save()
    state_balances(synced, touch=[last_period(synced)])
    run = synced.sync()
    assert synced.part(run, "balances").pages >= len({row.period for row in synced.rows("balances")})
    assert json.loads(synced.checkpoint("balances").incremental_cursor)["signs"] == "account"
    assert figures(synced) == debit_figures


def test_a_delta_after_it_and_a_read_from_the_beginning_keep_the_signs(
    synced: Synced, debit_figures: Figures
) -> None:
    state_balances(synced, signs="account")
    synced.paging(page_size_max=5)
    synced.sync(full=True)
    assert state_balances(synced, touch=[last_period(synced)]) > 0
    run = synced.sync()
    assert synced.part(run, "balances").pages > 0
    assert figures(synced) == debit_figures
    with organisation_scope(synced.actor.organisation_id):
        Checkpoint.objects.filter(administration_id=synced.administration_id).update(
            resume_cursor="", incremental_cursor=""
        )
    synced.sync()
    assert figures(synced) == debit_figures
    state_balances(synced, touch=[last_period(synced)])
    synced.sync()
    assert figures(synced) == debit_figures
