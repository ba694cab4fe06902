"""Lookup of the administration of a page."""

from koppel.administrations.access import administration_for
from koppel.administrations.models import Administration
from koppel.organisations.roles import Actor, Permission


def get_administration_or_404(actor: Actor, administration_id: int) -> Administration:
    """Return the administration if the actor may see it.

    Raises `NoSuchAdministration`, a page with status 404: unknown and hidden look alike.
    """
    actor.require(Permission.VIEW)
    return administration_for(actor, administration_id)
