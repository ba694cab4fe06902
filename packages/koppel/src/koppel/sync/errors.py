"""Errors of runs: the ends of a running one, and the reasons why one cannot start."""

from koppel.kit.errors import KoppelError


class RunTakenOver(Exception):
    """Another worker has taken the run over; this one must write nothing more."""


class SyncNotAllowed(KoppelError):
    """A sync cannot be started; the message says why."""

    code = "not_possible"


class Preempted(Exception):
    """The run yields to others after this page; it stays in the queue."""
