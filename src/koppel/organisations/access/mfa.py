"""The second step at sign-in, and what an organisation asks of it."""

from allauth.mfa.models import Authenticator
from django.db.models import F
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.access.memberships import works_elsewhere
from koppel.organisations.errors import Refused
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission

PROVES = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""Recovery codes come with one of these; alone they are none."""


def has_second_step(user_id: int) -> bool:
    return bool(Authenticator.objects.filter(user_id=user_id, type__in=PROVES).exists())


def lacks_second_step(membership: Membership) -> bool:
    """The organisation asks for one, and neither the person has it nor its identity provider vouches for the person. For what
    acts without a session of its own; within the installation's scope."""
    if not membership.organisation.requires_second_step or has_second_step(membership.user_id):
        return False
    return not membership.subjects.filter(provider__is_active=True, issuer=F("provider__issuer")).exists()


def names_of(user_id: int) -> list[str]:
    """What somebody has set up, in words."""
    words = {
        Authenticator.Type.TOTP: _("authenticator app"),
        Authenticator.Type.WEBAUTHN: _("passkey"),
        Authenticator.Type.RECOVERY_CODES: _("recovery codes"),
    }
    kinds = Authenticator.objects.filter(user_id=user_id).order_by("type").values_list("type", flat=True).distinct()
    return [words[Authenticator.Type(kind)] for kind in kinds]


def reset(actor: Actor, person: Membership) -> None:
    """Remove everything that somebody set up. Raises `Refused` for who works for other organisations too, or operates the
    installation: theirs is not ours to weaken."""
    actor.require(Permission.PEOPLE)
    if works_elsewhere(person) or person.user.is_operator:
        raise Refused(
            _("This person works elsewhere too or operates this installation, so only they themselves can change this.")
        )
    remove(person.user_id)
    subject = ("person", person.pk, str(person.user))
    record(actor.organisation_id, actor.audit, "person.second_step_reset", subject=subject)


def remove(user_id: int) -> bool:
    """Everything that somebody set up. Whether there was anything."""
    count, _kinds = Authenticator.objects.filter(user_id=user_id).delete()
    return bool(count)
