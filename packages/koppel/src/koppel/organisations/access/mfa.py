"""Second steps of sign-in, and the organisations that require one."""

from allauth.mfa.models import Authenticator
from django.db.models import F
from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.organisations.access.memberships import works_elsewhere
from koppel.organisations.audit_actions import PersonAction
from koppel.organisations.errors import Refused
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission

SECOND_FACTOR_TYPES = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""The second factors. Recovery codes accompany them and are no second factor alone."""


def has_mfa(user_id: int) -> bool:
    return bool(Authenticator.objects.filter(user_id=user_id, type__in=SECOND_FACTOR_TYPES).exists())


def must_enrol_mfa(membership: Membership) -> bool:
    """Return whether the organisation requires a second step that the person lacks and no identity provider
    vouches for.

    For callers without a session; within the installation's scope.
    """
    if not membership.organisation.requires_mfa or has_mfa(membership.user_id):
        return False
    return not membership.subjects.filter(provider__is_active=True, issuer=F("provider__issuer")).exists()


def method_names(user_id: int) -> list[str]:
    """Return the names of the methods that a person has set up."""
    labels = {
        Authenticator.Type.TOTP: _("authenticator app"),
        Authenticator.Type.WEBAUTHN: _("passkey"),
        Authenticator.Type.RECOVERY_CODES: _("recovery codes"),
    }
    kinds = (
        Authenticator.objects.filter(user_id=user_id)
        .order_by("type")
        .values_list("type", flat=True)
        .distinct()
    )
    return [labels[Authenticator.Type(kind)] for kind in kinds]


def reset_mfa(actor: Actor, membership: Membership) -> None:
    """Remove all second steps of a person. Raises `Refused` for a person who also works for other
    organisations or operates the installation: this organisation must not weaken their account.
    """
    actor.require(Permission.MANAGE_PEOPLE)
    if works_elsewhere(membership) or membership.user.is_operator:
        raise Refused(
            _(
                "This person also works for another organisation or operates this installation, so only "
                "they can change this."
            )
        )
    remove_mfa(membership.user_id)
    subject = Subject(kind=SubjectKind.PERSON, id=membership.pk, name=str(membership.user))
    add_audit_entry(actor.organisation_id, actor.audit, PersonAction.MFA_RESET, subject=subject)


def remove_mfa(user_id: int) -> bool:
    """Remove all second steps of a person. Return whether there were any."""
    count, _kinds = Authenticator.objects.filter(user_id=user_id).delete()
    return bool(count)
