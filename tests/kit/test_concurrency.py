"""Limits on simultaneous work."""

import threading

import pytest

from koppel.kit.http import outbound_budget
from koppel.kit.http.concurrency import ConcurrencyLimit, NoSlot
from koppel.kit.http.outbound_budget import CALLS_MAX, CallKind, CallsBusy, call_slot


def test_a_slot_is_of_one_key_and_free_again_after_an_error() -> None:
    limit = ConcurrencyLimit(1)
    with limit.slot(1), limit.slot(2), pytest.raises(NoSlot):
        limit.slot(1).__enter__()
    with pytest.raises(ValueError, match="broken"), limit.slot(1):
        raise ValueError("broken")
    with limit.slot(1):
        pass


def test_all_keys_together_have_a_limit_too() -> None:
    limit = ConcurrencyLimit(2, total=3)
    with limit.slot(1), limit.slot(1), limit.slot(2), pytest.raises(NoSlot):
        limit.slot(3).__enter__()
    with limit.slot(3):
        pass


def test_a_waiting_thread_gets_the_slot_that_becomes_free() -> None:
    limit, holds, has_slot = ConcurrencyLimit(1), threading.Event(), threading.Event()

    def wait_for_slot() -> None:
        holds.wait(10)
        with limit.slot(1, wait_seconds=10):
            has_slot.set()

    thread = threading.Thread(target=wait_for_slot)
    thread.start()
    with limit.slot(1):
        holds.set()
        assert not has_slot.wait(0.02)
    assert has_slot.wait(10)
    thread.join(10)


def test_calls_of_one_kind_leave_slots_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_budget, "WAITING_SECONDS", 0.01)
    held = [call_slot(CallKind.VENDOR) for _number in range(CALLS_MAX)]
    for slot in held:
        slot.__enter__()
    with pytest.raises(CallsBusy):
        call_slot(CallKind.VENDOR).__enter__()
    with call_slot(CallKind.IDENTITY_PROVIDER):
        pass
    for slot in held:
        slot.__exit__(None, None, None)
    with call_slot(CallKind.VENDOR):
        pass
