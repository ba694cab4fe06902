"""What stops a run from within."""


class RunTakenOver(Exception):
    """Another worker has taken the run over: this one must write nothing more."""


class SyncNotAllowed(Exception):
    """A sync cannot be started, with a translated sentence why."""

    is_refusal = True


class Preempted(Exception):
    """The run stops at this page, so that others may go on; it stays in the queue."""
