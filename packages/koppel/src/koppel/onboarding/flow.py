"""The wizard's state in the database: start a flow, get it, save a step. A flow belongs to one person and
expires.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection as django_connection
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.connections.models import ConsentAttempt
from koppel.connections.queries import get_connection
from koppel.kit import quarantine
from koppel.kit.database.json_fields import encode
from koppel.onboarding.errors import FlowExpired, NoSuchFlow
from koppel.onboarding.models import Flow, FlowState, Step
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

LIFETIME = timedelta(days=30)
FLOWS_OF_MEMBER_MAX, FLOWS_OF_ORGANISATION_MAX = 20, 200
ABANDONED_AFTER = timedelta(hours=1)
"""An import without a sign-in after this time makes room for a new one, when there are too many."""
STEPS = tuple(Step.values)
FROM_CONNECTION = "from_connection"
"""The `origin` of a flow that was started from an existing connection: only companies that are not imported
are offered.
"""


def start_flow(actor: Actor, connector: str) -> Flow:
    """Start a flow with a new connection. Stores nothing at the vendor yet. Raises `Quarantined`, and
    `Refused` for too many unfinished ones.
    """
    actor.require(Permission.MANAGE_CONNECTIONS)
    quarantine.refuse()
    return _create(actor, connector=connector, step=Step.SIGN_IN)


def start_from_connection(actor: Actor, connection_id: int) -> Flow:
    """Start a flow through an existing connection. Raises `NoSuchConnection`, `Quarantined`, and
    `Refused` for too many unfinished ones.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    quarantine.refuse()
    connection = get_connection(actor, connection_id)
    return _create(
        actor,
        connector=connection.connector,
        app=connection.app,
        connection_id=connection.pk,
        connection_ids=[connection.pk],
        step=Step.CHOOSE,
        origin=FROM_CONNECTION,
    )


def open_flows(actor: Actor) -> list[Flow]:
    """Return the actor's own unfinished flows past the sign-in, newest first; at most five."""
    flows = Flow.objects.for_actor(actor).filter(membership_id=actor.membership_id, state=FlowState.OPEN)
    resumable = flows.filter(expires_at__gt=timezone.now()).exclude(step=Step.SIGN_IN)
    return list(resumable.select_related("connection").order_by("-created_at")[:5])


def get_flow(actor: Actor, token: UUID, *, lock: bool = False) -> Flow:
    """Return the actor's own flow. Raises `NoSuchFlow` and `FlowExpired`."""
    # Without joins when locking: a joined row would be read as it was before the wait for the lock.
    flows = (
        Flow.objects.select_for_update()
        if lock
        else Flow.objects.select_related("connection", "app", "import_record", "membership")
    )
    flow = flows.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, token=token
    ).first()
    if flow is None or flow.state == FlowState.ABANDONED:
        raise NoSuchFlow
    if flow.state == FlowState.OPEN and flow.expires_at < timezone.now():
        raise FlowExpired
    return flow


def abandon(flow: Flow) -> None:
    """Close the flow without an import. A connection that was made stays."""
    Flow.objects.filter(pk=flow.pk, state=FlowState.OPEN).update(state=FlowState.ABANDONED)


def has_reached(flow: Flow, step: Step) -> bool:
    return STEPS.index(step) <= STEPS.index(flow.step)


def starts_from_connection(flow: Flow) -> bool:
    """Return whether the flow was started from an existing connection; then it offers only new companies."""
    return flow.origin == FROM_CONNECTION


def return_path(flow: Flow) -> str:
    """Return the path to which the vendor's sign-ins of this flow lead: the list of companies."""
    return reverse("onboarding:choose", args=[flow.token])


def collect_completed_sign_ins(actor: Actor, flow: Flow, return_path: str) -> None:
    """Add the connections of the completed sign-ins of this flow."""
    attempts = (
        ConsentAttempt.objects.for_actor(actor)
        .filter(membership_id=actor.membership_id, return_path=return_path)
        .exclude(granted_at=None)
    )
    for attempt in attempts.order_by("granted_at"):
        if attempt.connection_id is not None and attempt.connection_id not in flow.connection_ids:
            add_connection(flow, attempt.connection_id, attempt.app_id)


def add_connection(flow: Flow, connection_id: int, app_id: int) -> None:
    """Add a connection to the flow, so that its companies are listed too."""
    if connection_id not in flow.connection_ids:
        flow.connection_ids = [*flow.connection_ids, connection_id]
    flow.connection_id, flow.app_id = connection_id, app_id
    reached = Step(flow.step) if has_reached(flow, Step.CHOOSE) else Step.CHOOSE
    save_step(flow, reached, "connection_ids", "connection", "app")


def save_step(flow: Flow, step: Step, *fields: str) -> None:
    """Save `fields` and `step`, the furthest step that may be opened.

    Save only these columns: another tab may have saved the rest.
    """
    flow.step = step
    flow.expires_at = timezone.now() + LIFETIME
    flow.save(update_fields=["step", "expires_at", *fields])


def save_values(flow: Flow, column: str, values: Mapping[int, Any]) -> None:
    """Merge `values` by company into the JSON of `column`; other companies stay, so two tabs lose nothing."""
    getattr(flow, column).update(values)
    stored = encode(values, Flow._meta.get_field(column).shape)  # type: ignore[union-attr]
    flow.expires_at = timezone.now() + LIFETIME
    with django_connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE onboarding_flow SET {column} = {column} || %s::jsonb, expires_at = %s"  # noqa: S608
            " WHERE organisation_id = %s AND id = %s",
            [stored, flow.expires_at, flow.organisation_id, flow.pk],
        )


def _require_room(actor: Actor) -> None:
    """Delete the oldest flows that were abandoned where there are too many. Raises `Refused` when that is not
    enough.
    """
    now, flows = timezone.now(), Flow.objects.for_actor(actor)
    flows.filter(state=FlowState.ABANDONED, created_at__lt=now - ABANDONED_AFTER).delete()
    without_sign_in = Q(step__in=[Step.SYSTEM, Step.SIGN_IN], created_at__lt=now - ABANDONED_AFTER)
    open_flows = flows.filter(state=FlowState.OPEN)
    for limited, flows_max in (
        (open_flows.filter(membership_id=actor.membership_id), FLOWS_OF_MEMBER_MAX),
        (open_flows, FLOWS_OF_ORGANISATION_MAX),
    ):
        surplus = limited.count() + 1 - flows_max
        if surplus <= 0:
            continue
        abandoned = limited.filter(without_sign_in | Q(expires_at__lt=now), entered_company_ids=[])
        ids = list(abandoned.order_by("created_at", "pk").values_list("pk", flat=True)[:surplus])
        flows.filter(pk__in=ids).delete()
        if len(ids) < surplus:
            text = _("There are %(count)s unfinished imports. Finish or discard some of them first.")
            raise Refused(text % {"count": flows_max})


def _create(actor: Actor, **values: Any) -> Flow:
    _require_room(actor)
    return Flow.objects.create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        expires_at=timezone.now() + LIFETIME,
        **values,
    )
