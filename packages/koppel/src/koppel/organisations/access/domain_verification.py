"""Decides whether an organisation's domain is verified: by a TXT record that only its manager can make.

A record that is found counts until it was missing in three checks over two days. A look-up without a valid
answer counts for nothing. The owner changes when the record of another organisation is there and the owner's
own is not: who manages the domain has then replaced it.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import KOPPEL_ACTOR, AuditActor
from koppel.kit import quarantine
from koppel.kit.http.concurrency import ConcurrencyLimit, NoSlot
from koppel.kit.http.txt_records import TxtAnswer, look_up_txt
from koppel.kit.jobs import enqueue_once
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access.domain_owners import audit_domain, new_domain, validate_domain
from koppel.organisations.audit_actions import DomainAction
from koppel.organisations.errors import NoSuchDomain, Refused
from koppel.organisations.hooks import domain_lapsed, domain_record_missing
from koppel.organisations.inputs import DomainInput
from koppel.organisations.models import DomainCheck, DomainMethod, EmailDomain
from koppel.organisations.roles import Actor, Permission

DOMAINS_MAX = 25
"""Per organisation; each is looked up at least monthly."""
REGULAR_INTERVAL = timedelta(days=30)
WAITING_INTERVAL, WAITING_PERIOD = timedelta(hours=1), timedelta(days=3)
"""How often, and for how long, a new domain is checked without anyone asking."""
MISSING_INTERVAL, UNKNOWN_INTERVAL = timedelta(days=1), timedelta(hours=6)
LAPSE_CHECKS, LAPSE_PERIOD = 3, timedelta(days=2)
"""A domain lapses when so many checks, the first and last so far apart, miss the record."""
CHECK_PAUSE = timedelta(seconds=10)
CHECK_TASK = "organisations.check_domains"
DUE_MAX = 100
"""Look-ups of one run; the next run does the others."""
CHECKS_MAX, CHECKS_WAITING_MAX, CHECK_WAIT_SECONDS = 3, 2, 3.0
"""Look-ups of pages at a time, of all organisations; one each. The worker does what cannot wait here."""
_checks_of_organisation = ConcurrencyLimit(1)
_checks, _checks_with_waiting = (
    ConcurrencyLimit(CHECKS_MAX),
    ConcurrencyLimit(CHECKS_MAX + CHECKS_WAITING_MAX),
)
log = structlog.get_logger(__name__)


def list_domains(actor: Actor) -> list[EmailDomain]:
    """Return the organisation's domains, by name."""
    actor.require(Permission.MANAGE_ORGANISATION)
    return list(EmailDomain.objects.for_actor(actor).order_by("domain"))


def get_domain(actor: Actor, domain_id: int) -> EmailDomain:
    """Return a domain of the organisation. Raises `NoSuchDomain`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    domain = EmailDomain.objects.for_actor(actor).filter(pk=domain_id).first()
    if domain is None:
        raise NoSuchDomain(_("Domain not found."))
    return domain


def add_domain(actor: Actor, domain_input: DomainInput) -> EmailDomain:
    """Add a domain that waits for its record. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    name = validate_domain(domain_input.domain, field="domain")
    if EmailDomain.objects.for_actor(actor).count() >= DOMAINS_MAX:
        raise Refused(_("You can add %d domains at most.") % DOMAINS_MAX, field="domain")
    domain = new_domain(actor.organisation_id, name)
    domain.next_check_at = timezone.now() + WAITING_INTERVAL
    try:
        with transaction.atomic():
            domain.save()
    except IntegrityError:
        raise Refused(_("%s is already in the list.") % name, field="domain") from None
    audit_domain(domain, actor, DomainAction.ADDED)
    return domain


def remove_domain(actor: Actor, domain_id: int) -> None:
    """Remove a domain: its addresses no longer lead to the identity provider. Raises `NoSuchDomain`."""
    domain = get_domain(actor, domain_id)
    domain.delete()
    audit_domain(domain, actor, DomainAction.REMOVED)


def check_domain_now(actor: Actor, domain_id: int) -> EmailDomain:
    """Look the record up and return the domain with the result. Outside any transaction. Raises `Refused`,
    `NoSuchDomain` and `Quarantined`.
    """
    with organisation_scope(actor.organisation_id):
        domain = get_domain(actor, domain_id)
    if domain.checked_at is not None and timezone.now() - domain.checked_at < CHECK_PAUSE:
        raise Refused(_("This domain has just been checked. Try again in a few seconds."))
    try:
        with _checks_of_organisation.slot(actor.organisation_id):
            answer = _look_up_in_turn(domain)
    except NoSlot:
        raise Refused(_("Another check is still running. Try again in a few seconds.")) from None
    checked = _record_check(domain.pk, domain.domain, answer, actor)
    if checked is None:
        raise NoSuchDomain(_("Domain not found."))
    return checked


