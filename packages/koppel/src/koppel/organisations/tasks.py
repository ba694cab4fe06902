"""Jobs of the firm: email to invited people, and deleting the oldest audit entries."""

import smtplib

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.template.loader import render_to_string
from django.utils import translation
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from koppel.audit.chain import chain_scope
from koppel.kit import quarantine
from koppel.kit.database.outage import RetryAfterOutage
from koppel.kit.quarantine import Quarantined
from koppel.kit.quarantine.job_requeue import RETRY_SECONDS
from koppel.kit.quarantine.periods import discard_mail_before
from koppel.kit.tenancy import INSTALLATION, installation_scope, organisation_scope
from koppel.organisations.access.domain_verification import check_due_domains
from koppel.organisations.access.password_links import password_link
from koppel.organisations.access.unauthenticated_actions import record_unauthenticated_action
from koppel.organisations.audit_actions import SignInAction
from koppel.organisations.invitations import services as invitations
from koppel.organisations.models import Invitation, Organisation, User

ATTEMPTS = 5
log = structlog.get_logger(__name__)


@app.task(
    name="organisations.send_invitation",
    pass_context=True,
    retry=RetryAfterOutage(RetryStrategy(max_attempts=ATTEMPTS, exponential_wait=5)),
)
def send_invitation(context: JobContext, *, organisation_id: int, invitation_id: int, sends: int) -> None:
    """Send the email with the link, in the sender's language. When it cannot be delivered, the list of people
    says so.
    """
    with organisation_scope(organisation_id):
        queryset = invitations.open_invitations(organisation_id).select_related(
            "invited_by__user", "organisation"
        )
        invitation = queryset.filter(pk=invitation_id, sends=sends).first()
    if invitation is None:
        return
    try:
        quarantine.refuse()
        if invitations.last_sent_at(invitation) < discard_mail_before():
            # The installation that this invitation is a copy of has sent
            # it, most likely; a person may send it again.
            invitations.mark_mail_failed(organisation_id, invitation_id, sends)
            return
        _mail(invitation, invitations.link_of(invitation)).send()
    except Quarantined:
        later = send_invitation.configure(schedule_in={"seconds": RETRY_SECONDS})
        later.defer(organisation_id=organisation_id, invitation_id=invitation_id, sends=sends)
    except (OSError, smtplib.SMTPException) as error:
        log.warning("invitation_not_sent", invitation=invitation_id, reason=type(error).__name__)
        if context.job.attempts + 1 < ATTEMPTS:
            raise
        invitations.mark_mail_failed(organisation_id, invitation_id, sends)


@app.task(
    name="organisations.send_password_link",
    pass_context=True,
    retry=RetryAfterOutage(RetryStrategy(max_attempts=ATTEMPTS, exponential_wait=5)),
)
def send_password_link(context: JobContext, *, user_id: int, language: str, address: str) -> None:
    """Send a link for a new password, and record that one was requested from this IP address.

    The job is there for an unknown email address too (0): a request must take as long without an account.
    """
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if not context.job.attempts:
        record_unauthenticated_action(user, SignInAction.RESET_REQUESTED, address)
    if user is None or quarantine.current():
        return
    with translation.override(language):
        values = {"link": password_link(user), "user": user}
        subject = render_to_string("organisations/mail/password_link_subject.txt", values)
        body = render_to_string("organisations/mail/password_link.txt", values)
    try:
        EmailMessage(" ".join(subject.split()), body, settings.DEFAULT_FROM_EMAIL, [user.email]).send()
    except (OSError, smtplib.SMTPException) as error:
        log.warning("password_link_not_sent", user=user_id, reason=type(error).__name__)
        if context.job.attempts + 1 < ATTEMPTS:
            raise


def _mail(invitation: Invitation, link: str) -> EmailMessage:
    with translation.override(invitation.language):
        by = invitation.invited_by.user if invitation.invited_by else None
        template_context = {
            "invitation": invitation,
            "organisation": invitation.organisation,
            "by": by,
            "link": link,
        }
        subject = render_to_string("organisations/mail/invitation_subject.txt", template_context)
        body = render_to_string("organisations/mail/invitation.txt", template_context)
    return EmailMessage(" ".join(subject.split()), body, settings.DEFAULT_FROM_EMAIL, [invitation.email])


@app.periodic(cron="17 3 * * *")
@app.task(name="organisations.expire_audit", queueing_lock="organisations.expire_audit", pass_context=False)
def expire_audit(timestamp: int) -> None:
    """Delete audit entries past the organisation's retention, every night, through the SQL function
    `audit_expire`.
    """
    with installation_scope("audit retention"):
        ids = [INSTALLATION, *Organisation.objects.values_list("pk", flat=True)]
    for organisation_id in ids:
        with chain_scope(organisation_id), connection.cursor() as cursor:
            cursor.execute("SELECT audit_expire(%s)", [organisation_id])
            deleted = cursor.fetchone()[0]
        if deleted:
            log.info("audit_expired", organisation=organisation_id, count=deleted)


@app.periodic(cron="23 * * * *")
@app.task(name="organisations.check_domains", queueing_lock="organisations.check_domains", pass_context=False)
def check_domains(timestamp: int) -> None:
    """Look up the DNS records of e-mail domains whose check is due: new ones hourly, verified ones
    monthly.
    """
    check_due_domains()
