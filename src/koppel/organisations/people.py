"""Use cases of the people of an organisation: role, divisions, access, and the rules that keep it governable."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.errors import Refused
from koppel.organisations.models import ApiToken, Division, DivisionMember, Membership, Organisation, User
from koppel.organisations.policy import Actor, Permission, Role
from koppel.organisations.sessions import end_sessions
from koppel.organisations.signals import membership_began


@dataclass(frozen=True)
class Access:
    """What somebody is in the organisation. `until` ends it by itself; None: it does not end."""

    role: Role
    is_active: bool
    until: datetime | None
    divisions: frozenset[int]


def member(actor: Actor, membership_id: int) -> Membership:
    """A member of the actor's organisation, live or not. Raises `Refused`."""
    own = Membership.objects.filter(organisation_id=actor.organisation_id).select_related("user")
    found = own.filter(pk=membership_id).first()
    if found is None:
        raise Refused(_("This person is not a member of your organisation."))
    return found


def may_give(actor: Actor, role: Role) -> bool:
    """Administrators are made and changed by Administrators only."""
    return actor.may(Permission.PEOPLE) and (role != Role.ADMINISTRATOR or actor.role == Role.ADMINISTRATOR)


def access_of(membership: Membership) -> Access:
    divisions = frozenset(membership.divisions.values_list("division_id", flat=True))
    return Access(Role(membership.role), membership.is_active, membership.expires_at, divisions)


def change_access(actor: Actor, membership_id: int, wanted: Access) -> Membership:
    """Role, divisions, and until when or whether the person may come in. Raises `Refused` with a sentence."""
    one, before = check_change(actor, membership_id, wanted)
    was_live = one.is_live
    one.role, one.is_active, one.expires_at = wanted.role, wanted.is_active, wanted.until
    comes_back = one.is_live and not was_live
    if comes_back:
        # By our word alone: until the person acts, this must not be where their next sign-in leads.
        one.given_back_at = timezone.now()
    one.save(update_fields=["role", "is_active", "expires_at", "given_back_at"])
    divisions = set_divisions(one, wanted.divisions)
    if not one.is_live:
        shut_out(one)
    if comes_back:
        membership_began.send(Membership, membership=one)
    after = Access(wanted.role, wanted.is_active, wanted.until, divisions)
    if after != before:
        _record(actor, one, "person.changed", before=_told(before), after=_told(after))
    return one


def check_change(actor: Actor, membership_id: int, wanted: Access) -> tuple[Membership, Access]:
    """Whether `change_access` would do it: the member, and what they may now. Others who change access wait meanwhile.

    Raises `Refused` with a sentence."""
    actor.require(Permission.PEOPLE)
    one_at_a_time(actor)
    one = member(actor, membership_id)
    before = access_of(one)
    refuse_out_of_reach(actor, before.role, wanted.role)
    if wanted.until != before.until and wanted.until is not None and wanted.until <= timezone.now():
        raise Refused(_("The day on which access ends lies in the past."))
    ends = not is_live_with(wanted)
    if one.pk == actor.membership_id and ends:
        raise Refused(_("You cannot take away your own access. Ask a colleague to do it."))
    governs = wanted.is_active and wanted.role == Role.ADMINISTRATOR and wanted.until is None
    if before.role == Role.ADMINISTRATOR and not governs:
        _refuse_last_administrator(one)
    return one, before


def is_live_with(wanted: Access) -> bool:
    """Whether somebody with this access may come in now."""
    return wanted.is_active and (wanted.until is None or wanted.until > timezone.now())


def set_divisions(membership: Membership, division_ids: Iterable[int]) -> frozenset[int]:
    """The divisions of a person, all of them; ids of other organisations are left out. Those that the person now has."""
    own = {"organisation_id": membership.organisation_id}
    wanted = frozenset(Division.objects.filter(**own, pk__in=list(division_ids)).values_list("pk", flat=True))
    DivisionMember.objects.filter(**own, membership=membership).exclude(division_id__in=wanted).delete()
    DivisionMember.objects.bulk_create(
        [DivisionMember(**own, membership=membership, division_id=one) for one in wanted], ignore_conflicts=True
    )
    return wanted


def shut_out(membership: Membership) -> None:
    """End the sessions in this organisation and revoke the tokens of somebody who may no longer come in."""
    end_sessions(membership.user_id, membership.organisation_id)
    tokens = ApiToken.objects.filter(organisation_id=membership.organisation_id, membership=membership, revoked_at=None)
    tokens.update(revoked_at=Now())


def refuse_out_of_reach(actor: Actor, *roles: Role) -> None:
    """Raises `Refused` when one of the roles is not the actor's to give or to take."""
    if not all(may_give(actor, role) for role in roles):
        raise Refused(_("Only an Administrator can make or change an Administrator."))


def checked_email(organisation: Organisation, text: str) -> str:
    """The address as it is stored. Raises `Refused` when it is none, or the organisation does not accept its domain."""
    email = User.objects.normalize_email(text.replace("\0", "").strip())
    try:
        validate_email(email)
    except ValidationError:
        raise Refused(_("“%s” is not an e-mail address.") % text.strip()) from None
    refuse_domain(organisation, email)
    return email


def refuse_domain(organisation: Organisation, email: str) -> None:
    """Raises `Refused` when the organisation does not accept addresses of this domain."""
    if not organisation.accepts(email):
        raise Refused(_("Your organisation accepts addresses of %s only.") % ", ".join(organisation.email_domains))


def one_at_a_time(actor: Actor) -> None:
    """Two Administrators who take away each other's role at the same moment must not both succeed."""
    Organisation.objects.select_for_update().get(pk=actor.organisation_id)


def _refuse_last_administrator(leaving: Membership) -> None:
    others = Membership.objects.filter(
        organisation_id=leaving.organisation_id, role=Role.ADMINISTRATOR, is_active=True, expires_at=None,
        user__is_active=True,
    )  # fmt: skip
    if not others.exclude(pk=leaving.pk).exists():
        raise Refused(_("This is the last Administrator whose access does not end. Make somebody else one first."))


def _told(access: Access) -> dict[str, object]:
    """For the trail, divisions by name: they may be gone when it is read."""
    names = Division.objects.filter(pk__in=access.divisions).order_by("name").values_list("name", flat=True)
    until = access.until.isoformat() if access.until else None
    return {"role": access.role, "is_active": access.is_active, "until": until, "divisions": list(names)}


def _record(actor: Actor, one: Membership, act: str, **details: object) -> None:
    subject = ("person", one.pk, str(one.user))
    record(actor.organisation_id, actor.audit, act, subject=subject, details=details)
