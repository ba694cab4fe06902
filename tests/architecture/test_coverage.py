"""`make coverage` counts the code of other processes that tests start and end, such as workers."""

import os
import subprocess
import sys
from pathlib import Path

from coverage import CoverageData

from tests.fixtures.environment import KOPPEL, REPOSITORY

STARTS_A_WORKER = """
import subprocess, sys
from tests.fixtures.stack import end_process

worker = "import time, koppel.kit.clock; koppel.kit.clock.now(); print('works', flush=True); time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE)
assert process.stdout.readline() == b"works\\n"
end_process(process)
"""


def test_a_process_that_a_test_ends_is_counted(tmp_path: Path) -> None:
    program, data_file = tmp_path / "program.py", tmp_path / "data"
    program.write_text(STARTS_A_WORKER)
    settings = [f"--rcfile={REPOSITORY / 'pyproject.toml'}", f"--data-file={data_file}"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    subprocess.run(
        [sys.executable, "-m", "coverage", "run", *settings, program],
        env={**inherited, "PYTHONPATH": str(REPOSITORY)},
        check=True,
    )
    counted: set[str] = set()
    for part in tmp_path.glob("data.*"):
        data = CoverageData(str(part))
        data.read()
        counted |= data.measured_files()
    assert str(KOPPEL / "kit" / "clock.py") in counted
