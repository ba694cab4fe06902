"""What pages show as the state of an administration: its own, or the one of the connection that stops it."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Administration, Status
from koppel.connections.models import ConnectionState
from koppel.organisations.roles import Actor

SYNCED_STATUSES = (Status.QUEUED, Status.CONFIGURING, Status.ACTIVE)
STOPPED_LABELS = {
    ConnectionState.NEEDS_REAUTH: _("Waits for sign-in"),
    ConnectionState.PAUSED: _("Connection paused"),
    ConnectionState.REMOVED: _("Connection removed"),
}
STOPPED_STATES = tuple(STOPPED_LABELS)


def shown_states(actor: Actor, administrations: Sequence[Administration]) -> dict[int, str]:
    """Return by administration the state to show, with one query. One that would be synced but for its
    connection has the connection's state, also when only the consent for its own company was lost."""
    lost = _without_consent(actor, [administration.pk for administration in administrations])
    return {administration.pk: _state(administration, lost) for administration in administrations}


def shown_state(actor: Actor, administration: Administration) -> str:
    return shown_states(actor, [administration])[administration.pk]


def state_label(state: str) -> str:
    """Return the word for a state to show."""
    return str(Status(state).label if state in Status.values else STOPPED_LABELS[ConnectionState(state)])


def _state(administration: Administration, lost: AbstractSet[int]) -> str:
    is_removed = administration.connection.state == ConnectionState.REMOVED
    if is_removed and administration.status == Status.BLOCKED:
        return ConnectionState.REMOVED.value
    if administration.status not in SYNCED_STATUSES:
        return administration.status
    if administration.connection.state in STOPPED_STATES:
        return administration.connection.state
    return ConnectionState.NEEDS_REAUTH.value if administration.pk in lost else administration.status


def _without_consent(actor: Actor, ids: Sequence[int]) -> set[int]:
    lost = Administration.objects.for_actor(actor).filter(
        pk__in=ids, remote_company__grant__invalid_since__isnull=False
    )
    return set(lost.values_list("pk", flat=True))
