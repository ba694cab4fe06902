"""Use cases of the operator: put the installation into quarantine, and end it. Each is in the audit log of
every organisation.

Messages that waited when the quarantine began are cancelled at its end, unless the operator has them sent: a
restored copy must not repeat what the original has sent. Later ones are sent.
"""

from django.db import connection

from koppel.audit.services import add_audit_entry
from koppel.kit import quarantine
from koppel.kit.models import ReplacementRequest
from koppel.kit.quarantine import installation_identity, periods, replacement
from koppel.kit.tenancy import installation_scope
from koppel.organisations.audit_actions import QuarantineAction
from koppel.organisations.hooks import PendingMessages, quarantine_ended
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor


def begin(operator: Actor, reason: quarantine.Reason = quarantine.Reason.MANUAL) -> bool:
    """Begin a quarantine: nothing leaves the installation. Returns False when one has begun already."""
    with installation_scope("quarantine"):
        began = periods.begin(operator.name, reason)
        if began:
            _add_entry_everywhere(operator, QuarantineAction.STARTED)
    quarantine.forget()
    return began


def end(operator: Actor, *, sends_pending: bool = False) -> PendingMessages | None:
    """End the quarantine. Returns the numbers of cancelled messages; None when there was no quarantine."""
    with installation_scope("quarantine"):
        period = periods.end(operator.name, sends_pending=sends_pending)
        if period is None:
            return None
        cancelled = quarantine_ended(period)
        _add_entry_everywhere(
            operator, QuarantineAction.ENDED, emails=cancelled.emails, messages=cancelled.messages
        )
    quarantine.forget()
    return cancelled


def adopt(operator: Actor, *, replaces: str) -> PendingMessages | None:
    """End the quarantine of a copy that takes the place of its original, and make it an installation of its
    own. `replaces`: the original's address, or that it is gone. Raises `psycopg.Error`.
    """
    with installation_scope("quarantine"):
        # A copy that no command made has no row yet, and its waiting mail is as old.
        periods.begin(operator.name, quarantine.Reason.RESTORED)
    cancelled = end(operator)
    with installation_scope("quarantine"):
        installation_identity.renew(connection.connection)
        _add_entry_everywhere(operator, QuarantineAction.ADOPTED, replaces=replaces)
    quarantine.forget()
    return cancelled


def confirm_replacement(operator: Actor, request: ReplacementRequest) -> None:
    """Let a copy take the place of this installation: it stops, and the copy may fetch its tokens."""
    with installation_scope("quarantine"):
        periods.begin(operator.name, quarantine.Reason.REPLACED)
        replacement.confirm(request, operator.name)
        _add_entry_everywhere(operator, QuarantineAction.REPLACED, sender=request.sender)
    quarantine.forget()


def _add_entry_everywhere(operator: Actor, action: QuarantineAction, **details: object) -> None:
    """Add an entry to the audit log of every organisation: a quarantine affects them all."""
    for organisation_id in Organisation.objects.order_by("pk").values_list("pk", flat=True):
        add_audit_entry(organisation_id, operator.audit, action, details=details)
