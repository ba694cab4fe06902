"""Check the programs of the installation and their machines, by their heartbeats, and whether work waits."""

from collections import Counter
from collections.abc import Iterator, Sequence

from django.db import connection

from koppel.cli.checks.result import CheckFinding, advice
from koppel.kit.database.health.alarm_state import current_alarms
from koppel.kit.database.health.alarms import alarm_types
from koppel.kit.database.health.heartbeats import ProcessReport, list_reports
from koppel.kit.models import ProcessKind
from koppel.kit.tenancy import installation_scope

TOPIC, CONNECTIONS = "programs", "database connections"
_ALLOWED = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
"""


def check_programs() -> Iterator[CheckFinding]:
    """Report which programs run, how many connections they may open, and every alarm that holds."""
    with installation_scope("check"):
        reports, alarms = list_reports(), current_alarms()
        with connection.cursor() as cursor:
            cursor.execute(_ALLOWED)
            allowed = int(cursor.fetchone()[0])
    living = [report for report in reports if report.is_alive]
    if not living:
        yield advice(TOPIC, "No web process and no worker has reported for a minute: Koppel does not run.")
    else:
        yield CheckFinding(topic=TOPIC, is_ok=True, text=f"Running: {_describe(living)}.")
        yield _connections(living, allowed)
    for alarm in alarms:
        topic = alarm.code.replace("_", " ")
        is_failure = alarm_types[alarm.code].is_failure
        yield (
            CheckFinding(topic=topic, is_ok=False, text=alarm.text)
            if is_failure
            else advice(topic, alarm.text)
        )


def _describe(living: Sequence[ProcessReport]) -> str:
    counts = Counter((report.kind, report.host) for report in living)
    names = {
        ProcessKind.WEB.value: ("web process", "web processes"),
        ProcessKind.WORKER.value: ("worker", "workers"),
    }
    return ", ".join(
        f"{count} {names[kind][count > 1]} on {host}" for (kind, host), count in sorted(counts.items())
    )


def _connections(living: Sequence[ProcessReport], allowed: int) -> CheckFinding:
    total = sum(report.connections_max for report in living)
    text = f"These programs open at most {total} connections; the database allows {allowed}."
    if total <= allowed:
        return CheckFinding(topic=CONNECTIONS, is_ok=True, text=text)
    return advice(CONNECTIONS, f"{text} Raise max_connections, or run fewer workers.")
