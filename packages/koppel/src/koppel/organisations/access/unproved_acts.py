"""Writes to the audit log what was tried for an account without proof of who tried it."""

from koppel.audit.models import ActorKind, Interface
from koppel.audit.occurrences import record_repeatable
from koppel.audit.services import AuditActor
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.tenancy import INSTALLATION, installation_scope
from koppel.organisations.access.memberships import active_memberships
from koppel.organisations.audit_actions import SignInAction
from koppel.organisations.models import Membership, User

UNKNOWN = "–"
"""The name of an actor who proved nothing."""


def record_unproved_act(user: User | None, action: SignInAction, address: str) -> None:
    """Record it in each organisation of the user; in the installation's log without a user or organisation.

    `address` is the IP address of the client. What repeats within ten minutes is counted.
    """
    actor = unproved_actor(address)
    memberships = list_active_memberships(user)
    for membership in memberships:
        subject = Subject(SubjectKind.PERSON, membership.pk, str(membership.user))
        record_repeatable(membership.organisation_id, actor, action, subject=subject)
    if not memberships:
        record_repeatable(INSTALLATION, actor, action)


def list_active_memberships(user: User | None) -> list[Membership]:
    """Return the user's active memberships in all organisations, with the user.

    It looks without a user too, so that the time does not tell whether there is one.
    """
    with installation_scope("sign-in log"):
        return list(active_memberships().filter(user=user.pk if user else 0).select_related("user"))


def unproved_actor(address: str) -> AuditActor:
    return AuditActor(ActorKind.PERSON, None, UNKNOWN, address, Interface.WEB)
