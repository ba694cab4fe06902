"""The connections that run on a person's account at the vendor, for the page of that person."""

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from koppel.connections.lifecycle.ownership import owned_connections, possible_owners, transfer_all
from koppel.connections.models import Connection, ConnectionState
from koppel.connector.registry import connectors
from koppel.kit.web.confirmation import Confirmation, Group
from koppel.organisations.errors import Refused
from koppel.organisations.people.hooks import OwnedItem, OwnershipProvider
from koppel.organisations.roles import Actor


def handover_confirmation(actor: Actor, departing_member_id: int, new_owner_id: int) -> Confirmation:
    """Return the confirmation of handing over all connections of one person. Raises `NoSuchMember`,
    `Refused`.
    """
    person = owned_connections(actor, departing_member_id).person
    items = _connections_to_transfer(actor, departing_member_id, new_owner_id, False)
    new_owner = next((str(member.user) for member in possible_owners(actor) if member.pk == new_owner_id), "")
    names = {"leaver": person, "heir": new_owner}
    return Confirmation(
        title=_("Hand over"),
        question=_("Ask %(heir)s to take over the connections of %(leaver)s?") % names,
        button=_("Hand over"),
        cancel_url=reverse("connections:offboarding", args=[departing_member_id]),
        consequences=[
            _("Each connection transfers once %(heir)s has signed in for it. Nothing changes until then.")
            % names
        ],
        groups=[Group(_("Connections"), [name for _key, name in items])] if items else (),
        fields={"membership": str(new_owner_id)},
        facts=[departing_member_id, [connection_id for connection_id, _name in items]],
        nav_section="connections",
    )


def _connections_to_transfer(
    actor: Actor, departing_member_id: int, new_owner_id: int, _deactivate: bool
) -> list[tuple[int, str]]:
    """Return (id, name) of the connections whose transfer to the new owner is not requested yet. Raises
    `Refused` for a member who may not.
    """
    connections = owned_connections(actor, departing_member_id).connections
    if connections and new_owner_id not in {member.pk for member in possible_owners(actor)}:
        message = _("Only an active Administrator or Team leader can take over a connection.")
        raise Refused(message, field="member")
    titles = {key: connector.descriptor.title for key, connector in connectors().items()}
    return [
        (connection.pk, f"{titles.get(connection.connector, connection.connector)} {connection.account}")
        for connection in connections
        if connection.pending_owner_id != new_owner_id
    ]


def _owned_connections(actor: Actor, membership_id: int) -> list[OwnedItem]:
    """Count the person's connections without a requested transfer."""
    connections = Connection.objects.for_actor(actor).filter(owner_id=membership_id, pending_owner=None)
    count = connections.exclude(state=ConnectionState.REMOVED).count()
    label = ngettext(
        "%(count)s connection uses this account", "%(count)s connections use this account", count
    )
    consequence = _(
        "Stops when the account is closed in the accounting system, until a colleague has signed in for it."
    )
    url = reverse("connections:offboarding", args=[membership_id])
    return [OwnedItem(label=label % {"count": count}, count=count, url=url, consequence=consequence)]


OWNED_CONNECTIONS = OwnershipProvider(
    label=gettext_lazy("Connections"),
    list_owned=_owned_connections,
    move=transfer_all,
    preview=_connections_to_transfer,
)
