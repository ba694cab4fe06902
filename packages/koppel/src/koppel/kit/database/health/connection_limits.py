"""The most connections to the database that each process opens; their sum must fit into `max_connections`."""

POOL_MAX = 12
"""Of a worker, for the steps of runs."""
WORKER_THREADS = 6
"""Of a worker, for use cases of runs, and as many for jobs."""
WORKER_OTHERS = 11
"""Claims, locks and notifications, the queue's own pool, quarantine, heartbeats and alarms."""
WEB_OTHERS = 4
"""Quarantine, readiness, heartbeats and alarms."""
VENDOR_CALL_POOL, VENDOR_CALL_THREADS, VENDOR_CALL_LOCKS = 8, 4, 1
"""Of a web process, for the calls to accounting systems that its requests wait for: the steps of calls, their
use cases, and the locks of tokens.
"""


def run_pool_size(concurrency: int) -> int:
    """Return how many connections the steps of so many runs share."""
    return min(concurrency + 2, POOL_MAX)


def worker_connections_max(concurrency: int) -> int:
    return run_pool_size(concurrency) + 2 * WORKER_THREADS + WORKER_OTHERS


def web_connections_max(threads: int) -> int:
    return threads + WEB_OTHERS + VENDOR_CALL_POOL + VENDOR_CALL_THREADS + VENDOR_CALL_LOCKS
