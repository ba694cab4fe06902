"""What is kept running is kept running for as long as it takes."""

import sys
import time

from koppel.cli.supervisor import Program, Supervisor


def test_a_program_that_fails_for_days_does_not_bring_down_what_keeps_it_running() -> None:
    supervisor = Supervisor(None)
    program = Program("fails", [sys.executable, "-c", "raise SystemExit(1)"], {})
    supervisor.start(program)
    assert program.process is not None
    try:
        program.process.wait()
        program.failures, program.started_at = 5000, time.monotonic()
        supervisor.tick()
        assert program.failures == 5000, "it waits for its turn"
    finally:
        supervisor.stop()
