"""Hooks of the health of the installation."""

from collections.abc import Sequence

from koppel.kit.database.health.alarms import ActiveAlarm, AlarmChanges
from koppel.kit.hooks import Hook, SingleHook


def _notify_nobody(_changes: AlarmChanges) -> bool:
    return False


find_alarms = Hook[[], Sequence[ActiveAlarm]]()
"""Finds the alarms that hold now. Called every 15 s by one process and by `koppel check`, in a transaction of
the installation's scope; an exception ends the search, which is repeated 15 s later.
"""
notify_operators = SingleHook[[AlarmChanges], bool](_notify_nobody)
"""Notifies operators of alarms that were raised or are over. Called outside of transactions, in the monitor's
thread of a web process or worker. Returns whether they were notified; if not, or after an exception, it is
called again later.
"""
