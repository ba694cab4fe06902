"""The lifecycle of an administration over REST: its end, and its predecessor."""

from ninja import Router, Status

from koppel.administrations.api.detail import AdministrationOut, get_administration_out
from koppel.administrations.inputs import OffboardingInput, PredecessorInput, WithdrawalInput
from koppel.administrations.lifecycle import offboarding, predecessors
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Permission

router = Router()


@router.put("/{int:administration_id}/offboarding", response=AdministrationOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def offboard(
    request: AuthenticatedRequest, administration_id: int, payload: OffboardingInput
) -> AdministrationOut:
    """Record that the client left: syncing stops, on `erase_on` everything is erased."""
    offboarding.offboard_client(request.actor, administration_id, payload)
    return get_administration_out(request.actor, administration_id)


@router.delete("/{int:administration_id}/offboarding", response=AdministrationOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def cancel_offboarding(request: AuthenticatedRequest, administration_id: int) -> AdministrationOut:
    """Record that the client came back: nothing is erased."""
    offboarding.cancel_offboarding(request.actor, administration_id)
    return get_administration_out(request.actor, administration_id)


@router.put("/{int:administration_id}/predecessor", response=AdministrationOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def set_predecessor(
    request: AuthenticatedRequest, administration_id: int, payload: PredecessorInput
) -> AdministrationOut:
    """Set which earlier administration this one continues; null removes the link."""
    predecessors.set_predecessor(request.actor, administration_id, payload)
    return get_administration_out(request.actor, administration_id)


@router.post("/{int:administration_id}/withdraw", response={204: None})
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def withdraw(request: AuthenticatedRequest, administration_id: int, payload: WithdrawalInput) -> Status[None]:
    """Cancel an import that waits, or withdraw a wrong one: gone at once, its data is erased. Cannot be
    undone.
    """
    offboarding.withdraw(request.actor, administration_id, payload)
    return Status(204, None)
