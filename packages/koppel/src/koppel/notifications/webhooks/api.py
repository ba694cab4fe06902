"""Webhooks over REST, for Administrators."""

from datetime import datetime
from typing import Annotated

from ninja import Path, Query, Router, Schema
from ninja.responses import Status

from koppel.kit.web.parameters import ID_MAX
from koppel.notifications.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks import delivery_log, endpoint_state, endpoints
from koppel.notifications.webhooks.inputs import RedeliverInput, WebhookInput
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Permission

router = Router()
WebhookId = Annotated[int, Path(ge=1, le=ID_MAX)]


class WebhookOut(Schema):
    """`failing_since`: nothing was accepted since then. `disabled_reason`: why Koppel itself disabled it."""

    id: int
    name: str
    url: str
    events: list[str]
    divisions: list[int]
    enabled: bool
    last_accepted_at: datetime | None
    failing_since: datetime | None
    disabled_reason: str


class WebhookCreated(WebhookOut):
    """`secret` is shown once."""

    secret: str


class SecretOut(Schema):
    """The new secret, shown once. The previous one also signs for a day."""

    secret: str


class DeliveryOut(Schema):
    """A message; `is_closing`: its event is closed.

    `state`: waiting, claimed, sent, failed or dropped; `reason` is a code for why it was not accepted.
    """

    id: int
    message: str
    event: str
    is_closing: bool
    state: str
    attempts: int
    response_status: int | None
    reason: str
    created_at: datetime
    next_at: datetime | None
    sent_at: datetime | None


class RedeliverOut(Schema):
    """The number of messages sent again."""

    count: int


@router.get("", response=list[WebhookOut])
@permission_required(Permission.MANAGE_ORGANISATION)
def list_webhooks(request: AuthenticatedRequest) -> list[WebhookOut]:
    """List the organisation's webhooks, by name."""
    return [_to_schema(webhook) for webhook in endpoints.list_webhooks(request.actor)]


@router.post("", response={201: WebhookCreated})
@permission_required(Permission.MANAGE_ORGANISATION)
def create_webhook(request: AuthenticatedRequest, payload: WebhookInput) -> Status[WebhookCreated]:
    """Create a webhook."""
    webhook, secret = endpoints.create_webhook(request.actor, payload)
    return Status(201, WebhookCreated(**_to_schema(webhook).dict(), secret=secret.reveal()))


@router.put("/{webhook_id}", response=WebhookOut)
@permission_required(Permission.MANAGE_ORGANISATION)
def change_webhook(request: AuthenticatedRequest, webhook_id: WebhookId, payload: WebhookInput) -> WebhookOut:
    """Change name, address, events and divisions; absent fields get their defaults."""
    return _to_schema(endpoints.change_webhook(request.actor, webhook_id, payload))


@router.delete("/{webhook_id}", response={204: None})
@permission_required(Permission.MANAGE_ORGANISATION)
def remove_webhook(request: AuthenticatedRequest, webhook_id: WebhookId) -> Status[None]:
    """Remove a webhook with its log."""
    endpoints.remove_webhook(request.actor, webhook_id)
    return Status(204, None)


@router.post("/{webhook_id}/enable", response=WebhookOut)
@permission_required(Permission.MANAGE_ORGANISATION)
def enable_webhook(request: AuthenticatedRequest, webhook_id: WebhookId) -> WebhookOut:
    """Enable a webhook: it receives the messages of later events."""
    return _to_schema(endpoint_state.enable(request.actor, webhook_id))


@router.post("/{webhook_id}/disable", response=WebhookOut)
@permission_required(Permission.MANAGE_ORGANISATION)
def disable_webhook(request: AuthenticatedRequest, webhook_id: WebhookId) -> WebhookOut:
    """Disable a webhook. Its waiting messages fail; they can be redelivered once it is enabled."""
    return _to_schema(endpoint_state.disable(request.actor, webhook_id))


@router.post("/{webhook_id}/secret", response=SecretOut)
@permission_required(Permission.MANAGE_ORGANISATION)
def rotate_secret(request: AuthenticatedRequest, webhook_id: WebhookId) -> SecretOut:
    """Replace the secret. For a day messages are signed with both."""
    return SecretOut(secret=endpoints.rotate_secret(request.actor, webhook_id).reveal())


@router.post("/{webhook_id}/test", response={202: DeliveryOut})
@permission_required(Permission.MANAGE_ORGANISATION)
def send_test(request: AuthenticatedRequest, webhook_id: WebhookId) -> Status[DeliveryOut]:
    """Send a test message; its delivery shows the answer."""
    return Status(202, _delivery_to_schema(delivery_log.send_test(request.actor, webhook_id)))


@router.get("/{webhook_id}/deliveries", response=list[DeliveryOut])
@permission_required(Permission.MANAGE_ORGANISATION)
def list_deliveries(
    request: AuthenticatedRequest,
    webhook_id: WebhookId,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[DeliveryOut]:
    """List the messages of a webhook of the last 30 days, newest first."""
    deliveries = delivery_log.list_deliveries(
        request.actor, webhook_id, state=state.value if state else "", limit=limit
    )
    return [_delivery_to_schema(delivery) for delivery in deliveries]


@router.post("/{webhook_id}/deliveries/redeliver", response=RedeliverOut)
@permission_required(Permission.MANAGE_ORGANISATION)
def redeliver(request: AuthenticatedRequest, webhook_id: WebhookId, payload: RedeliverInput) -> RedeliverOut:
    """Send messages again, under the ids they had."""
    return RedeliverOut(count=delivery_log.redeliver(request.actor, webhook_id, payload.ids))


def _to_schema(webhook: WebhookEndpoint) -> WebhookOut:
    return WebhookOut(
        id=webhook.pk,
        name=webhook.name,
        url=webhook.url,
        events=webhook.events,
        divisions=webhook.divisions,
        enabled=webhook.is_enabled,
        last_accepted_at=webhook.last_accepted_at,
        failing_since=webhook.failing_since,
        disabled_reason=webhook.disabled_reason,
    )


def _delivery_to_schema(delivery: WebhookDelivery) -> DeliveryOut:
    return DeliveryOut(
        id=delivery.pk,
        message=delivery.message_id,
        event=delivery.event_type,
        is_closing=delivery.is_closing,
        state=delivery.state,
        attempts=delivery.attempts,
        response_status=delivery.response_status,
        reason=delivery.reason,
        created_at=delivery.created_at,
        next_at=delivery.due_at if delivery.state == DeliveryState.WAITING else None,
        sent_at=delivery.sent_at,
    )
