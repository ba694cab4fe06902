"""The state of an administration that pages display: its own, or that of the connection that stops it."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from django.db.models import Case, CharField, Count, Q, QuerySet, Value, When
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
DISPLAY_STATES = (*Status.values, *(state.value for state in STOPPED_STATES))


def display_states(actor: Actor, administrations: Sequence[Administration]) -> dict[int, str]:
    """Return the display state of each administration, with one query.

    An administration that would be synced but for its connection has the connection's state, also when only
    the consent for its own company was lost.
    """
    lost = _without_consent(actor, [administration.pk for administration in administrations])
    return {administration.pk: _state(administration, lost) for administration in administrations}


def display_state(actor: Actor, administration: Administration) -> str:
    return display_states(actor, [administration])[administration.pk]


def state_label(state: str) -> str:
    """Return the word for a display state."""
    return str(Status(state).label if state in Status.values else STOPPED_LABELS[ConnectionState(state)])


def state_condition(state: str) -> Q:
    """Return the condition of administrations with this display state."""
    is_stopped = Q(connection__state__in=STOPPED_STATES)
    is_lost = Q(remote_company__grant__invalid_since__isnull=False)
    is_removed = Q(connection__state=ConnectionState.REMOVED)
    if state == ConnectionState.REMOVED:
        return is_removed & Q(status__in=(*SYNCED_STATUSES, Status.BLOCKED))
    if state == ConnectionState.PAUSED:
        return Q(connection__state=ConnectionState.PAUSED, status__in=SYNCED_STATUSES)
    if state == ConnectionState.NEEDS_REAUTH:
        needs_sign_in = Q(connection__state=ConnectionState.NEEDS_REAUTH) | (~is_stopped & is_lost)
        return needs_sign_in & Q(status__in=SYNCED_STATUSES)
    if state in SYNCED_STATUSES:
        return Q(status=state) & ~is_stopped & Q(remote_company__grant__invalid_since=None)
    return Q(status=state) & ~is_removed if state == Status.BLOCKED else Q(status=state)


def count_by_state(administrations: "QuerySet[Administration]") -> dict[str, int]:
    """Return the number of administrations by display state, without zeros."""
    whens = [When(state_condition(state), then=Value(state)) for state in DISPLAY_STATES]
    annotated = administrations.annotate(state=Case(*whens, output_field=CharField()))
    return dict(annotated.order_by().values_list("state").annotate(Count("pk")))


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
