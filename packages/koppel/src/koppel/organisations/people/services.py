"""Use cases of people: role, divisions, access, and the rules that keep an organisation governable."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import add_actor_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.text import clean_text
from koppel.organisations.access.sessions import end_sessions
from koppel.organisations.audit_actions import PersonAction
from koppel.organisations.errors import NoSuchMember, Refused
from koppel.organisations.hooks import membership_began
from koppel.organisations.models import ApiToken, Division, DivisionMember, Membership, Organisation, User
from koppel.organisations.roles import Actor, Permission, Role


@dataclass(frozen=True, kw_only=True)
class MembershipTerms:
    """A person's role and access. `expires_at` ends it; None: no end."""

    role: Role
    is_active: bool
    expires_at: datetime | None
    divisions: frozenset[int]


def get_member(actor: Actor, membership_id: int) -> Membership:
    """Return a member of the actor's organisation, active or not. Raises `NoSuchMember`."""
    memberships = Membership.objects.for_actor(actor).select_related("user")
    membership = memberships.filter(pk=membership_id).first()
    if membership is None:
        raise NoSuchMember(_("This person is not a member of your organisation."))
    return membership


def get_manageable_member(actor: Actor, membership_id: int) -> Membership:
    """Return a member whose access is the actor's to change. Raises `NoSuchMember`, and `Refused` for an
    Administrator whom only another one may change.
    """
    actor.require(Permission.MANAGE_PEOPLE)
    membership = get_member(actor, membership_id)
    require_grantable_role(actor, Role(membership.role))
    return membership


def can_grant_role(actor: Actor, role: Role) -> bool:
    """Return whether the actor may assign or remove this role: only Administrators appoint and change
    Administrators.
    """
    return actor.can(Permission.MANAGE_PEOPLE) and (
        role != Role.ADMINISTRATOR or actor.role == Role.ADMINISTRATOR
    )


def terms_of(membership: Membership) -> MembershipTerms:
    divisions = frozenset(membership.divisions.values_list("division_id", flat=True))
    return MembershipTerms(
        role=Role(membership.role),
        is_active=membership.is_active,
        expires_at=membership.expires_at,
        divisions=divisions,
    )


def update_membership(actor: Actor, membership_id: int, new_terms: MembershipTerms) -> Membership:
    """Change role, divisions, and until when or whether the person has access. Raises `Refused` with a
    sentence.
    """
    membership, before = require_change_allowed(actor, membership_id, new_terms)
    was_live = membership.is_live
    membership.role, membership.is_active, membership.expires_at = (
        new_terms.role,
        new_terms.is_active,
        new_terms.expires_at,
    )
    comes_back = membership.is_live and not was_live
    if comes_back:
        # Restored by an administrator: the next sign-in must not open this organisation until the person
        # chooses it.
        membership.access_restored_at = timezone.now()
    membership.save(update_fields=["role", "is_active", "expires_at", "access_restored_at"])
    divisions = set_divisions(membership, new_terms.divisions)
    if not membership.is_live:
        revoke_access(membership)
    if comes_back:
        membership_began(membership)
    after = MembershipTerms(
        role=new_terms.role,
        is_active=new_terms.is_active,
        expires_at=new_terms.expires_at,
        divisions=divisions,
    )
    if after != before:
        add_actor_entry(
            actor,
            PersonAction.CHANGED,
            Subject(kind=SubjectKind.PERSON, id=membership.pk, name=str(membership.user)),
            before=_audit_details(before),
            after=_audit_details(after),
        )
    return membership


def require_change_allowed(
    actor: Actor, membership_id: int, new_terms: MembershipTerms
) -> tuple[Membership, MembershipTerms]:
    """Return the member, and their present access, if `update_membership` would succeed. Raises `Refused`
    with a sentence.

    Other changes of access wait meanwhile.
    """
    actor.require(Permission.MANAGE_PEOPLE)
    lock_access_changes(actor)
    membership = get_member(actor, membership_id)
    before = terms_of(membership)
    require_grantable_role(actor, before.role, new_terms.role)
    require_divisions(Division.objects.for_actor(actor), new_terms.divisions)
    if (
        new_terms.expires_at != before.expires_at
        and new_terms.expires_at is not None
        and new_terms.expires_at <= timezone.now()
    ):
        raise Refused(_("Choose an end date in the future."), field="expires_at")
    loses_access = not allows_sign_in(new_terms)
    if membership.pk == actor.membership_id and loses_access:
        raise Refused(_("You cannot revoke your own access. Ask a colleague."), field="active")
    remains_administrator = (
        new_terms.is_active and new_terms.role == Role.ADMINISTRATOR and new_terms.expires_at is None
    )
    if before.role == Role.ADMINISTRATOR and not remains_administrator:
        _require_remaining_administrator(membership)
    return membership, before


