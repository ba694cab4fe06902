"""Audit actions tried for an account by a client that is not signed in."""

from koppel.audit.models import ActorKind, Interface
from koppel.audit.occurrences import record_repeatable
from koppel.audit.services import AuditActor
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.tenancy import INSTALLATION, installation_scope
from koppel.organisations.access.memberships import active_memberships
from koppel.organisations.audit_actions import SignInAction
from koppel.organisations.models import Membership, User

UNKNOWN_NAME = "–"
"""The name of an actor who is not signed in."""


def record_unauthenticated_action(user: User | None, action: SignInAction, address: str) -> None:
    """Record the action in each organisation of the user, or in the installation's log if there is none.

    `address` is the IP address of the client. Repetitions within ten minutes increase a count.
    """
    actor = unauthenticated_actor(address)
    memberships = list_active_memberships(user)
    for membership in memberships:
        subject = Subject(kind=SubjectKind.PERSON, id=membership.pk, name=str(membership.user))
        record_repeatable(membership.organisation_id, actor, action, subject=subject)
    if not memberships:
        record_repeatable(INSTALLATION, actor, action)


def list_active_memberships(user: User | None) -> list[Membership]:
    """Return the user's active memberships in all organisations, with the user.

    The query also runs without a user, so that the response time does not show whether there is one.
    """
    with installation_scope("sign-in log"):
        return list(active_memberships().filter(user=user.pk if user else 0).select_related("user"))


def unauthenticated_actor(address: str) -> AuditActor:
    return AuditActor(
        kind=ActorKind.PERSON, id=None, name=UNKNOWN_NAME, ip_address=address, interface=Interface.WEB
    )
