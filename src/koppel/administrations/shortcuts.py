"""What every page about one administration begins with."""

from django.http import Http404

from koppel.administrations.errors import NotThere
from koppel.administrations.models import Administration
from koppel.administrations.scope import administration_for
from koppel.organisations.roles import Actor, Permission


def administration_or_404(actor: Actor, administration_id: int) -> Administration:
    """The administration if the actor may see it. Raises `Http404`: unknown and hidden look alike."""
    actor.require(Permission.SEE)
    try:
        return administration_for(actor, administration_id)
    except NotThere:
        raise Http404 from None
