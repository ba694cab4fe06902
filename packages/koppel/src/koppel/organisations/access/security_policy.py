"""The organisation's rules for sign-in, the retention of its audit log, and access of operators."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import add_actor_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.outage import repeat_after_outage
from koppel.kit.database.text import clean_text
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access import allowed_networks, domain_owners, mfa
from koppel.organisations.audit_actions import OperatorAction, OrganisationAction
from koppel.organisations.errors import Refused
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor, Permission

AUDIT_YEARS = (1, 2, 5, 7, 10)
OPERATOR_ACCESS_HOURS = (2, 8, 24, 72)


@dataclass(frozen=True, kw_only=True)
class SecurityPolicy:
    requires_mfa: bool
    email_domains: tuple[str, ...]
    networks: tuple[str, ...]
    audit_years: int


def security_policy_of(organisation: Organisation) -> SecurityPolicy:
    return SecurityPolicy(
        requires_mfa=organisation.requires_mfa,
        email_domains=tuple(organisation.email_domains),
        networks=tuple(organisation.networks),
        audit_years=organisation.audit_years,
    )


def update_security_policy(actor: Actor, policy: SecurityPolicy) -> None:
    """Store the policy. Raises `Refused` with a sentence."""
    actor.require(Permission.MANAGE_ORGANISATION)
    if policy.audit_years not in AUDIT_YEARS:
        raise Refused(_("Choose a retention period."), field="audit_years")
    if policy.requires_mfa and not mfa.has_mfa(actor.user_id):
        raise Refused(
            _("Set up two-step verification for yourself first, or you lose access."),
            field="requires_mfa",
        )
    if policy.networks and not allowed_networks.contains(policy.networks, actor.ip_address):
        raise Refused(
            _("You are at %s, which is not in these networks: you would lose access. Add it first.")
            % (actor.ip_address or "–"),
            field="networks",
        )
    for domain in policy.email_domains:
        domain_owners.require_private_domain(domain)
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    before = security_policy_of(organisation)
    organisation.requires_mfa = policy.requires_mfa
    organisation.email_domains = sorted(set(policy.email_domains))
    organisation.networks, organisation.audit_years = list(policy.networks), policy.audit_years
    organisation.save(update_fields=["requires_mfa", "email_domains", "networks", "audit_years"])
    after = security_policy_of(organisation)
    if before != after:
        add_actor_entry(
            actor,
            OrganisationAction.SECURITY_CHANGED,
            _subject(organisation),
            before=vars(before),
            after=vars(after),
        )


@repeat_after_outage
def allow_all_networks(operator: Actor, organisation_id: int) -> Organisation:
    """Remove the restriction to networks, for an organisation whose own address has changed. Shell only.
    Raises `Refused`.
    """
    with installation_scope("networks"):
        organisation = Organisation.objects.select_for_update().filter(pk=organisation_id).first()
        if organisation is None:
            raise Refused(_("Organisation not found; run `koppel organisations list`."))
        before = vars(security_policy_of(organisation))
        organisation.networks = []
        organisation.save(update_fields=["networks"])
        with organisation_scope(organisation_id):
            actor = replace(operator, organisation_id=organisation_id)
            after = vars(security_policy_of(organisation))
            add_actor_entry(
                actor,
                OrganisationAction.SECURITY_CHANGED,
                _subject(organisation),
                before=before,
                after=after,
            )
        return organisation


def parse_domains(text: str) -> tuple[str, ...]:
    """Parse domain names, separated by anything. Raises `Refused` for invalid and public ones."""
    names = clean_text(text).replace(",", " ").replace(";", " ").split()
    return tuple(domain_owners.validate_domain(word) for word in names)


def grant_operator_access(actor: Actor, hours: int) -> None:
    """Let operators of the installation read for a limited time. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    if hours not in OPERATOR_ACCESS_HOURS:
        raise Refused(_("Choose a period."), field="hours")
    _set_operator_access(actor, timezone.now() + timedelta(hours=hours), OperatorAction.ACCESS_GRANTED)


def withdraw_operator_access(actor: Actor) -> None:
    """End the access of operators."""
    actor.require(Permission.MANAGE_ORGANISATION)
    _set_operator_access(actor, None, OperatorAction.ACCESS_REVOKED)


def _set_operator_access(actor: Actor, ends_at: datetime | None, action: OperatorAction) -> None:
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    organisation.operator_access_until = ends_at
    organisation.save(update_fields=["operator_access_until"])
    until = ends_at.isoformat() if ends_at else ""
    add_actor_entry(actor, action, _subject(organisation), until=until)


def _subject(organisation: Organisation) -> Subject:
    return Subject(kind=SubjectKind.ORGANISATION, id=organisation.pk, name=organisation.name)
