"""Who a program acts as, and the people of the organisation, over REST."""

from datetime import datetime

from django.utils.timezone import is_naive, make_aware
from ninja import Router, Schema, Status

from koppel.kit.schemas import Input
from koppel.organisations import handover, invitations, people, sessions
from koppel.organisations.invitations import Wanted
from koppel.organisations.models import Invitation, Membership, Organisation
from koppel.organisations.people import Access
from koppel.organisations.policy import Permission, Role
from koppel.web.doors import MemberRequest, needs

router = Router()


class OrganisationOut(Schema):
    id: int
    name: str


class MeOut(Schema):
    """`token` is the name of the token used; null in a browser. `permissions` are what this role may do."""

    organisation: OrganisationOut
    name: str
    role: str
    permissions: list[str]
    read_only: bool
    token: str | None


@router.get("/me", response=MeOut)
def me(request: MemberRequest) -> MeOut:
    """The person, organisation and role behind this request: the first call of a new program."""
    actor = request.actor
    organisation = Organisation.objects.get(pk=actor.organisation_id)
    return MeOut(
        organisation=OrganisationOut(id=organisation.pk, name=organisation.name),
        name=actor.name,
        role=actor.role,
        permissions=[permission for permission in Permission if actor.may(permission)],
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
@needs(Permission.PEOPLE)
def list_people(request: MemberRequest) -> list[PersonOut]:
    """Everybody who is or was a member, by name."""
    found = Membership.objects.filter(organisation_id=request.actor.organisation_id).select_related("user")
    return [_person(one) for one in found.prefetch_related("divisions").order_by("user__name", "pk")]


def _person(one: Membership) -> PersonOut:
    return PersonOut(
        id=one.pk,
        name=one.user.name,
        email=one.user.email,
        role=one.role,
        active=one.is_live,
        expires_at=one.expires_at,
        divisions=sorted(each.division_id for each in one.divisions.all()),
    )


class InvitationIn(Input):
    """`divisions` are ids. `until`: access ends by itself then."""

    email: str
    name: str = ""
    role: Role = Role.USER
    divisions: list[int] = []
    until: datetime | None = None


class InvitationOut(Schema):
    """`mail_failed`: the mail could not be delivered. `is_outside_domains`: the organisation no longer accepts its domain."""

    id: int
    email: str
    name: str
    role: str
    valid_until: datetime
    mail_failed: bool
    is_outside_domains: bool


class AccessIn(Input):
    """All of it: what is left out becomes what stands here. `divisions` are ids."""

    role: Role
    active: bool = True
    expires_at: datetime | None = None
    divisions: list[int] = []


class HandOverIn(Input):
    """`to` is the id of the colleague; `deactivate` takes away the first one's access in the same act."""

    to: int
    deactivate: bool = False


class Moved(Schema):
    """How many of each."""

    moved: dict[str, int]


class Ended(Schema):
    sessions: int


@router.get("/people/invitations", response=list[InvitationOut])
@needs(Permission.PEOPLE)
def list_invitations(request: MemberRequest) -> list[Invitation]:
    """Those that are neither accepted nor revoked, the newest first."""
    own = invitations.open_invitations(request.actor.organisation_id)
    return list(own.select_related("organisation").order_by("-pk"))


@router.post("/people/invitations", response={201: InvitationOut})
def invite(request: MemberRequest, given: InvitationIn) -> Status[Invitation]:
    """Ask somebody by mail to become a member."""
    wanted = Wanted(given.email, given.name, given.role, frozenset(given.divisions), _aware(given.until))
    return Status(201, invitations.invite(request.actor, wanted))


@router.post("/people/invitations/{int:invitation_id}/resend", response=InvitationOut)
def resend(request: MemberRequest, invitation_id: int) -> Invitation:
    """A new mail; the link in the older one opens nothing any more."""
    return invitations.resend(request.actor, invitation_id)


@router.delete("/people/invitations/{int:invitation_id}", response={204: None})
def revoke(request: MemberRequest, invitation_id: int) -> Status[None]:
    """Take the invitation back."""
    invitations.revoke(request.actor, invitation_id)
    return Status(204, None)


@router.put("/people/{int:membership_id}", response=PersonOut)
def change_access(request: MemberRequest, membership_id: int, given: AccessIn) -> PersonOut:
    """Role, divisions and access. Whoever loses access is out at once, tokens included."""
    wanted = Access(given.role, given.active, _aware(given.expires_at), frozenset(given.divisions))
    return _person(people.change_access(request.actor, membership_id, wanted))


@router.post("/people/{int:membership_id}/hand-over", response=Moved)
def hand_over(request: MemberRequest, membership_id: int, given: HandOverIn) -> Moved:
    """Everything that the person holds goes to a colleague."""
    return Moved(moved=handover.hand_over(request.actor, membership_id, given.to, deactivate=given.deactivate))


@router.post("/people/{int:membership_id}/end-sessions", response=Ended)
def end_sessions(request: MemberRequest, membership_id: int) -> Ended:
    """Sign the person out of this organisation everywhere."""
    request.actor.require(Permission.PEOPLE)
    one = people.member(request.actor, membership_id)
    people.refuse_out_of_reach(request.actor, Role(one.role))
    return Ended(sessions=sessions.end_sessions_of(request.actor, one))


def _aware(moment: datetime | None) -> datetime | None:
    """A moment without a zone is one of the installation's."""
    return make_aware(moment) if moment is not None and is_naive(moment) else moment
