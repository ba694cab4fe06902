"""Executes one run, whatever becomes of it.

It guarantees that a page's records, its tombstones, its changes and its checkpoint are one transaction, which
first proves that this worker still holds the run; that absence is deletion only at the end of a complete
snapshot; and that the run's row says afterwards how it ended or when it goes on. Begin with `run_executor`.
"""

from koppel.sync.engine.run_executor import execute_run

__all__ = ["execute_run"]
