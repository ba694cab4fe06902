"""What an organisation asks of everybody's sign-in, how long it keeps its trail, and whom it lets look in."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.access import mfa
from koppel.organisations.errors import Refused
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.sso import domains

AUDIT_YEARS = (1, 2, 5, 7, 10)
SUPPORT_HOURS = (2, 8, 24, 72)


@dataclass(frozen=True)
class Rules:
    requires_second_step: bool
    email_domains: tuple[str, ...]
    audit_years: int


def rules_of(organisation: Organisation) -> Rules:
    return Rules(organisation.requires_second_step, tuple(organisation.email_domains), organisation.audit_years)


def change_rules(actor: Actor, wanted: Rules) -> None:
    """Raises `Refused` with a sentence."""
    actor.require(Permission.ORGANISATION)
    if wanted.audit_years not in AUDIT_YEARS:
        raise Refused(_("Choose how long activity is kept."))
    if wanted.requires_second_step and not mfa.has_second_step(actor.user_id):
        raise Refused(_("Set up a second step for yourself first: from then on nobody comes in without one."))
    for domain in wanted.email_domains:
        domains.refuse_public(domain)
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    before = rules_of(organisation)
    organisation.requires_second_step = wanted.requires_second_step
    organisation.email_domains = sorted(set(wanted.email_domains))
    organisation.audit_years = wanted.audit_years
    organisation.save(update_fields=["requires_second_step", "email_domains", "audit_years"])
    after = rules_of(organisation)
    if before != after:
        _record(actor, organisation, "organisation.security_changed", before=vars(before), after=vars(after))


def domains_in(text: str) -> tuple[str, ...]:
    """Domain names, separated by anything. Raises `Refused` for what is none, or everybody's."""
    words = text.replace("\0", "").replace(",", " ").replace(";", " ").split()
    return tuple(domains.checked_domain(word) for word in words)


def grant_support(actor: Actor, hours: int) -> None:
    """Let whoever operates the installation look in for so long, read only. Raises `Refused`."""
    actor.require(Permission.ORGANISATION)
    if hours not in SUPPORT_HOURS:
        raise Refused(_("Choose for how long."))
    _set_support(actor, timezone.now() + timedelta(hours=hours), "support.granted")


def withdraw_support(actor: Actor) -> None:
    """From now on nobody from outside looks in."""
    actor.require(Permission.ORGANISATION)
    _set_support(actor, None, "support.withdrawn")


def _set_support(actor: Actor, until: datetime | None, act: str) -> None:
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    organisation.support_until = until
    organisation.save(update_fields=["support_until"])
    _record(actor, organisation, act, until=until.isoformat() if until else "")


def _record(actor: Actor, organisation: Organisation, act: str, **details: object) -> None:
    subject = ("organisation", organisation.pk, organisation.name)
    record(actor.organisation_id, actor.audit, act, subject=subject, details=details)
