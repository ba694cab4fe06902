"""Throttling of invitations: an organisation must not send mail to strangers without end."""

from datetime import timedelta

from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.models import AuditEntry
from koppel.kit.database.locks import LockName, lock_until_commit
from koppel.kit.tenancy import installation_scope
from koppel.organisations.audit_actions import PersonAction
from koppel.organisations.errors import Refused
from koppel.organisations.models import Invitation

HOURLY_MAX = 600
"""Of one organisation. Inviting a whole firm by a list needs fewer."""
DAILY_MAX = 5
"""To one address, of all organisations together."""
SENT = (PersonAction.INVITED, PersonAction.INVITATION_RESENT)


def require_may_send(organisation_id: int, email: str) -> None:
    """Require that the organisation may send another invitation, new or again. In the transaction that
    records it. Raises `Refused`.
    """
    lock_until_commit(LockName.INVITATIONS, organisation_id)
    sent = AuditEntry.objects.filter(organisation_id=organisation_id, action__in=SENT)
    if sent.filter(at__gt=timezone.now() - timedelta(hours=1)).count() >= HOURLY_MAX:
        raise Refused(_("Your organisation has sent many invitations. Try again in an hour."))
    day = timezone.now() - timedelta(days=1)
    from_here = sent.filter(at__gt=day, subject_name__iexact=email).count()
    if from_here >= DAILY_MAX or _sent_elsewhere(organisation_id, email, since=day) + from_here >= DAILY_MAX:
        raise Refused(
            _("%s has received several invitations today. Try again tomorrow.") % email, field="email"
        )


def _sent_elsewhere(organisation_id: int, email: str, *, since: object) -> int:
    with installation_scope("invitations to one address"):
        invitations = Invitation.objects.filter(email__iexact=email, created_at__gt=since)
        others = invitations.exclude(organisation_id=organisation_id)
        return others.aggregate(total=Sum("sends"))["total"] or 0