def _look_up_in_turn(domain: EmailDomain) -> TxtAnswer:
    """Return the texts at the record's name. When too many look-ups run, the worker checks the domain next,
    and `Refused` is raised.
    """
    try:
        with _checks_with_waiting.slot(None), _checks.slot(None, wait_seconds=CHECK_WAIT_SECONDS):
            return look_up_txt(domain.record_name)
    except NoSlot:
        with organisation_scope(domain.organisation_id):
            EmailDomain.objects.filter(pk=domain.pk).update(next_check_at=timezone.now())
            enqueue_once(CHECK_TASK, {"timestamp": int(time.time())}, queueing_lock=CHECK_TASK)
        raise Refused(
            _("Many domains are being checked. The check of %s follows by itself; look again in a minute.")
            % domain.domain
        ) from None


def has_domains_to_check() -> bool:
    """Return whether an organisation has a domain that is verified by DNS, or waits for its record."""
    with installation_scope("name servers"):
        return EmailDomain.objects.exclude(next_check_at=None).exists()


def check_due_domains() -> int:
    """Check the domains whose time has come; return their number. Outside any transaction."""
    if quarantine.current():
        return 0
    with installation_scope("domains due"):
        domains = EmailDomain.objects.filter(next_check_at__lte=timezone.now())
        due = list(domains.order_by("next_check_at")[:DUE_MAX])
    for domain in due:
        _record_check(domain.pk, domain.domain, look_up_txt(domain.record_name), KOPPEL_ACTOR)
    return len(due)


def _record_check(
    domain_id: int, name: str, answer: TxtAnswer, actor: Actor | AuditActor
) -> EmailDomain | None:
    """Store what the look-up means for the domain and its owner. None: the domain was removed meanwhile."""
    with installation_scope("domain checked"):
        # All rows of the name are locked, so that of two organisations one becomes the owner.
        rows = list(
            EmailDomain.objects.select_for_update(of=("self",))
            .select_related("organisation")
            .filter(domain=name)
            .order_by("pk")
        )
        domain = next((row for row in rows if row.pk == domain_id), None)
        if domain is None:
            return None
        result = _result_of(domain, rows, answer, actor)
        action = update_state(domain, result, timezone.now())
        domain.save()
        log.info("email_domain_checked", domain=name, organisation=domain.organisation_id, result=result)
        if action is not None:
            audit_domain(domain, actor, action)
        if result is DomainCheck.MISSING and domain.verified_at is not None:
            _report_missing(domain, has_lapsed=action is DomainAction.LAPSED)
    return domain


def _result_of(
    domain: EmailDomain, rows: Sequence[EmailDomain], answer: TxtAnswer, actor: Actor | AuditActor
) -> DomainCheck:
    """Return the result for this domain. An owner whose record was replaced lapses."""
    if not answer.is_known:
        return DomainCheck.UNKNOWN
    if domain.record_value not in answer.texts:
        return DomainCheck.MISSING
    owner = next((row for row in rows if row.is_verified and row.pk != domain.pk), None)
    if owner is None:
        return DomainCheck.PRESENT
    if owner.method != DomainMethod.DNS or owner.record_value in answer.texts:
        return DomainCheck.OTHER_OWNER
    owner.lapsed_at, owner.next_check_at, owner.check_result = timezone.now(), None, DomainCheck.MISSING
    owner.checked_at = owner.lapsed_at
    owner.save()
    audit_domain(owner, KOPPEL_ACTOR, DomainAction.LAPSED)
    _report_missing(owner, has_lapsed=True)
    return DomainCheck.PRESENT


def update_state(domain: EmailDomain, result: DomainCheck, now: datetime) -> DomainAction | None:
    """Change the domain's state by the result of a check; return the action when the state becomes another.
    Touches no database.
    """
    domain.checked_at, domain.check_result = now, result
    was_verified = domain.is_verified
    if result is DomainCheck.PRESENT:
        domain.missing_checks, domain.missing_since, domain.lapsed_at = 0, None, None
        domain.next_check_at = now + REGULAR_INTERVAL
        if was_verified and domain.method == DomainMethod.DNS:
            return None
        domain.method, domain.verified_at = DomainMethod.DNS, now
        return DomainAction.VERIFIED
    if not was_verified:
        is_watched = domain.lapsed_at is None and now - domain.added_at < WAITING_PERIOD
        domain.next_check_at = now + WAITING_INTERVAL if is_watched else None
        return None
    if domain.method == DomainMethod.OPERATOR:
        domain.next_check_at = None
        return None
    if result is DomainCheck.UNKNOWN:
        domain.next_check_at = now + UNKNOWN_INTERVAL
        return None
    domain.missing_checks += 1
    domain.missing_since = domain.missing_since or now
    has_lapsed = domain.missing_checks >= LAPSE_CHECKS and now - domain.missing_since >= LAPSE_PERIOD
    domain.lapsed_at = now if has_lapsed else None
    domain.next_check_at = None if has_lapsed else now + MISSING_INTERVAL
    return DomainAction.LAPSED if has_lapsed else None


def _report_missing(domain: EmailDomain, *, has_lapsed: bool) -> None:
    """Notify the Administrators of the first check that misses the record, and of the lapse."""
    if not has_lapsed and not (domain.is_verified and domain.missing_checks == 1):
        return
    log.warning(
        "email_domain_lapsed" if has_lapsed else "email_domain_record_missing",
        domain=domain.domain,
        organisation=domain.organisation_id,
    )
    with organisation_scope(domain.organisation_id):
        hook = domain_lapsed if has_lapsed else domain_record_missing
        hook(domain)
