"""Pitfalls of the real API's paging, simulated by the sandbox; the books must equal the source."""

import json
import re
from decimal import Decimal

import pytest

from koppel.kit.tenancy import organisation_scope
from koppel.sync.models import RejectedRecord
from tests.sync.factories import Synced

JOURNAL = "journaltransaction"


def test_a_page_size_that_is_cut_silently(synced: Synced) -> None:
    synced.paging(page_size_max=7)
    assert synced.sync().state == "succeeded"
    assert synced.is_exact()
    assert len(synced.rows("contacts")) == len(synced.keys("contacts")) > 7


def test_a_page_size_that_is_cut_while_metadata_says_otherwise(synced: Synced) -> None:
    synced.paging(page_size_max=7, stated_page_size_max=1000)
    assert synced.sync().state == "succeeded"
    assert synced.is_exact()


def test_a_split_batch_is_one_entry_and_its_head_changes_nothing(synced: Synced) -> None:
    synced.sync()
    before = synced.versions()
    synced.paging(page_size_max=2)
    run = synced.sync(full=True)
    assert synced.part(run, "entries").changed == 0
    assert synced.versions()["entries"] == before["entries"]
    assert synced.versions()["entry_lines"] == before["entry_lines"]


def test_rows_inserted_and_deleted_while_a_first_read_is_paging(synced: Synced) -> None:
    synced.paging(page_size_max=5)
    numbers = [one["number"] for one in synced.batches() if one["module"] == "AR"]
    synced.change(delete=numbers[:2], after={"path": JOURNAL, "calls": 2})
    synced.change(insert={"000000": numbers[5]}, after={"path": JOURNAL, "calls": 5})
    assert synced.sync().state == "succeeded"
    synced.sync(full=True)
    assert synced.is_exact()


@pytest.mark.parametrize("calls", [1, 2, 3, 7])
def test_a_row_deleted_while_a_full_read_is_paging_hides_no_other(synced: Synced, calls: int) -> None:
    """The rows behind it move up by one page place: the one that moved over the edge of a page is on neither
    page.
    """
    synced.sync()
    synced.paging(page_size_max=5)
    numbers = [one["number"] for one in synced.batches()]
    synced.change(delete=[numbers[0]], after={"path": JOURNAL, "calls": calls})
    synced.sync(full=True)
    assert set(synced.source_keys()) <= synced.keys("entries"), "no false deletion"
    synced.sync(full=True)
    assert synced.is_exact()


def test_a_deletion_and_an_insertion_that_leave_the_total_as_it_was(synced: Synced) -> None:
    synced.sync()
    synced.paging(page_size_max=5)
    first, second = synced.batches()[0], synced.batches()[1]
    synced.change(
        delete=[first["number"]], insert={"999999": second["number"]}, after={"path": JOURNAL, "calls": 1}
    )
    synced.sync(full=True)
    assert set(synced.source_keys()) - {f"{second['module']} 999999"} <= synced.keys("entries"), (
        "no false deletion"
    )


def test_a_page_on_which_everything_is_twice(synced: Synced) -> None:
    synced.paging(page_size_max=20)
    synced.sandbox.fault(JOURNAL, kind="duplicate", times=200)
    synced.sandbox.fault("customer", kind="duplicate", times=20)
    assert synced.sync().state == "succeeded"
    assert synced.is_exact()


def test_a_period_without_entries_and_a_list_without_rows(synced: Synced) -> None:
    synced.change(delete=[one["number"] for one in synced.batches()])
    run = synced.sync()
    assert run.state == "succeeded", run.reason
    assert synced.keys("entries") == set()


@pytest.mark.parametrize("kind", ["truncate", "garbage", "html", "drop"])
def test_an_answer_that_broke_off_is_asked_for_again(synced: Synced, kind: str) -> None:
    """A connection that was dropped may be tried again at once by the HTTP client; everything else waits for
    the vendor.
    """
    synced.sandbox.fault(JOURNAL, kind=kind, skip=3)
    run = synced.sync()
    assert run.state == "queued" or kind == "drop"
    assert synced.perform(run.pk).state == "succeeded"
    assert synced.is_exact()


@pytest.mark.parametrize("amount", ['"NaN"', "1e400", '"Infinity"', "-1e18"])
def test_an_invalid_amount_is_rejected_and_the_rest_is_read(synced: Synced, amount: str) -> None:
    lines = len(synced.rows("entry_lines"))
    synced.sandbox.fault(
        JOURNAL, kind="replace", old='"creditAmount":0.0000', body=f'"creditAmount":{amount}', skip=2
    )
    run = synced.sync()
    assert run.state == "succeeded"
    with organisation_scope(synced.actor.organisation_id):
        rejected = list(RejectedRecord.objects.all())
    assert rejected
    assert all("amount" in one.reason for one in rejected)
    assert amount.encode() in bytes(rejected[0].raw)
    assert len(synced.rows("entry_lines")) > lines
    synced.sync(full=True)
    assert synced.is_exact()
    with organisation_scope(synced.actor.organisation_id):
        assert not RejectedRecord.objects.exists(), "understood later: no longer rejected"


