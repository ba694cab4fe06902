"""Decides which organisation owns an e-mail domain, for the sign-in page; an operator may confirm it.

A domain counts when its owner is verified: by a DNS record (`domain_verification`), or by the operator where
Koppel reaches no name server. A domain has one owner in the installation.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_domain_name
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import AuditActor, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.outage import repeat_after_outage
from koppel.kit.database.text import clean_text
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.audit_actions import DomainAction
from koppel.organisations.domain_names import RECORD_LABEL, is_public, is_public_suffix, normalised
from koppel.organisations.errors import Refused
from koppel.organisations.models import DomainMethod, DomainState, EmailDomain, Organisation
from koppel.organisations.roles import Actor

DOMAIN_LENGTH_MAX = 253 - len(RECORD_LABEL) - 1
"""So that the name of the record fits into a name of DNS."""
TOKEN_BYTES = 24


@dataclass(frozen=True)
class DomainSummary:
    """A domain as `koppel organisations list-domains` shows it.

    `is_used`: the sign-in page leads addresses of this domain to the organisation's identity provider, once
    it has one.
    """

    domain: str
    organisation: int
    name: str
    state: DomainState
    method: str
    verified_at: datetime | None
    checked_at: datetime | None
    is_used: bool


def validate_domain(text: str, *, field: str = "email_domains") -> str:
    """Return the domain as it is stored. Raises `Refused`, with the `field` of the form, for an invalid
    domain, and for domains that belong to the public.
    """
    domain = normalised(clean_text(text).lstrip("@"))
    try:
        validate_domain_name(domain)
    except ValidationError:
        raise _invalid(text, field) from None
    if not domain.isascii() or len(domain) > DOMAIN_LENGTH_MAX:
        raise _invalid(text, field)
    require_private_domain(domain, field=field)
    return domain


def require_private_domain(domain: str, *, field: str = "email_domains") -> None:
    """Refuse a public domain. Raises `Refused` for a domain that offers addresses, or names below it, to the
    public.
    """
    if is_public(domain):
        raise Refused(
            _("%s is a public mail service: anyone can have an address there.") % domain, field=field
        )
    if is_public_suffix(domain):
        raise Refused(
            _("%s is a public ending: anyone can register a domain below it. Enter your own domain.")
            % domain,
            field=field,
        )


def is_only_organisation() -> bool:
    with installation_scope("the only organisation"):
        return Organisation.objects.count() == 1


def organisation_of(domain: str) -> int | None:
    """Return the verified owner of the domain, to whose identity provider the sign-in page may lead."""
    if not domain or is_public(domain):
        return None
    with installation_scope("sign-in"):
        return verified_domains().filter(domain=domain).values_list("organisation_id", flat=True).first()


def verified_domains() -> "QuerySet[EmailDomain]":
    """Return the domains that have an owner. Within the caller's scope."""
    return EmailDomain.objects.filter(verified_at__isnull=False, lapsed_at=None)


def new_domain(organisation_id: int, domain: str) -> EmailDomain:
    """Return an unsaved domain with a record of its own."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return EmailDomain(organisation_id=organisation_id, domain=domain, record_token=token)


@repeat_after_outage
def confirm(operator: Actor, organisation_id: int, text: str) -> EmailDomain:
    """Record that the operator has verified that the domain is this organisation's. Raises `Refused`."""
    domain = validate_domain(text)
    with installation_scope("domain confirmed"):
        organisation = Organisation.objects.filter(pk=organisation_id).first()
        if organisation is None:
            raise Refused(_("Organisation not found; run `koppel organisations list`."))
        rows = EmailDomain.objects.select_for_update().in_organisation(organisation_id)
        confirmed = rows.filter(domain=domain).first() or new_domain(organisation_id, domain)
        confirmed.method, confirmed.verified_at = DomainMethod.OPERATOR, timezone.now()
        confirmed.lapsed_at = confirmed.next_check_at = confirmed.missing_since = None
        confirmed.missing_checks = 0
        try:
            with transaction.atomic():
                confirmed.save()
        except IntegrityError:
            raise Refused(
                _("%s belongs to another organisation. A domain can belong to one organisation only.")
                % domain
            ) from None
        audit_domain(confirmed, operator, DomainAction.CONFIRMED)
    return confirmed


@repeat_after_outage
def withdraw(operator: Actor, text: str) -> str:
    """Remove the owner of a domain, however it was verified; it waits for its record again. Raises `Refused`
    when it has none.
    """
    domain = normalised(text.strip().lstrip("@"))
    with installation_scope("domain withdrawn"):
        owned = verified_domains().select_for_update().filter(domain=domain).first()
        if owned is None:
            raise Refused(_("%s is not confirmed for any organisation.") % domain)
        owned.method, owned.verified_at, owned.next_check_at = "", None, None
        owned.save()
        audit_domain(owned, operator, DomainAction.REVOKED)
    return domain


def list_domain_summaries() -> list[DomainSummary]:
    """Return the domains of all organisations, by domain."""
    with installation_scope("domains listed"):
        rows = list(EmailDomain.objects.select_related("organisation").order_by("domain", "organisation_id"))
    return [
        DomainSummary(
            domain=row.domain,
            organisation=row.organisation_id,
            name=row.organisation.name,
            state=row.state,
            method=row.method,
            verified_at=row.verified_at,
            checked_at=row.checked_at,
            is_used=row.is_verified and not is_public(row.domain),
        )
        for row in rows
    ]


def audit_domain(
    domain: EmailDomain, actor: Actor | AuditActor, action: DomainAction, **details: object
) -> None:
    """Add an entry to the audit log of the domain's organisation."""
    organisation_id = domain.organisation_id
    with organisation_scope(organisation_id):
        if isinstance(actor, Actor):
            actor = replace(actor, organisation_id=organisation_id).audit
        subject = Subject(kind=SubjectKind.ORGANISATION, id=organisation_id, name=domain.organisation.name)
        add_audit_entry(
            organisation_id, actor, action, subject=subject, details={"domain": domain.domain, **details}
        )


def _invalid(text: str, field: str) -> Refused:
    return Refused(_("“%s” is not a domain such as kantoor.nl.") % text.strip(), field=field)
