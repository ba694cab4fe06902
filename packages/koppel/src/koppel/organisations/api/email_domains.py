"""E-mail domains of single sign-on over REST."""

from datetime import datetime

from ninja import Router, Schema, Status

from koppel.organisations.access import domain_verification
from koppel.organisations.inputs import DomainInput
from koppel.organisations.models import EmailDomain
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Permission

router = Router()


class EmailDomainOut(Schema):
    """`state`: waiting, verified or lapsed. `method`: dns or operator, empty until verified. `check_result`:
    present, missing, unknown or other_owner, empty before the first check.
    """

    id: int
    domain: str
    state: str
    method: str
    record_name: str
    record_value: str
    added_at: datetime
    verified_at: datetime | None
    lapsed_at: datetime | None
    checked_at: datetime | None
    check_result: str


@router.get("", response=list[EmailDomainOut])
@permission_required(Permission.MANAGE_ORGANISATION)
def list_email_domains(request: AuthenticatedRequest) -> list[EmailDomain]:
    """List the domains whose addresses lead to the identity provider once they are verified, by name."""
    return domain_verification.list_domains(request.actor)


@router.post("", response={201: EmailDomainOut})
@permission_required(Permission.MANAGE_ORGANISATION)
def add_email_domain(request: AuthenticatedRequest, payload: DomainInput) -> Status[EmailDomain]:
    """Add a domain. Create a TXT record with `record_name` and `record_value`; Koppel checks it hourly for
    three days.
    """
    return Status(201, domain_verification.add_domain(request.actor, payload))


@router.post("/{int:domain_id}/check", response=EmailDomainOut, url_name="email_domain_check")
@permission_required(Permission.MANAGE_ORGANISATION)
def check_email_domain(request: AuthenticatedRequest, domain_id: int) -> EmailDomain:
    """Look the record up now, within a few seconds."""
    return domain_verification.check_domain_now(request.actor, domain_id)


@router.delete("/{int:domain_id}", response={204: None})
@permission_required(Permission.MANAGE_ORGANISATION)
def remove_email_domain(request: AuthenticatedRequest, domain_id: int) -> Status[None]:
    """Remove a domain: its addresses no longer lead to the identity provider."""
    domain_verification.remove_domain(request.actor, domain_id)
    return Status(204, None)
