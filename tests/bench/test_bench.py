"""The command that runs benchmarks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as bench
from tests.fixtures.environment import REPOSITORY


def test_an_unknown_name_is_answered_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["no_such_thing"]) == bench.UNKNOWN
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"There is no benchmark 'no_such_thing'; there are: {', '.join(bench.available())}.\n"


def test_every_benchmark_is_described_and_every_described_one_exists() -> None:
    table = (REPOSITORY / "bench" / "README.md").read_text().partition("## Benchmarks and targets")[2]
    described = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(described) == bench.available()


def test_a_benchmark_prints_nothing_but_its_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Talkative:
        @staticmethod
        def run() -> list[dict[str, object]]:
            sys.stdout.write("warming up\n")
            return [{"name": "wait", "value": 2, "unit": "s", "to_reach": 1, "holds": False}]

    monkeypatch.setattr(bench, "available", lambda: ["talkative"])
    monkeypatch.setattr(bench, "stored_figures", dict)
    monkeypatch.setattr(bench.importlib, "import_module", lambda _name: Talkative)
    assert bench.main([]) == bench.MISSED
    assert json.loads(capsys.readouterr().out) == {
        "id": "talkative",
        "name": "wait",
        "value": 2,
        "unit": "s",
        "to_reach": 1,
        "holds": False,
        "compared_with": None,
        "last": None,
        "times_last": None,
    }


def test_a_figure_stands_beside_the_one_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results.jsonl")
    figure = {"name": "wait", "value": 4, "unit": "s"}
    assert bench.complete("some", figure, bench.stored_figures())["last"] is None
    bench.store_figures(
        [{"id": "some", "name": "wait", "value": 2}, {"id": "some", "name": "renamed since", "value": 3}]
    )
    bench.store_figures([{"id": "other", "name": "wait", "value": 1}])
    figure_with_history = bench.complete("some", figure, bench.stored_figures())
    assert (figure_with_history["last"], figure_with_history["times_last"]) == (2, 2.0)
    bench.store_figures([figure_with_history])
    assert bench.stored_figures() == {("other", "wait"): 1, ("some", "wait"): 4}


@pytest.mark.parametrize(
    "figure", [{"name": "wait", "value": 2}, {"name": "wait", "value": 2, "unit": "s", "to_reach": 1}]
)
def test_a_figure_that_lacks_something_is_refused(figure: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is not of the form"):
        bench.complete("some", figure)


def test_what_begins_with_an_underscore_is_no_benchmark(tmp_path: Path) -> None:
    for name in ("__init__", "__main__", "_books", "pages"):
        (tmp_path / f"{name}.py").touch()
    assert bench.available(tmp_path) == ["pages"]


def test_an_id_is_what_the_name_of_its_module_begins_with(tmp_path: Path) -> None:
    for name in ("P1_first_import", "embedded_postgres"):
        (tmp_path / f"{name}.py").touch()
    assert bench.modules(tmp_path) == {"P1": "P1_first_import", "embedded_postgres": "embedded_postgres"}


@pytest.mark.drill
def test_several_ids_run_each_in_a_process_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """A process is bound to the database of its first benchmark."""
    assert bench.main(["embedded_postgres", "embedded_postgres"]) in (0, bench.MISSED)
    figures = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    names = [figure["name"] for figure in figures]
    assert len(names) == 2 * len(set(names)) > 0


TWO_BENCHMARKS = """
import sys
from bench import __main__ as bench

class Benchmark:
    @staticmethod
    def run():
        from bench._mock_tenants import in_database
        with in_database():
            from koppel.kit.tenancy import installation_scope
            from koppel.organisations.models import Organisation
            with installation_scope("benchmark"):
                Organisation.objects.create(name="Benchmark")
                return [{"name": "organisations", "value": Organisation.objects.count(), "unit": ""}]

for name in ("first", "second"):
    sys.modules[f"bench.{name}"] = Benchmark
    bench.measured(name)
"""


def test_two_benchmarks_in_one_process_have_a_database_each() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO_BENCHMARKS], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(figure["id"], figure["value"]) for figure in figures] == [("first", 1), ("second", 1)]
