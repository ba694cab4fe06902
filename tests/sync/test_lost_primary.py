"""The primary of two database servers is lost, as in `bench/H3_failover.py`."""

import json
import subprocess
import sys

import pytest

from bench import __main__ as bench
from bench.H3_failover import COMPANIES, missing_requirement
from tests.fixtures.environment import REPOSITORY
from tests.fixtures.requirements import DEBIAN_POSTGRESQL, skip_without

FAILING_PAGES_SECONDS_MAX = 60
"""On a busy machine; a few seconds on a quiet one."""


@pytest.mark.drill
@pytest.mark.kill
def test_a_promoted_standby_goes_on_without_a_lost_consent_or_line() -> None:
    if missing_requirement():
        skip_without(DEBIAN_POSTGRESQL)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "H3"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, bench.MISSED), done.stdout + done.stderr[-3000:]
    figures = {one["name"]: one["value"] for one in map(json.loads, done.stdout.splitlines())}
    assert figures["consents lost"] == figures["families revoked at the vendor"] == 0, done.stdout
    assert figures["lines lost"] == figures["lines doubled"] == 0, done.stdout
    assert figures["audit entries lost of those confirmed"] == 0, done.stdout
    assert figures["administrations active"] == COMPANIES
    assert figures["committed pages that the standby lacked"] > 0, "The failover lost nothing to read again."
    assert figures["last failing page after the promotion"] < FAILING_PAGES_SECONDS_MAX
    assert figures["`koppel check` names the synchronous standby"] == 1
    assert figures["`koppel check` misses it afterwards"] == 1
