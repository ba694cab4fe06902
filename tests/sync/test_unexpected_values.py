"""An unexpected value of the vendor's costs at most its record; the run succeeds."""

import asyncio
import json
import re
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from koppel.books.models import EntryLine
from koppel.books.storage.writer import TEXT_MAX
from koppel.connectors.visma_net import master_data
from koppel.connectors.visma_net.cursors import ChangesRead
from koppel.kit.http.client import Response
from koppel.kit.tenancy import organisation_scope
from koppel.sync.models import RejectedRecord
from tests.sync.factories import Synced

JOURNAL = "journaltransaction"
STAMP = '"lastModifiedDateTime":"'


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00", "0999-99-99", "1732791600", "yesterday"])
@pytest.mark.parametrize("path", ["customer|supplier", JOURNAL])
def test_a_stamp_that_is_no_moment_is_not_followed(synced: Synced, path: str, stamp: str) -> None:
    """Some systems write the first day of their calendar where there is none."""
    synced.sandbox.fault(path, kind="replace", old=STAMP, body=f'{STAMP}{stamp}","was":"', times=500)
    run = synced.sync()
    assert run.state == "succeeded", run.reason
    assert synced.sync().state == "succeeded"
    assert synced.is_exact()


@pytest.mark.parametrize(
    ("path", "old", "odd"),
    [
        ("/v1/vat$", '"vatId":"', r'"vatId":"\u0000'),
        ("/v1/account$", '"accountCD":"1', r'"accountCD":"1\u0000'),
        (JOURNAL, '"accountNumber":"1', r'"accountNumber":"1\u0000'),
        (JOURNAL, '"batchNumber":"', r'"batchNumber":"\u0000'),
        (JOURNAL, '"lineNumber":1,', '"lineNumber":99999999999,'),
        ("dimension/", '"valueId":"', r'"valueId":"\u0000'),
        ("dimension/", '{"valueId":"', 'null,{"valueId":"'),
        ("creditTerm", '"dueDay1":', '"dueDay1":9999999999,"was":'),
        (JOURNAL, '"debitAmount":', '"debitAmount":1e-20000,"was":'),
        (JOURNAL, '"debitAmount":', '"debitAmount":NaN,"was":'),
        (JOURNAL, '"financialPeriod":"', '"financialPeriod":"2026300000","was":"'),
        ("/v1/vat$", '"vatId":"', r'"vatId":"\ud800x'),
        ("dimension/", '"valueId":"', r'"valueId":"\ud800x'),
    ],
)
@pytest.mark.parametrize("has_full_read", [False, True])
def test_a_value_that_postgresql_cannot_store_is_rejected_and_the_rest_is_read(
    synced: Synced, path: str, old: str, odd: str, has_full_read: bool
) -> None:
    if has_full_read:
        synced.sync()
    synced.sandbox.fault(path, kind="replace", old=old, body=odd, skip=int(has_full_read and path == JOURNAL))
    run = synced.sync(full=has_full_read)
    assert run.state == "succeeded", run.reason
    with organisation_scope(synced.actor.organisation_id):
        assert RejectedRecord.objects.exists()
    assert synced.sync(full=True).state == "succeeded"
    assert synced.is_exact()
    with organisation_scope(synced.actor.organisation_id):
        assert not RejectedRecord.objects.exists()


def test_endless_texts_are_cut_visibly_and_no_money_is_lost(synced: Synced) -> None:
    endless = f'"transactionDescription":"{"Kosten " * 5000}'
    synced.sandbox.fault(JOURNAL, kind="replace", old='"transactionDescription":"', body=endless)
    synced.sandbox.fault("/v1/vat$", kind="replace", old='"vatId":"', body=f'"vatId":"{"9" * 5000}')
    run = synced.sync(full=True)
    assert run.state == "succeeded", run.reason
    with organisation_scope(synced.actor.organisation_id):
        lines = EntryLine.objects.filter(description__startswith="Kosten Kosten")
        assert lines.exists()
        for line in lines:
            assert len(line.description or "") == TEXT_MAX
            assert re.search(r"… \[35\d\d\d\]$", line.description or ""), "It says how long it was."
            assert len(bytes(line.raw)) > 35_000, "The payload has all of it."
        reasons = set(RejectedRecord.objects.values_list("reason", flat=True))
        assert EntryLine.objects.filter(deleted_at=None).exists()
    assert reasons
    assert all("Koppel reads %(max)s at most" in reason for reason in reasons)
    assert synced.sync(full=True).state == "succeeded"
    assert synced.is_exact()


def test_a_text_that_is_not_valid_json_is_repaired_where_everything_is_needed(synced: Synced) -> None:
    body = r'{"description":"x\ud800y",'
    synced.sandbox.fault("financialPeriod", kind="replace", old="{", body=body)
    run = synced.sync()
    assert run.state == "succeeded", run.reason
    assert synced.is_exact()


def test_an_absurd_total_ends_no_run(synced: Synced) -> None:
    synced.sandbox.fault(JOURNAL, kind="replace", old='"totalCount":', body='"totalCount":99999999999,"was":')
    run = synced.sync()
    assert run.state == "succeeded", run.reason
    assert synced.is_exact()


def test_a_page_of_which_nothing_can_be_understood_is_not_the_last(synced: Synced) -> None:
    """A batch may fill a page: that it is odd says nothing about those behind it."""
    synced.paging(page_size_max=2)
    synced.sandbox.fault(JOURNAL, kind="replace", old='"batchNumber":"', body='"batchNumber":7,"was":"')
    run = synced.sync()
    assert run.state == "succeeded", run.reason
    lines = {f"{key} {number}" for key, numbers in synced.source_keys().items() for number in numbers}
    assert len(lines - synced.keys("entry_lines")) == 2, "those of one page"
    assert synced.sync().state == "succeeded"
    assert synced.is_exact()


def test_a_part_of_a_list_that_could_not_be_understood_is_read_again_whatever_the_others_say() -> None:
    """Of customers one is odd, a supplier changed later: the customers that changed before it are not passed
    over.
    """

    class Answering:
        base_urls = MappingProxyType({"api": "http://vendor"})
        consent_mode = "service"
        company = None

        async def send(self, _method: str, url: str, **_more: Any) -> Response:
            is_customer = url.endswith("customer")
            stamp = "2026-03-04T10:00:00" if is_customer else "2026-03-04T12:00:00"
            rows = [{"internalId": None if is_customer else 7, "number": "1", "lastModifiedDateTime": stamp}]
            return Response(
                status=200, headers={"content-type": "application/json"}, body=json.dumps(rows).encode()
            )

    at = ChangesRead(
        since="2026-03-04T07:50:00", newest="2026-03-04T09:00:00", resume_from="2026-03-04T09:00:00"
    )
    customers = asyncio.run(master_data.read(Answering(), "contacts", at))  # type: ignore[arg-type]
    assert len(customers.rejected) == 1
    following = msgspec.json.decode(customers.next_cursor or "", type=ChangesRead)
    suppliers = asyncio.run(master_data.read(Answering(), "contacts", following))  # type: ignore[arg-type]
    assert len(suppliers.records) == 1
    assert '"newest":"2026-03-04T09:00:00"' in str(suppliers.incremental_cursor)
