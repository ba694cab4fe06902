"""1 % of the entries are deleted at the source: the next full read must flag exactly these.

Once with every page arriving, once with pages that fail during the full read, which then continues.
"""

import random
from typing import TYPE_CHECKING, Any

from bench._app import bench_app

if TYPE_CHECKING:
    from tests.sync.factories import Synced

LINES, SHARE, SEED = 100_000, 0.01, 6


def run() -> list[dict[str, Any]]:
    with bench_app(companies=2, lines=LINES) as app:
        company = app.company(1)
        assert company.sync().state == "succeeded"
        plain = _compare(company, failing=False)
        torn = _compare(company, failing=True)
    return [*_figures("every page came", plain), *_figures("pages failed", torn)]


def _compare(company: "Synced", *, failing: bool) -> tuple[int, int, int]:
    """Return (entries deleted at the source, of these flagged, others flagged)."""
    held = company.keys("entries")
    deleted_batches = random.Random(SEED).sample(company.batches(), round(len(held) * SHARE))
    company.change(delete=sorted({one["number"] for one in deleted_batches}))
    gone = held - set(company.source_keys())
    if failing:
        for skip in (5, 30, 60):
            company.sandbox.fault("journaltransaction", status=500, skip=skip)
    run = company.sync(full=True)
    for _round in range(5):
        if run.state == "queued":
            run = company.perform(run.pk)
    assert run.state == "succeeded", run.reason
    flagged = held - company.keys("entries")
    return len(gone), len(flagged & gone), len(flagged - gone)


def _figures(name: str, totals: tuple[int, int, int]) -> list[dict[str, Any]]:
    gone, flagged, wrong = totals
    return [
        {
            "name": f"deleted entries flagged, {name}",
            "value": flagged,
            "unit": f"of {gone}",
            "to_reach": gone,
            "holds": flagged == gone,
        },
        {
            "name": f"false deletions, {name}",
            "value": wrong,
            "unit": "entries",
            "to_reach": 0,
            "holds": wrong == 0,
        },
    ]
