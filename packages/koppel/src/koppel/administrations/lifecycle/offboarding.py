"""The end of an administration: an import withdrawn, a client who left, and a client who came back.

Nothing is deleted here: `erasure` does that, a part at a time.
"""

from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.access import get_locked
from koppel.administrations.audit_actions import AdministrationAction
from koppel.administrations.hooks import stop_syncs
from koppel.administrations.identity.answers import confirm_client
from koppel.administrations.identity.services import CHANGES_OF_REGISTER, cached_register_result
from koppel.administrations.inputs import OffboardingInput, WithdrawalInput
from koppel.administrations.issue_types import AdministrationIssue
from koppel.administrations.models import Status
from koppel.audit.services import add_actor_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.issues.services import resolve_issues
from koppel.kit.jobs import enqueue
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

RETENTION_YEARS = 7
"""How long a Dutch firm must keep a client's books; proposed, not imposed."""


def withdraw(actor: Actor, administration_id: int, withdrawal_input: WithdrawalInput) -> None:
    """Withdraw an import: cancel it while it waits, or erase what was read.

    The administration disappears for all members at once, and the remote company can be imported again.
    Raises `NoSuchAdministration`, and `Refused` for another name than the administration's.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    administration = get_locked(actor, administration_id)
    if withdrawal_input.name.strip().casefold() != administration.name.strip().casefold():
        raise Refused(_("Type the name of the administration to withdraw it."), field="name")
    is_queued = administration.status == Status.QUEUED and administration.activated_at is None
    administration.withdrawn_at, administration.status = timezone.now(), Status.DEACTIVATED
    administration.save(update_fields=["withdrawn_at", "status"])
    add_actor_entry(
        actor,
        AdministrationAction.IMPORT_CANCELLED if is_queued else AdministrationAction.WITHDRAWN,
        Subject(SubjectKind.ADMINISTRATION, administration.pk),
    )
    stop_syncs(actor.organisation_id, [administration.pk])
    enqueue(
        "administrations.erase", organisation_id=actor.organisation_id, administration_id=administration.pk
    )


def offboard_client(actor: Actor, administration_id: int, offboarding_input: OffboardingInput) -> None:
    """Stop syncing this administration, not others of its connection. On `erase_on` everything is erased.
    Raises `Refused`.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    client_left_on, erase_on = offboarding_input.client_left_on, offboarding_input.erase_on
    administration = get_locked(actor, administration_id)
    if erase_on <= timezone.localdate():
        raise Refused(_("Choose a future date. To erase now, withdraw the administration."))
    if erase_on < client_left_on:
        raise Refused(_("The erase date cannot be before the client left."))
    administration.client_left_on, administration.erase_on, administration.scheduled_deactivation_on = (
        client_left_on,
        erase_on,
        None,
    )
    administration.status, administration.status_code, administration.status_reason = (
        Status.DEACTIVATED,
        "",
        "",
    )
    administration.deactivated_on = administration.deactivated_on or timezone.localdate()
    administration.save(
        update_fields=[
            "client_left_on",
            "erase_on",
            "scheduled_deactivation_on",
            "status",
            "status_code",
            "status_reason",
            "deactivated_on",
        ]
    )
    stop_syncs(actor.organisation_id, [administration.pk])
    subject = Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name)
    resolve_issues(actor.organisation_id, subject, *CHANGES_OF_REGISTER, AdministrationIssue.NUMBER_SHARED)
    details = {"client_left_on": client_left_on.isoformat(), "erase_on": erase_on.isoformat()}
    add_actor_entry(actor, AdministrationAction.OFFBOARDED, subject, **details)


def cancel_offboarding(actor: Actor, administration_id: int) -> None:
    """Cancel the erasure: the client came back, also one that the register calls deregistered. The
    administration stays deactivated until a person activates it.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    administration = get_locked(actor, administration_id)
    administration.client_left_on = administration.erase_on = None
    administration.save(update_fields=["client_left_on", "erase_on"])
    confirm_client(actor, administration, cached_register_result(administration))
    subject = Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name)
    add_actor_entry(actor, AdministrationAction.OFFBOARDING_CANCELLED, subject)