@pytest.mark.parametrize("has_full_read", [False, True])
def test_a_record_longer_than_a_page_of_postgresql_is_kept_whole(synced: Synced, has_full_read: bool) -> None:
    """At first and later, among shorter ones, and when it is short again; screens get its beginning."""
    if has_full_read:
        synced.sync()
    long = f'"transactionDescription":"{"é" * 9000}'
    synced.sandbox.fault(
        JOURNAL, kind="replace", old='"transactionDescription":"', body=long, skip=2, times=2
    )
    assert synced.sync(full=has_full_read).state == "succeeded"
    long_lines = [one for one in synced.rows("entry_lines") if len(one.raw) > 18_000]
    assert long_lines
    assert len(long_lines) < len(synced.rows("entry_lines"))
    assert all(("é" * 9000).encode() in bytes(one.raw) for one in long_lines)
    assert all(re.fullmatch(r"é{1900,2000}… \[9\d{3}\]", str(one.description)) for one in long_lines)  # type: ignore[attr-defined]
    synced.sync(full=True)
    assert not any(len(one.raw) > 18_000 for one in synced.rows("entry_lines"))
    assert synced.is_exact()


def test_a_key_that_is_there_twice_and_a_nul_are_kept_byte_for_byte(synced: Synced) -> None:
    odd = r'"transactionDescription":"first","transactionDescription":"a\u0000b'
    synced.sandbox.fault(JOURNAL, kind="replace", old='"transactionDescription":"', body=odd, skip=2)
    assert synced.sync().state == "succeeded"
    odd_lines = [one for one in synced.rows("entry_lines") if odd.encode() in bytes(one.raw)]
    assert odd_lines
    assert all(str(one.description).startswith("a b") for one in odd_lines)  # type: ignore[attr-defined]


def test_amounts_reach_the_database_as_they_were_written(synced: Synced) -> None:
    exact = "1234567890123.0500"
    synced.sandbox.fault(
        JOURNAL, kind="replace", old='"debitAmount":0.0000', body=f'"debitAmount":{exact}', skip=2
    )
    synced.sync()
    amounts = [one.debit for one in synced.rows("entry_lines") if one.debit == Decimal(exact)]  # type: ignore[attr-defined]
    assert amounts
    assert all(str(one) == exact for one in amounts)


def test_raw_is_what_the_vendor_sent(synced: Synced) -> None:
    synced.sync()
    line = synced.rows("entry_lines")[0]
    assert json.loads(bytes(line.raw))["accountNumber"] == line.account  # type: ignore[attr-defined]
    head = json.loads(bytes(synced.rows("entries")[0].raw))
    assert "metadata" not in head
    assert "journalTransactionLines" not in head


@pytest.mark.parametrize(
    ("path", "resource", "old", "broken"),
    [
        (JOURNAL, "entries", '"batchNumber":"', '"batchNumber":7,"was":"'),
        ("customer", "contacts", '"number":"', '"number":{},"was":"'),
    ],
)
def test_an_unreadable_page_proves_no_deletion(
    synced: Synced, path: str, resource: str, old: str, broken: str
) -> None:
    """Neither its own rows nor those of the pages around it; the totals that stood in its first row are found
    elsewhere.
    """
    synced.sync()
    before = synced.keys(resource)
    synced.paging(page_size_max=5)
    synced.sandbox.fault(path, kind="replace", old=old, body=broken, skip=1)
    run = synced.sync(full=True)
    assert run.state == "succeeded", run.reason
    assert synced.part(run, resource).rejected >= 1
    assert synced.keys(resource) == before
    synced.sync(full=True)
    with organisation_scope(synced.actor.organisation_id):
        assert not RejectedRecord.objects.exists(), "met again and understood"
    assert synced.keys(resource) == before


def test_a_delta_that_could_not_be_understood_is_read_again(synced: Synced) -> None:
    synced.sync()
    number = synced.batches()[3]["number"]
    synced.change(edit={number: "Corrected at the source"})
    synced.sandbox.fault(JOURNAL, kind="replace", old='"batchNumber":"', body='"batchNumber":7,"was":"')
    assert synced.part(synced.sync(), "entries").rejected >= 1
    assert not synced.rows("entries", description="Corrected at the source")
    synced.sync()
    assert synced.rows("entries", description="Corrected at the source")
