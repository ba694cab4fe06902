"""Operators of the installation: people with their own name, who read an organisation's data only while it
consents.

An operator is no member. Their actor may read what an Administrator may, restricted administrations excepted,
and change nothing; every interface refuses the rest.
"""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.models import Interface
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access import allowed_networks
from koppel.organisations.access.mfa import has_mfa
from koppel.organisations.audit_actions import OperatorAction
from koppel.organisations.errors import Refused
from koppel.organisations.models import Organisation, User
from koppel.organisations.roles import Actor, Role

NO_MEMBERSHIP = 0
"""The membership of an actor who has none."""


@dataclass(frozen=True, kw_only=True)
class OpenOrganisation:
    """An organisation that lets operators in."""

    organisation_id: int
    name: str
    ends_at: datetime


def list_open_organisations() -> list[OpenOrganisation]:
    """Return organisations that let operators in now, by name. For operators only; the others are not
    named.
    """
    with installation_scope("operator"):
        organisations = Organisation.objects.filter(operator_access_until__gt=timezone.now()).order_by("name")
        return [
            OpenOrganisation(
                organisation_id=organisation.pk,
                name=organisation.name,
                ends_at=organisation.operator_access_until,
            )
            for organisation in organisations
            if organisation.operator_access_until
        ]


def operator_actor(user_id: int | None, organisation_id: int, ip_address: str) -> Actor | None:
    """Return the operator as an actor in an organisation; None when it no longer consents, lets nobody in
    from this address, or requires a second step that the operator lacks. Called at every request.
    """
    with installation_scope("operator"):
        user = User.objects.filter(pk=user_id or 0, is_operator=True, is_active=True).first()
        organisation = _consenting_organisation(organisation_id)
        if user is None or organisation is None or _lacks_mfa(user.pk, organisation):
            return None
        if not allowed_networks.allows(organisation, ip_address):
            return None
    return Actor(
        organisation_id=organisation_id,
        membership_id=NO_MEMBERSHIP,
        user_id=user.pk,
        name=str(user),
        role=Role.ADMINISTRATOR,
        ip_address=ip_address,
        interface=Interface.WEB,
        read_only=True,
        is_operator=True,
    )


def start_support_session(user_id: int | None, organisation_id: int, ip_address: str) -> Actor:
    """Begin to read; the organisation's audit log records it. Raises `Refused`."""
    actor = operator_actor(user_id, organisation_id, ip_address)
    if actor is None:
        _refuse_with_reason(user_id, organisation_id, ip_address)
        raise Refused(_("This organisation does not grant support access."), field="organisation")
    record_action(actor, OperatorAction.ACCESS_STARTED)
    return actor


def _consenting_organisation(organisation_id: int) -> Organisation | None:
    return Organisation.objects.filter(pk=organisation_id, operator_access_until__gt=timezone.now()).first()


def _lacks_mfa(user_id: int, organisation: Organisation) -> bool:
    return organisation.requires_mfa and not has_mfa(user_id)


def _refuse_with_reason(user_id: int | None, organisation_id: int, ip_address: str) -> None:
    with installation_scope("operator"):
        organisation = _consenting_organisation(organisation_id)
        if organisation is not None and _lacks_mfa(user_id or 0, organisation):
            raise Refused(
                _("This organisation requires two-step verification. Set it up for your account first."),
                field="organisation",
            )
        if organisation is not None and not allowed_networks.allows(organisation, ip_address):
            raise Refused(
                _("This organisation allows sign-in from its own networks only."), field="organisation"
            )


def record_action(actor: Actor, action: OperatorAction) -> None:
    with organisation_scope(actor.organisation_id):
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            action,
            subject=Subject(SubjectKind.ORGANISATION, actor.organisation_id),
        )


def grant_operator(email: str, *, is_operator: bool) -> User:
    """Grant or withdraw the role of operator. Shell only: its user operates the installation anyway. Raises
    `Refused`.
    """
    user = User.objects.filter(email__iexact=email.strip()).first()
    if user is None:
        raise Refused(_("No user found with the address %s.") % email)
    user.is_operator = is_operator
    user.save(update_fields=["is_operator"])
    return user
