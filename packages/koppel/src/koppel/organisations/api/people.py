"""The caller's identity, and the people of the organisation, over REST."""

from datetime import datetime

from ninja import Router, Schema, Status

from koppel.organisations.access import sessions
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import Invitation, Membership, Organisation
from koppel.organisations.people import handover
from koppel.organisations.people import services as people_services
from koppel.organisations.people.inputs import AccessInput, HandOverInput
from koppel.organisations.requests import (
    AuthenticatedRequest,
    permission_required,
    require_recent_sign_in_for_roles,
)
from koppel.organisations.roles import Permission

router = Router()


class OrganisationOut(Schema):
    id: int
    name: str


class MeOut(Schema):
    """`token` is the name of the token used; null in a browser. `permissions` are those of this role."""

    organisation: OrganisationOut
    name: str
    role: str
    permissions: list[str]
    read_only: bool
    token: str | None


@router.get("/me", response=MeOut)
def show_actor(request: AuthenticatedRequest) -> MeOut:
    """Return the person, organisation and role of this request: the first call of a new program."""
    actor = request.actor
    organisation = Organisation.objects.get(pk=actor.organisation_id)
    return MeOut(
        organisation=OrganisationOut(id=organisation.pk, name=organisation.name),
        name=actor.name,
        role=actor.role,
        permissions=[permission for permission in Permission if actor.can(permission)],
        read_only=actor.read_only,
        token=actor.token_name if actor.token_id is not None else None,
    )


class PersonOut(Schema):
    """`divisions` are ids. A person whose access has expired or was taken away is not `active`."""

    id: int
    name: str
    email: str
    role: str
    active: bool
    expires_at: datetime | None
    divisions: list[int]


@router.get("/people", response=list[PersonOut])
@permission_required(Permission.MANAGE_PEOPLE)
def list_people(request: AuthenticatedRequest) -> list[PersonOut]:
    """List current and former members, by name."""
    memberships = Membership.objects.for_actor(request.actor).select_related("user")
    return [
        _to_schema(membership)
        for membership in memberships.prefetch_related("divisions").order_by("user__name", "pk")
    ]


def _to_schema(membership: Membership) -> PersonOut:
    return PersonOut(
        id=membership.pk,
        name=membership.user.name,
        email=membership.user.email,
        role=membership.role,
        active=membership.is_live,
        expires_at=membership.expires_at,
        divisions=sorted(link.division_id for link in membership.divisions.all()),
    )


class InvitationOut(Schema):
    """`mail_failed`: the email could not be delivered. `is_outside_domains`: the organisation no longer
    accepts its domain. `is_sender_authorized`: who sent it may still give this role; otherwise the link works
    when somebody who may has sent it again.
    """

    id: int
    email: str
    name: str
    role: str
    valid_until: datetime
    mail_failed: bool
    is_outside_domains: bool
    is_sender_authorized: bool


class HandOverResult(Schema):
    """The number of each."""

    moved: dict[str, int]


class SessionsEnded(Schema):
    sessions: int


@router.get("/people/invitations", response=list[InvitationOut])
@permission_required(Permission.MANAGE_PEOPLE)
def list_invitations(request: AuthenticatedRequest) -> list[Invitation]:
    """List open invitations, newest first."""
    queryset = invitations.open_invitations(request.actor.organisation_id)
    return list(queryset.select_related("organisation", "invited_by").order_by("-pk"))


@router.post("/people/invitations", response={201: InvitationOut})
@permission_required(Permission.MANAGE_PEOPLE)
def invite_person(request: AuthenticatedRequest, payload: InvitationInput) -> Status[Invitation]:
    """Invite a person by email to become a member."""
    require_recent_sign_in_for_roles(request, payload.role)
    return Status(201, invitations.invite(request.actor, payload))


@router.post("/people/invitations/{int:invitation_id}/resend", response=InvitationOut)
@permission_required(Permission.MANAGE_PEOPLE)
def resend_invitation(request: AuthenticatedRequest, invitation_id: int) -> Invitation:
    """Send a new email; the link in the older one becomes invalid."""
    return invitations.resend(request.actor, invitation_id)


@router.delete("/people/invitations/{int:invitation_id}", response={204: None})
@permission_required(Permission.MANAGE_PEOPLE)
def revoke_invitation(request: AuthenticatedRequest, invitation_id: int) -> Status[None]:
    """Revoke the invitation."""
    invitations.revoke(request.actor, invitation_id)
    return Status(204, None)


@router.put("/people/{int:membership_id}", response=PersonOut)
@permission_required(Permission.MANAGE_PEOPLE)
def change_access(request: AuthenticatedRequest, membership_id: int, payload: AccessInput) -> PersonOut:
    """Change role, divisions and access. Lost access ends at once, tokens included."""
    membership = people_services.get_member(request.actor, membership_id)
    require_recent_sign_in_for_roles(request, membership.role, payload.terms.role)
    return _to_schema(people_services.update_membership(request.actor, membership_id, payload.terms))


@router.post("/people/{int:membership_id}/hand-over", response=HandOverResult)
@permission_required(Permission.MANAGE_PEOPLE)
def hand_over(request: AuthenticatedRequest, membership_id: int, payload: HandOverInput) -> HandOverResult:
    """Hand all items of a member over to a colleague."""
    if payload.deactivate:
        membership = people_services.get_member(request.actor, membership_id)
        require_recent_sign_in_for_roles(request, membership.role)
    return HandOverResult(moved=handover.hand_over(request.actor, membership_id, payload))


@router.post("/people/{int:membership_id}/end-sessions", response=SessionsEnded)
@permission_required(Permission.MANAGE_PEOPLE)
def end_sessions(request: AuthenticatedRequest, membership_id: int) -> SessionsEnded:
    """End all sessions of the person in this organisation."""
    membership = people_services.get_manageable_member(request.actor, membership_id)
    return SessionsEnded(sessions=sessions.end_sessions_of(request.actor, membership))
