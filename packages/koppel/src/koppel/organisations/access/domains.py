"""The organisation of an e-mail domain, as the sign-in page uses it.

An organisation may name any domain; that alone proves nothing. The domain counts when the organisation is the
only one of the installation, or when the operator has confirmed it. A domain has one owner.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_domain_name
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.text import clean_text
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.audit_actions import OrganisationAction
from koppel.organisations.email_domains import is_public, normalised
from koppel.organisations.errors import Refused
from koppel.organisations.models import ConfirmedDomain, Organisation
from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class DomainSummary:
    """A domain as `koppel organisations list-domains` shows it.

    `confirmed_at` None: named by the organisation, not confirmed. `is_used`: the sign-in page leads addresses
    of this domain to the organisation's identity provider, once it has one.
    """

    domain: str
    organisation: int
    name: str
    confirmed_at: datetime | None
    is_used: bool


def validate_domain(text: str) -> str:
    """Return the domain as it is stored. Raises `Refused` for an invalid domain, and for domains of public
    mail services.
    """
    domain = normalised(clean_text(text).lstrip("@"))
    try:
        validate_domain_name(domain)
    except ValidationError:
        raise Refused(
            _("“%s” is not a domain such as kantoor.nl.") % text.strip(), field="email_domains"
        ) from None
    require_private_domain(domain)
    return domain


def require_private_domain(domain: str) -> None:
    """Refuse a public domain. Raises `Refused` for a domain that offers addresses to the public."""
    if is_public(domain):
        raise Refused(
            _("%s is a public mail service: anyone can have an address there.") % domain,
            field="email_domains",
        )


def is_only_organisation() -> bool:
    with installation_scope("the only organisation"):
        return Organisation.objects.count() == 1


def organisation_of(domain: str) -> int | None:
    """Return the organisation whose people have addresses of this domain, as far as the sign-in page may rely
    on it.
    """
    if not domain or is_public(domain):
        return None
    with installation_scope("sign-in"):
        naming = Organisation.objects.filter(email_domains__contains=[domain])
        if not is_only_organisation():
            naming = naming.filter(
                pk__in=ConfirmedDomain.objects.filter(domain=domain).values("organisation_id")
            )
        return naming.values_list("pk", flat=True).first()


def unconfirmed_domains(organisation: Organisation) -> list[str]:
    """Return the organisation's domains that are not confirmed, so that the sign-in page ignores them. In
    scope.
    """
    public = [domain for domain in organisation.email_domains if is_public(domain)]
    if is_only_organisation():
        return public
    confirmed = ConfirmedDomain.objects.in_organisation(organisation.pk).values_list("domain", flat=True)
    return sorted({*public, *organisation.email_domains} - set(confirmed))


def confirm(operator: Actor, organisation_id: int, text: str) -> ConfirmedDomain:
    """Record that the operator has verified that the domain is this organisation's. Raises `Refused`."""
    domain = validate_domain(text)
    with installation_scope("domain confirmed"):
        organisation = Organisation.objects.filter(pk=organisation_id).first()
        if organisation is None:
            raise Refused(_("Organisation not found; run `koppel organisations list`."))
        try:
            with transaction.atomic():
                confirmed = ConfirmedDomain.objects.create(
                    organisation=organisation, domain=domain, confirmed_by=operator.name
                )
        except IntegrityError:
            raise Refused(
                _("%s is already confirmed. A domain can belong to one organisation only.") % domain
            ) from None
        _add_audit_entry(operator, organisation, OrganisationAction.DOMAIN_CONFIRMED, domain)
    return confirmed


def withdraw(operator: Actor, text: str) -> str:
    """Remove the owner of a domain. Raises `Refused` when it was not confirmed."""
    domain = normalised(text.strip().lstrip("@"))
    with installation_scope("domain withdrawn"):
        confirmed = ConfirmedDomain.objects.select_related("organisation").filter(domain=domain).first()
        if confirmed is None:
            raise Refused(_("%s is not confirmed for any organisation.") % domain)
        confirmed.delete()
        _add_audit_entry(operator, confirmed.organisation, OrganisationAction.DOMAIN_REVOKED, domain)
    return domain


def list_domain_summaries() -> list[DomainSummary]:
    """Return confirmed domains, and those that organisations name without confirmation, by domain."""
    with installation_scope("domains listed"):
        organisations = {organisation.pk: organisation for organisation in Organisation.objects.all()}
        confirmed = {
            (row.domain, row.organisation_id): row.confirmed_at
            for row in ConfirmedDomain.objects.order_by("domain")
        }
    configured_domains = {
        (domain, organisation_id)
        for organisation_id, organisation in organisations.items()
        for domain in organisation.email_domains
    }
    is_only = len(organisations) == 1
    return [
        DomainSummary(
            domain=domain,
            organisation=organisation_id,
            name=organisations[organisation_id].name,
            confirmed_at=confirmed.get((domain, organisation_id)),
            is_used=(domain, organisation_id) in configured_domains
            and (is_only or (domain, organisation_id) in confirmed)
            and not is_public(domain),
        )
        for domain, organisation_id in sorted(configured_domains | confirmed.keys())
    ]


def _add_audit_entry(
    operator: Actor, organisation: Organisation, action: OrganisationAction, domain: str
) -> None:
    with organisation_scope(organisation.pk):
        actor = replace(operator, organisation_id=organisation.pk)
        subject = Subject(SubjectKind.ORGANISATION, organisation.pk, organisation.name)
        add_audit_entry(organisation.pk, actor.audit, action, subject=subject, details={"domain": domain})
