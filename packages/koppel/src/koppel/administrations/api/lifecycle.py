"""The end of an administration over REST, and which one it continues."""

from django.utils.translation import gettext as _
from ninja import Router, Status

from koppel.administrations.api.detail import AdministrationOut, get_administration_out
from koppel.administrations.lifecycle import offboarding, predecessors
from koppel.administrations.scope import administration_for
from koppel.kit.web.schemas import Day, Input
from koppel.organisations.errors import Refused
from koppel.organisations.requests import AuthenticatedRequest, needs
from koppel.organisations.roles import Permission

router = Router()


class OffboardingIn(Input):
    client_left_on: Day
    erase_on: Day


@router.put("/{int:administration_id}/offboarding", response=AdministrationOut)
@needs(Permission.IMPORT_ADMINISTRATIONS)
def offboard(
    request: AuthenticatedRequest, administration_id: int, payload: OffboardingIn
) -> AdministrationOut:
    """Record that the client left: syncing stops, on `erase_on` everything is erased."""
    offboarding.offboard_client(
        request.actor, administration_id, client_left_on=payload.client_left_on, erase_on=payload.erase_on
    )
    return get_administration_out(request.actor, administration_id)


@router.delete("/{int:administration_id}/offboarding", response=AdministrationOut)
@needs(Permission.IMPORT_ADMINISTRATIONS)
def cancel_offboarding(request: AuthenticatedRequest, administration_id: int) -> AdministrationOut:
    """Record that the client came back: nothing is erased."""
    offboarding.cancel_offboarding(request.actor, administration_id)
    return get_administration_out(request.actor, administration_id)


class PredecessorIn(Input):
    administration: int | None


@router.put("/{int:administration_id}/predecessor", response=AdministrationOut)
@needs(Permission.IMPORT_ADMINISTRATIONS)
def set_predecessor(
    request: AuthenticatedRequest, administration_id: int, payload: PredecessorIn
) -> AdministrationOut:
    """Set which earlier administration this one continues; null takes the link away."""
    predecessors.set_predecessor(request.actor, administration_id, payload.administration)
    return get_administration_out(request.actor, administration_id)


class WithdrawIn(Input):
    """The administration's name, so that no other one is erased by a wrong number."""

    name: str


@router.post("/{int:administration_id}/withdraw", response={204: None})
@needs(Permission.IMPORT_ADMINISTRATIONS)
def withdraw(request: AuthenticatedRequest, administration_id: int, payload: WithdrawIn) -> Status[None]:
    """Cancel an import that waits, or withdraw a wrong one: gone at
    once, its data is erased. Cannot be undone."""
    if (
        administration_for(request.actor, administration_id).name.casefold()
        != payload.name.strip().casefold()
    ):
        raise Refused(_("Type the name of the administration to withdraw it."))
    offboarding.withdraw(request.actor, administration_id)
    return Status(204, None)
