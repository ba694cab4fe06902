"""The alarm about runs that no worker executes."""

from collections.abc import Sequence

from django.db import connection
from django.utils.translation import gettext_lazy as _

from koppel.connections.models import ConnectionState
from koppel.kit import quarantine
from koppel.kit.database.health.alarms import ActiveAlarm, AlarmCode, AlarmType
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import RunState
from koppel.sync.runs.claims import STALLED_SECONDS

RUN_SECONDS_MAX = 600.0
_SQL = load_statements("koppel.sync")


class SyncAlarm(AlarmCode):
    """Alarms about the queue of runs."""

    RUNS_WAITING = "runs_waiting"


ALARM_TYPES = {
    SyncAlarm.RUNS_WAITING: AlarmType(
        _("Syncs waiting: %(count)s, the oldest for %(minutes)s minutes. None is running."),
        _("See the logs of the workers, and restart them."),
        for_administrators=True,
    )
}


def find_run_alarms() -> Sequence[ActiveAlarm]:
    """Return an alarm when a run could have started ten minutes ago and none is running.

    A long queue that moves is none: a large import takes hours.
    """
    if quarantine.current() is not None:
        return []
    parameters: dict[str, str | int] = {
        "queued": RunState.QUEUED,
        "running": RunState.RUNNING,
        "paused": ConnectionState.PAUSED,
        "stalled_seconds": STALLED_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SQL["get_waiting_runs"], parameters)
        count, seconds, is_moving = cursor.fetchone()
    if is_moving or not count or seconds < RUN_SECONDS_MAX:
        return []
    return [ActiveAlarm(SyncAlarm.RUNS_WAITING, {"count": count, "minutes": int(seconds // 60)})]
