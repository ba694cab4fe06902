"""Who a program acts as, and the people of the organisation, over REST."""

from datetime import datetime

from ninja import Router, Schema

from koppel.organisations.models import Membership, Organisation
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest

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
def people(request: MemberRequest) -> list[PersonOut]:
    """Everybody who is or was a member, by name."""
    request.actor.require(Permission.PEOPLE)
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
