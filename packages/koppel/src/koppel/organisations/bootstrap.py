"""Operator actions in the shell: before the first sign-in, or for a person who cannot sign in.

The organisation's audit log records these actions under the account of the shell.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.models import Interface
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.outage import repeat_after_outage
from koppel.kit.database.text import clean_text
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access import mfa
from koppel.organisations.access.memberships import active_memberships
from koppel.organisations.access.password_links import password_link
from koppel.organisations.audit_actions import OrganisationAction, PersonAction
from koppel.organisations.errors import Refused
from koppel.organisations.inputs import OrganisationInput
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import Invitation, Membership, Organisation, User
from koppel.organisations.people import services as people_services
from koppel.organisations.people.operators import NO_MEMBERSHIP
from koppel.organisations.roles import Actor, Role
from koppel.organisations.settings_schema import validate_settings


class InstallationState(StrEnum):
    """The state of an installation: without an organisation, with one but without a person who can sign in,
    or in use.
    """

    EMPTY = "empty"
    WAITING = "waiting"
    READY = "ready"


@dataclass(frozen=True)
class OrganisationSummary:
    """An organisation as `koppel organisations list` shows it.

    `people` and `administrators` may sign in now; `invited` may become Administrators.
    """

    id: int
    name: str
    people: int
    administrators: list[str]
    invited: list[str]
    created_at: datetime


class LinkKind(StrEnum):
    """The purpose of a link: to accept an invitation, or to choose a new password."""

    INVITATION = "invitation"
    PASSWORD = "password"  # noqa: S105 - the name of a kind


@dataclass(frozen=True, kw_only=True)
class RecoveryLink:
    """An address with which one person signs in, once."""

    email: str
    kind: LinkKind
    link: str
    valid_until: datetime


def installation_state() -> InstallationState:
    """Return the state. Called at each view of the sign-in page, so it costs one query where there is a
    person.
    """
    if User.objects.exists():
        return InstallationState.READY
    with installation_scope("first organisation"):
        return InstallationState.WAITING if Organisation.objects.exists() else InstallationState.EMPTY


def shell_operator(account: str, ip_address: str) -> Actor:
    """Return an actor without organisation, named by the account.

    Anyone who can read the installation's environment is an operator.
    """
    return Actor(
        organisation_id=NO_MEMBERSHIP,
        membership_id=NO_MEMBERSHIP,
        user_id=NO_MEMBERSHIP,
        name=account,
        role=Role.ADMINISTRATOR,
        ip_address=ip_address,
        interface=Interface.CLI,
        is_operator=True,
    )


@repeat_after_outage
def create_organisation(
    operator: Actor,
    organisation_input: OrganisationInput,
    administrator: InvitationInput,
    *,
    language: str = "",
) -> Invitation:
    """Create an organisation and invite its first Administrator. Raises `Refused`, and then creates
    nothing.
    """
    name, settings_values = (
        clean_text(organisation_input.name),
        validate_settings(organisation_input.settings),
    )
    if not name:
        raise Refused(_("Enter a name."), field="name")
    with installation_scope("organisation made"):
        if Organisation.objects.filter(name__iexact=name).exists():
            raise Refused(_("“%s” already exists.") % name)
        organisation = Organisation.objects.create(name=name, settings=settings_values)
        with organisation_scope(organisation.pk):
            actor = replace(operator, organisation_id=organisation.pk)
            add_audit_entry(
                organisation.pk,
                actor.audit,
                OrganisationAction.CREATED,
                subject=Subject(kind=SubjectKind.ORGANISATION, id=organisation.pk, name=name),
            )
            invitation = invitations.invite(actor, administrator, language=language)
    invitation.organisation = organisation
    return invitation


@repeat_after_outage
def add_administrator(
    operator: Actor, organisation_id: int, invitation_input: InvitationInput, *, language: str = ""
) -> Invitation | Membership:
    """Make a member Administrator, or invite another person as one. Raises `Refused`.

    Earlier invitations from the shell become invalid: their address may have been mistyped.
    """
    with installation_scope("administrator added"):
        if not Organisation.objects.filter(pk=organisation_id).exists():
            raise Refused(_("Organisation not found; run `koppel organisations list`."))
        with organisation_scope(organisation_id):
            actor = replace(operator, organisation_id=organisation_id)
            members = Membership.objects.in_organisation(organisation_id)
            membership = members.filter(user__email__iexact=invitation_input.email.strip()).first()
            if membership is not None:
                terms = people_services.terms_of(membership)
                access = replace(terms, role=Role.ADMINISTRATOR, is_active=True, expires_at=None)
                return people_services.update_membership(actor, membership.pk, access)
            for invitation in invitations.open_invitations(organisation_id).filter(invited_by=None):
                invitations.revoke(actor, invitation.pk)
            return invitations.invite(actor, invitation_input, language=language)


@repeat_after_outage
def create_recovery_link(operator: Actor, email: str, *, resets_mfa: bool = False) -> RecoveryLink:
    """Create a password-reset link; for a user without one, resend the latest invitation. Raises
    `Refused`.
    """
    user = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
    with installation_scope("link from the shell"):
        organisations = list(_organisations_of(user)) if user else []
        if user is not None and (organisations or user.is_operator):
            return _password_link(operator, user, organisations, resets_mfa=resets_mfa)
        invited = Invitation.objects.filter(email__iexact=email.strip(), accepted_at=None, revoked_at=None)
        latest = invited.order_by("-created_at", "-pk").first()
        if latest is None:
            raise Refused(_("No active user or open invitation found for the address %s.") % email)
        with organisation_scope(latest.organisation_id):
            actor = replace(operator, organisation_id=latest.organisation_id)
            return invitation_link(invitations.resend(actor, latest.pk))


def invitation_link(invitation: Invitation) -> RecoveryLink:
    return RecoveryLink(
        email=invitation.email,
        kind=LinkKind.INVITATION,
        link=invitations.link_of(invitation),
        valid_until=invitation.valid_until,
    )


def list_organisation_summaries() -> list[OrganisationSummary]:
    """Return all organisations, by name."""
    with installation_scope("organisations listed"):
        people_counts = dict(
            active_memberships().order_by().values_list("organisation_id").annotate(Count("pk"))
        )
        administrators = _emails_by_organisation(
            active_memberships().filter(role=Role.ADMINISTRATOR), "user__email"
        )
        open_invitations = Invitation.objects.filter(
            role=Role.ADMINISTRATOR, accepted_at=None, revoked_at=None
        )
        invited = _emails_by_organisation(open_invitations, "email")
        return [
            OrganisationSummary(
                id=organisation.pk,
                name=organisation.name,
                people=people_counts.get(organisation.pk, 0),
                administrators=administrators[organisation.pk],
                invited=invited[organisation.pk],
                created_at=organisation.created_at,
            )
            for organisation in Organisation.objects.order_by("name", "pk")
        ]


def _emails_by_organisation(queryset: "QuerySet[Any]", field: str) -> defaultdict[int, list[str]]:
    """Return the e-mail addresses of the rows by organisation, in order."""
    emails: defaultdict[int, list[str]] = defaultdict(list)
    for organisation_id, email in queryset.order_by(field).values_list("organisation_id", field):
        emails[organisation_id].append(email)
    return emails


def _organisations_of(user: User) -> Iterator[tuple[int, int]]:
    """Yield the ids of each organisation of a user, and of the membership there."""
    yield from (
        active_memberships()
        .filter(user=user)
        .order_by("organisation_id")
        .values_list("organisation_id", "pk")
    )


def _password_link(
    operator: Actor, user: User, organisations: list[tuple[int, int]], *, resets_mfa: bool
) -> RecoveryLink:
    actions = [PersonAction.RECOVERY_LINK_CREATED]
    if resets_mfa and mfa.remove_mfa(user.pk):
        actions.append(PersonAction.MFA_RESET)
    for organisation_id, membership_id in organisations:
        subject = Subject(kind=SubjectKind.PERSON, id=membership_id, name=str(user))
        for action in actions:
            add_audit_entry(
                organisation_id,
                replace(operator, organisation_id=organisation_id).audit,
                action,
                subject=subject,
            )
    valid_until = timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    return RecoveryLink(
        email=user.email, kind=LinkKind.PASSWORD, link=password_link(user), valid_until=valid_until
    )
