"""Consistency checks after a sync, and issues that stay open until resolved."""

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models import F

from koppel.books.models import Entry
from koppel.issues.models import Issue
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import organisation_scope
from koppel.sync.engine import run_completion
from koppel.sync.models import Run
from tests.sync.factories import Synced

JOURNAL = "journaltransaction"


def open_values(synced: Synced, code: str) -> set[str]:
    """What open issues of this code name."""
    with organisation_scope(synced.actor.organisation_id):
        issues = Issue.objects.filter(code=code, subject_id=synced.administration_id, resolved_at=None)
        return {str(one.context.get("number") or one.context.get("resource")) for one in issues}


def drop_line_of_entry(synced: Synced) -> str:
    batch = next(one for one in synced.batches() if len(one["lines"]) > 1)
    synced.change(drop_lines={batch["number"]: batch["lines"][:1]})
    return str(batch["number"])


def test_an_unbalanced_entry_is_an_issue_until_it_is_gone(synced: Synced) -> None:
    synced.sync()
    assert open_values(synced, "entry_unbalanced") == set()
    number = drop_line_of_entry(synced)
    synced.sync()
    assert open_values(synced, "entry_unbalanced") == {number}
    synced.change(delete=[number])
    synced.sync(full=True)
    assert open_values(synced, "entry_unbalanced") == set()


def test_the_check_of_totals_joins_nothing(synced: Synced) -> None:
    """Without statistics, as after a first import, a join reads all lines of the books for each entry."""
    values = {"administration": synced.administration_id, "posted": "posted", "actual": "actual", "limit": 10}
    with organisation_scope(synced.actor.organisation_id), connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + load_statements("koppel.sync")["list_entries_with_another_total"], values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Aggregate" in plan
    assert "Join" not in plan
    assert "Nested Loop" not in plan


def test_an_entry_with_another_total_than_its_lines_is_an_issue_until_they_agree(synced: Synced) -> None:
    """The lines balance among themselves: only the stated total tells that some are missing."""
    synced.sync()
    assert open_values(synced, "entry_total_differs") == set()
    first = synced.batches()[0]
    second = next(batch for batch in synced.batches() if batch["number"] != first["number"])
    with organisation_scope(synced.actor.organisation_id):
        entries = Entry.objects.filter(administration_id=synced.administration_id)
        entries.filter(number=first["number"], module=first["module"]).update(
            debit_total=F("debit_total") + 1
        )
        entries.filter(number=second["number"]).update(debit_total=0, credit_total=0)
    synced.change(edit={second["number"]: "A change, so that the books are checked"})
    synced.sync()
    assert open_values(synced, "entry_total_differs") == {first["number"]}
    with organisation_scope(synced.actor.organisation_id):
        entries.filter(number=first["number"], module=first["module"]).update(
            debit_total=F("debit_total") - 1
        )
    synced.sync()
    assert open_values(synced, "entry_total_differs") == set()


def test_opening_balances_that_do_not_add_up_to_zero_are_an_issue_of_their_year(synced: Synced) -> None:
    synced.sync()
    assert open_details(synced, "opening_unbalanced") == {}
    stated = next(row for row in synced.rows("balances") if row.opening)
    old, body = f'"beginningBalance":{stated.opening}', f'"beginningBalance":{stated.opening + 5}'
    synced.sandbox.fault("generalLedgerBalance", kind="replace", times=1000, old=old, body=body)
    synced.sync(full=True)
    assert stated.period[:4] in open_details(synced, "opening_unbalanced")
    synced.sandbox.release()
    synced.sync(full=True)
    assert open_details(synced, "opening_unbalanced") == {}


def test_years_that_do_not_join_are_an_issue_of_the_later_one_until_they_do(synced: Synced) -> None:
    synced.sync()
    assert open_details(synced, "years_not_joined") == {}
    stated = sorted(synced.rows("balances"), key=lambda row: row.period)
    year = sorted({row.period[:4] for row in stated})[1]
    row = next(row for row in stated if row.period[:4] == year and row.account == "1500" and row.opening)
    old, body = f'"beginningBalance":{row.opening}', f'"beginningBalance":{row.opening + 5}'
    synced.sandbox.fault("generalLedgerBalance", kind="replace", times=1000, old=old, body=body)
    synced.sync(full=True)
    details = open_details(synced, "years_not_joined")
    assert set(details) == {year}
    assert (details[year]["count"], details[year]["accounts"]) == (1, "1500 (5.00)")
    assert details[year]["before"] == f"{int(year) - 1}"
    synced.sandbox.release()
    synced.sync(full=True)
    assert open_details(synced, "years_not_joined") == {}