def allows_sign_in(new_terms: MembershipTerms) -> bool:
    """Return whether a person with this access may sign in now."""
    return new_terms.is_active and (new_terms.expires_at is None or new_terms.expires_at > timezone.now())


def require_divisions(offered: "QuerySet[Division]", division_ids: Iterable[int]) -> None:
    """Require that all ids are those of `offered` divisions. Raises `Refused` with the others."""
    if unknown := sorted(set(division_ids) - set(offered.values_list("pk", flat=True))):
        numbers = ", ".join(map(str, unknown))
        raise Refused(_("There is no division with the number %s.") % numbers, field="divisions")


def set_divisions(membership: Membership, division_ids: Iterable[int]) -> frozenset[int]:
    """Set all divisions of a person, without ids of other organisations. Return the divisions."""
    divisions = Division.objects.in_organisation(membership.organisation_id).filter(pk__in=list(division_ids))
    division_set = frozenset(divisions.values_list("pk", flat=True))
    members = DivisionMember.objects.in_organisation(membership.organisation_id).filter(membership=membership)
    members.exclude(division_id__in=division_set).delete()
    DivisionMember.objects.bulk_create(
        [
            DivisionMember(
                organisation_id=membership.organisation_id, membership=membership, division_id=division_id
            )
            for division_id in division_set
        ],
        ignore_conflicts=True,
    )
    return division_set


def revoke_access(membership: Membership) -> None:
    """End the sessions in this organisation and revoke the tokens of a person who has lost access."""
    end_sessions(membership.user_id, membership.organisation_id)
    tokens = ApiToken.objects.in_organisation(membership.organisation_id).filter(
        membership=membership, revoked_at=None
    )
    tokens.update(revoked_at=Now())


def require_grantable_role(actor: Actor, *roles: Role) -> None:
    """Require that the actor may assign and remove these roles. Raises `Refused`."""
    if not all(can_grant_role(actor, role) for role in roles):
        raise Refused(_("Only an Administrator can appoint or change Administrators."), field="role")


def validate_email_address(organisation: Organisation, text: str) -> str:
    """Return the address as it is stored. Raises `Refused` when it is invalid, or the organisation does not
    accept its domain.
    """
    email = User.objects.normalize_email(clean_text(text))
    try:
        validate_email(email)
    except ValidationError:
        raise Refused(_("“%s” is not an e-mail address.") % text.strip(), field="email") from None
    require_allowed_domain(organisation, email)
    return email


def require_allowed_domain(organisation: Organisation, email: str) -> None:
    """Require a domain whose addresses the organisation accepts. Raises `Refused`."""
    if not organisation.accepts(email):
        domains = ", ".join(organisation.email_domains)
        raise Refused(_("Your organisation only accepts addresses of %s.") % domains, field="email")


def lock_access_changes(actor: Actor) -> None:
    """Serialise changes of access: two Administrators who remove each other's role at once must not both
    succeed.
    """
    Organisation.objects.select_for_update().get(pk=actor.organisation_id)


def _require_remaining_administrator(leaving: Membership) -> None:
    members = Membership.objects.in_organisation(leaving.organisation_id)
    administrators = members.filter(
        role=Role.ADMINISTRATOR, is_active=True, expires_at=None, user__is_active=True
    )
    if not administrators.exclude(pk=leaving.pk).exists():
        raise Refused(
            _("This is the last Administrator without an access end date. Appoint another one first.")
        )


def _audit_details(terms: MembershipTerms) -> dict[str, object]:
    """Return details for the audit log, with divisions by name: they may be deleted when it is read."""
    names = Division.objects.filter(pk__in=terms.divisions).order_by("name").values_list("name", flat=True)
    expires_at = terms.expires_at.isoformat() if terms.expires_at else None
    return {"role": terms.role, "is_active": terms.is_active, "until": expires_at, "divisions": list(names)}


def save_language(user_id: int, language: str) -> None:
    """Store the language of the person's own pages and emails."""
    User.objects.filter(pk=user_id).update(language=language)
