"""The first sync reads everything; a second sync of an unchanged ledger writes nothing."""

from decimal import Decimal

from tests.sync.factories import Synced


def test_the_first_sync_brings_every_record_exactly_once(synced: Synced) -> None:
    run = synced.sync()
    assert run.state == "succeeded", run.reason
    facts = synced.facts()
    lines = synced.rows("entry_lines")
    assert len(synced.keys("entries")) == facts["entries"]
    assert len(lines) == facts["entry_lines"]
    assert sum((line.debit for line in lines), Decimal(0)) == Decimal(facts["debit"])
    assert len(synced.rows("accounts")) == facts["accounts"]
    assert synced.administration_status() == "active"


def test_a_second_sync_with_nothing_changed_writes_nothing_to_the_books(synced: Synced) -> None:
    synced.sync()
    before = synced.versions()
    run = synced.sync()
    assert run.state == "succeeded"
    assert {
        key: (part.added, part.changed, part.deleted) for key, part in synced.run_resources(run).items()
    } == dict.fromkeys(synced.run_resources(run), (0, 0, 0))
    assert synced.versions() == before


def test_an_actual_ledger_has_a_journal_for_every_workspace_that_the_vendor_describes(synced: Synced) -> None:
    synced.sync()
    modules = {journal.module for journal in synced.rows("journals") if journal.balance_type == "actual"}
    assert modules == {"GL", "AP", "AR", "CA", "CM", "IN", "SO", "PO", "DR", "FA", "EP", "PM", "TX", "CR"}
