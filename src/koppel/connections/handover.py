"""The connections that run on a person's account at the vendor, for the page of that person."""

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from koppel.connections.models import Connection, ConnectionState
from koppel.connections.ownership import hand_over_all
from koppel.organisations import handover
from koppel.organisations.handover import Holding, Keeper
from koppel.organisations.policy import Actor


def register() -> None:
    handover.register(Keeper("connections", gettext_lazy("Connections"), _tell, hand_over_all))


def _tell(actor: Actor, membership_id: int) -> list[Holding]:
    """Those that nobody is asked to take over yet."""
    own = Connection.objects.filter(organisation_id=actor.organisation_id, owner_id=membership_id, next_owner=None)
    count = own.exclude(state=ConnectionState.REMOVED).count()
    words = ngettext("%(count)s connection runs on this account", "%(count)s connections run on this account", count)
    consequence = _(
        "Stops when the account at the accounting system is closed, until a colleague has signed in for it."
    )
    url = reverse("connections:leaving", args=[membership_id])
    return [Holding(words % {"count": count}, count, url, consequence)]
