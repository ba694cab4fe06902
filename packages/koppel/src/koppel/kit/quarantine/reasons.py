"""Why an installation is in quarantine."""

from enum import StrEnum


class Reason(StrEnum):
    """Stored with a quarantine, or what a process finds out about its database."""

    MANUAL = ""
    """The operator began it, and may end it."""
    RESTORED = "restored"
    """`koppel restore` began it."""
    REPLACED = "replaced"
    """Another installation took the place of this one."""
    MISSING_ID = "missing_id"
    """Neither the data directory nor the settings say which installation this machine belongs to."""
    OTHER_ID = "other_id"
    """The database is of another installation than this machine."""
    OTHER_SERVER = "other_server"
    """The database runs on another server than before, and no failover is configured."""
    OLDER = "older"
    """The database is older than what this machine saw of it: it was reset to an earlier moment."""

    @property
    def is_copy(self) -> bool:
        """Whether only `koppel adopt` ends it."""
        return self is not Reason.MANUAL
