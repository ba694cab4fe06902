"""The administration list at 10,000 administrations over HTTP: filters, searches, sorting and pages.

Each request loads the whole page of 100 rows with its filters, as an Administrator, through the application
role under row level security. The dashboard is measured in the same way.
`tests/administrations/test_plans.py` checks that each of these queries uses an index.
"""

import itertools
import statistics
import time
from typing import Any

from bench._served_organisation import ServedOrganisation, served_organisation

ADMINISTRATIONS = 10_000
REQUESTS = 150
P95_MAX_MS = 200
ALL_COLUMNS = (
    "columns=name.number.client.code.status.complete.division"
    ".people.template.sector.connection.imported.issues"
)


def run() -> list[dict[str, Any]]:
    with served_organisation(ADMINISTRATIONS) as served:
        listed = sorted(_times(served, addresses(served.organisation)))
        dashboard = sorted(_times(served, itertools.repeat("/", 25)))
    return [
        _figure("list, 95th percentile", _percentile(listed, 95), P95_MAX_MS),
        {"name": "list, median", "value": round(statistics.median(listed), 1), "unit": "ms"},
        {"name": "list, slowest", "value": round(listed[-1], 1), "unit": "ms"},
        _figure("dashboard, 95th percentile", _percentile(dashboard, 95), P95_MAX_MS * 2),
    ]


def addresses(organisation: Any) -> list[str]:
    """Return addresses with every filter, search and sorting, alone and combined."""
    queries = [
        "",
        "page=50",
        "page=100",
        "sort=-name&page=40",
        "q=bakkerij",
        "q=cafe+oberg",
        "q=60001234",
        "q=k0012",
        "q=v0099",
        "status=failed&status=blocked",
        f"division={organisation.divisions[0]}",
        f"division={organisation.divisions[1]}&status=active",
        "division=none",
        f"template={organisation.templates[0]}&sort=complete",
        "user=me",
        "user=none&sort=number",
        "sector=G&sector=F",
        f"connection={organisation.connections[1]}&sort=-complete",
        "freshness=stale&freshness=old&sort=complete",
        "freshness=never",
        "issues=any",
        "issues=none&sort=-issues",
        "issues=sync_failed&sort=-issues",
        "number=duplicate",
        "number=missing",
        "favourites=1",
        "changed=1",
        "import=2&status=active",
        "sort=-issues",
        "sort=-people",
        "sort=division&page=30",
        "sort=template",
        "sort=status",
        "sort=client",
        "sort=code&page=7",
        "sort=-imported",
        "sort=connection",
        ALL_COLUMNS,
        f"{ALL_COLUMNS}&sort=-issues&page=20",
        f"q=de&status=active&division={organisation.divisions[2]}&sort=-complete",
    ]
    return list(
        itertools.islice(itertools.cycle(f"/administrations/?all=1&{query}" for query in queries), REQUESTS)
    )


def _times(served: ServedOrganisation, addresses: Any) -> list[float]:
    """Return the milliseconds of each request, after a first round that warms the processes' caches."""
    connection = served.connection()
    addresses = list(addresses)
    for path in addresses[:5]:
        served.get(connection, path)
    times_ms = []
    for path in addresses:
        began = time.perf_counter()
        served.get(connection, path)
        times_ms.append((time.perf_counter() - began) * 1000)
    return times_ms


def _percentile(times: list[float], share: int) -> float:
    return times[min(len(times) - 1, len(times) * share // 100)]


def _figure(name: str, value: float, to_reach: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 1),
        "unit": "ms",
        "to_reach": to_reach,
        "holds": value <= to_reach,
    }
