"""The most connections to the database that each process opens; their sum must fit into `max_connections`."""

POOL_MAX = 12
"""Of a worker, for the steps of runs."""
WORKER_THREADS = 6
"""Of a worker, for use cases of runs, and as many for jobs."""
WORKER_OTHERS = 11
"""Claims, locks and notifications, the queue's own pool, quarantine, heartbeats and alarms."""
WEB_OTHERS = 4
"""Quarantine, readiness, heartbeats and alarms."""
VENDOR_CALLS, CONNECTIONS_PER_CALL = 4, 5
"""Calls to accounting systems that requests of a web process wait for."""


def run_pool_size(concurrency: int) -> int:
    """Return how many connections the steps of so many runs share."""
    return min(concurrency + 2, POOL_MAX)


def worker_connections_max(concurrency: int) -> int:
    return run_pool_size(concurrency) + 2 * WORKER_THREADS + WORKER_OTHERS


def web_connections_max(threads: int) -> int:
    return threads + WEB_OTHERS + VENDOR_CALLS * CONNECTIONS_PER_CALL
