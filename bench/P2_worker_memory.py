"""Peak memory of a worker that imports 100,000 entry lines, and of one that imports 2,000,000.

It must not grow with the number of lines.
"""

from pathlib import Path
from typing import Any

from bench._app import bench_app, delete_books, entries_import, worker

LINES, COPIES, MEGABYTES_MAX, GROWTH_MAX = 100_000, 20, 180, 1.1


def run() -> list[dict[str, Any]]:
    with bench_app(companies=2, lines=LINES) as app:
        company = app.company(1)
        with worker(app) as process:
            entries_import(company)
            small = _peak_megabytes(process.pid)
        delete_books(app)
        company.paging(copies=COPIES)
        with worker(app) as process:
            entries_import(company, timeout_seconds=1800)
            large = _peak_megabytes(process.pid)
    growth = large / small
    return [
        {
            "name": "peak memory, 100,000 lines",
            "value": round(small),
            "unit": "MB",
            "to_reach": MEGABYTES_MAX,
            "holds": small <= MEGABYTES_MAX,
        },
        {
            "name": "peak memory, 2,000,000 lines",
            "value": round(large),
            "unit": "MB",
            "to_reach": MEGABYTES_MAX,
            "holds": large <= MEGABYTES_MAX,
        },
        {
            "name": "growth at 20 times the lines",
            "value": round(growth, 2),
            "unit": "times",
            "to_reach": GROWTH_MAX,
            "holds": growth <= GROWTH_MAX,
        },
    ]


def _peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
