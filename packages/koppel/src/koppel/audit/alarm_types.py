"""The alarm about an audit log that is not as it was written."""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from koppel.audit.scheduled_verification import failed_verifications
from koppel.kit.database.health.alarms import ActiveAlarm, AlarmCode, AlarmType


class AuditAlarm(AlarmCode):
    """Alarms about the audit log."""

    AUDIT_LOG_BROKEN = "audit_log_broken"


ALARM_TYPES = {
    AuditAlarm.AUDIT_LOG_BROKEN: AlarmType(
        _("A verification of the audit log found %(findings)s differences."),
        _("Run “koppel audit verify”; docs/audit-log.md says what each finding means."),
    )
}


def find_audit_alarms() -> Sequence[ActiveAlarm]:
    """Return an alarm while the newest verification of a log, by a worker or by command, has findings."""
    failed = failed_verifications()
    if not failed:
        return []
    findings = sum(verification.findings for verification in failed)
    return [ActiveAlarm(AuditAlarm.AUDIT_LOG_BROKEN, {"findings": findings})]