def open_details(synced: Synced, code: str) -> dict[str, Any]:
    """Return the facts of the open issues of this code by year."""
    with organisation_scope(synced.actor.organisation_id):
        issues = Issue.objects.filter(code=code, subject_id=synced.administration_id, resolved_at=None)
        return {issue.detail_key: issue.context for issue in issues}


def test_a_draft_and_an_entry_of_a_statistical_ledger_may_have_one_side(synced: Synced) -> None:
    synced.sandbox.fault(JOURNAL, kind="replace", times=1000, old='"status":"Posted"', body='"status":"Hold"')
    drop_line_of_entry(synced)
    synced.sync()
    assert {row.status for row in synced.rows("entries")} == {"hold"}
    assert open_values(synced, "entry_unbalanced") == set()
    synced.sandbox.release()
    synced.sandbox.fault(
        "/v1/ledger", kind="replace", old='"balanceType":"Actual"', body='"balanceType":"Statistical"'
    )
    synced.sync(full=True)
    assert {row.status for row in synced.rows("entries")} == {"posted"}
    assert open_values(synced, "entry_unbalanced") == set()
    synced.sync()
    assert len(open_values(synced, "entry_unbalanced")) == 1


@pytest.mark.kill
def test_what_a_worker_wrote_before_it_died_is_checked_by_the_next_one(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died between its last page and the end of its run. Its successor reads nothing new."""
    synced.sync()
    number = drop_line_of_entry(synced)

    def dies(*_arguments: Any, **_named: Any) -> bool:
        raise OperationalError("the connection is gone")

    with monkeypatch.context() as patch:
        patch.setattr(run_completion, "succeed", dies)
        run = synced.sync()
    assert run.state == "queued"
    assert synced.perform(run.pk).state == "succeeded"
    assert open_values(synced, "entry_unbalanced") == {number}


def test_what_a_run_wrote_before_it_was_stopped_is_checked_by_the_next_one(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.sync()
    number = drop_line_of_entry(synced)
    with monkeypatch.context() as patch:
        patch.setattr(run_completion, "succeed", lambda *_given, **_named: False)
        synced.sync()
    synced.cancel()
    assert synced.sync().state == "succeeded"
    assert open_values(synced, "entry_unbalanced") == {number}


def test_a_run_with_only_rejected_records_raises_an_issue(synced: Synced) -> None:
    synced.sync()
    number = synced.batches()[3]["number"]
    synced.change(edit={number: "Corrected at the source"})
    synced.sandbox.fault(JOURNAL, kind="replace", old='"batchNumber":"', body='"batchNumber":7,"was":"')
    assert synced.part(synced.sync(), "entries").rejected >= 1
    assert open_values(synced, "records_rejected") == {"entries"}
    synced.sync(full=True)
    assert open_values(synced, "records_rejected") == set()


def queued_runs(synced: Synced) -> list[Run]:
    with organisation_scope(synced.actor.organisation_id):
        return list(Run.objects.filter(state="queued"))


def test_totals_that_begin_to_differ_start_a_full_check_once(synced: Synced) -> None:
    """Deleted records are announced nowhere: only the totals show that one is missing."""
    synced.sync()
    assert queued_runs(synced) == [], "a first read has seen everything"
    drop_line_of_entry(synced)
    gone = synced.batches()[-1]["number"]
    synced.change(delete=[gone])
    assert synced.sync().state == "succeeded"
    assert not synced.is_exact()
    (check,) = queued_runs(synced)
    assert (check.full, check.trigger, check.requested_by) == (True, "schedule", "")
    assert synced.perform(check.pk).state == "succeeded"
    assert synced.is_exact()
    assert queued_runs(synced) == []
    synced.sync()
    assert queued_runs(synced) == [], "a difference that stays is no reason for another"
