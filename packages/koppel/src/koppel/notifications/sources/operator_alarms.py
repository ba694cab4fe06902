"""Mail to operators about alarms. It leaves from the process that raised them: no worker may be running."""

import smtplib

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.utils import translation
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from koppel.kit.database.health.alarms import AlarmChanges
from koppel.kit.quarantine import Quarantined
from koppel.organisations.models import User

SEND_SECONDS = 5
EVENT_TYPES = ()
log = structlog.get_logger(__name__)


def mail_alarms(changes: AlarmChanges) -> bool:
    """Mail all operators in their language. Returns False when there are none, or mail cannot be sent."""
    operators = list(User.objects.filter(is_operator=True, is_active=True))
    messages = [_message(operator, changes) for operator in operators]
    try:
        return bool(get_connection(timeout=SEND_SECONDS).send_messages(messages)) if messages else False
    except (OSError, smtplib.SMTPException, Quarantined) as error:
        log.warning("alarms_not_mailed", error=type(error).__name__, reason=str(error)[:200])
        return False


def _message(operator: User, changes: AlarmChanges) -> EmailMessage:
    with translation.override(operator.language or settings.LANGUAGE_CODE):
        lines = [alarm.text for alarm in changes.unnotified]
        for alarm, since in changes.resolved:
            moment = date_format(localtime(since), "SHORT_DATETIME_FORMAT")
            resolved = _("Resolved (since %(moment)s): %(message)s")
            lines.append(resolved % {"moment": moment, "message": alarm.message})
        subject = _("Koppel needs an operator") if changes.unnotified else _("Koppel works again")
        body = "\n\n".join([*lines, settings.PUBLIC_URL])
        return EmailMessage(subject, body, None, [operator.email])
