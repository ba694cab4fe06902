"""Which request goes on when several are processed in one process."""

from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event, Thread

import pytest

from koppel.kit.tabular.column_types import FileColumn
from koppel.kit.tabular.writers import YIELD_ROWS, Format, write_table
from koppel.kit.web import precedence
from koppel.kit.web.precedence import YIELD_SECONDS, Precedence, RunningRequest


@pytest.mark.parametrize(
    ("used", "others", "yields"),
    [
        pytest.param(10.0, 1.0, True, id="much more"),
        pytest.param(10.0, 6.0, False, id="alike"),
        pytest.param(0.4, 0.0, False, id="both little"),
        pytest.param(1.0, 10.0, False, id="less"),
    ],
)
def test_a_client_that_used_much_more_yields(used: float, others: float, yields: bool) -> None:
    request, other = RunningRequest("a", used, True, 0.0), RunningRequest("b", others, True, 0.0)
    assert request.must_yield_to(other, 0.0) is yields


def test_yielding_ends() -> None:
    """After two seconds and as long as the request has worked itself."""
    other, request = RunningRequest("b", 0.0, True, 9.0), RunningRequest("a", 50.0, True, 0.0)
    request.yielded_seconds = YIELD_SECONDS + 4.0
    assert not request.must_yield_to(other, 10.0)
    assert request.must_yield_to(other, 10.5)
    assert not request.must_yield_to(RunningRequest("a", 0.0, True, 9.0), 10.5), "its own client's"


def test_nobody_yields_to_a_request_that_waits_for_another_system() -> None:
    """And its waiting is no work."""
    now = [0.0]
    requests = Precedence(lambda: now[0])
    busy = RunningRequest("busy", 30.0, True, 0.0)
    with requests.request("quiet", 0.0, may_yield=False) as request:
        assert busy.must_yield_to(request, now[0])
        with requests.call():
            now[0] += 20.0
            assert not busy.must_yield_to(request, now[0])
            assert request.used(now[0]) == 0.0
        now[0] += 1.0
        assert busy.must_yield_to(request, now[0])
        assert (request.used(now[0]), request.waited_seconds) == (1.0, 20.0)
    with requests.call():
        pass


def test_an_export_waits_between_rows_for_the_page_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = Precedence()
    monkeypatch.setattr(precedence, "REQUESTS", requests)
    monkeypatch.setattr("koppel.kit.tabular.writers.REQUESTS", requests)
    written, has_begun, may_go_on = [], Event(), Event()

    def rows() -> Iterator[list[str]]:
        for number in range(3 * YIELD_ROWS):
            written.append(number)
            if number == 0:
                has_begun.set()
                may_go_on.wait(5)
            yield [str(number)]

    def export() -> None:
        with requests.request("busy", 30.0, may_yield=True):
            write_table(Format.PLAIN_CSV, [FileColumn(key="name", title="Name")], rows()).close()

    exporting = Thread(target=export)
    with ExitStack() as page:
        exporting.start()
        assert has_begun.wait(5)
        page.enter_context(requests.request("quiet", 0.1, may_yield=True))
        may_go_on.set()
        exporting.join(0.2)
        assert len(written) <= YIELD_ROWS + 1, "It waits."
    exporting.join(5)
    assert len(written) == 3 * YIELD_ROWS, "It goes on when the page is complete."


def test_a_request_that_changes_something_does_not_wait() -> None:
    """It may hold locks for which the other waits."""
    requests = Precedence()
    is_over = Event()

    def change() -> None:
        with requests.request("busy", 30.0, may_yield=False):
            requests.give_way()
        is_over.set()

    with requests.request("quiet", 0.1, may_yield=True):
        Thread(target=change).start()
        assert is_over.wait(1)
