"""Webhooks over REST: an Administrator's programs look after their own ends."""

from datetime import datetime
from typing import Annotated

from ninja import Path, Query, Router, Schema
from ninja.responses import Status

from koppel.kit.schemas import Input
from koppel.notifications.models import DeliveryState, Webhook, WebhookDelivery
from koppel.notifications.webhooks import endpoints
from koppel.notifications.webhooks.endpoints import Wanted
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest, needs

router = Router()
ID_MAX = 2**63 - 1
One = Annotated[int, Path(ge=1, le=ID_MAX)]


class WebhookIn(Input):
    """`events` empty: all of them. `divisions` (ids) empty: the whole organisation; else what touches theirs."""

    name: str
    url: str
    events: list[str] = []
    divisions: list[Annotated[int, Query(ge=1, le=ID_MAX)]] = []


class WebhookOut(Schema):
    """`failing_since`: nothing was accepted since then. `stopped_because`: why Koppel itself switched it off."""

    id: int
    name: str
    url: str
    events: list[str]
    divisions: list[int]
    active: bool
    last_accepted_at: datetime | None
    failing_since: datetime | None
    stopped_because: str


class WebhookMade(WebhookOut):
    """`secret` is shown this once."""

    secret: str


class SecretOut(Schema):
    """The new secret, shown this once. The one before signs as well for a day."""

    secret: str


class ActiveIn(Input):
    active: bool


class DeliveryOut(Schema):
    """One message. `state`: waiting, claimed, sent, failed or dropped; `reason` a stable word for why it was not accepted."""

    id: int
    message: str
    event: str
    over: bool
    state: str
    attempts: int
    status: int | None
    reason: str
    created_at: datetime
    next_at: datetime | None
    sent_at: datetime | None


class AgainIn(Input):
    """These; none named: all that failed."""

    ids: list[Annotated[int, Query(ge=1, le=ID_MAX)]] | None = None


class AgainOut(Schema):
    """How many are sent again."""

    count: int


@router.get("", response=list[WebhookOut])
@needs(Permission.ORGANISATION)
def listing(request: MemberRequest) -> list[WebhookOut]:
    """All webhooks of the organisation, by name."""
    return [_out(one) for one in endpoints.webhooks_of(request.actor)]


@router.post("", response={201: WebhookMade})
def make(request: MemberRequest, given: WebhookIn) -> Status[WebhookMade]:
    """Make a webhook."""
    one, secret = endpoints.add(request.actor, _wanted(given))
    return Status(201, WebhookMade(**_out(one).dict(), secret=secret.reveal()))


@router.put("/{webhook_id}", response=WebhookOut)
def change(request: MemberRequest, webhook_id: One, given: WebhookIn) -> WebhookOut:
    """Change its name, address, events and divisions; what is left out becomes what stands here."""
    return _out(endpoints.change(request.actor, webhook_id, _wanted(given)))


@router.delete("/{webhook_id}", response={204: None})
def remove(request: MemberRequest, webhook_id: One) -> Status[None]:
    """Remove it with its log."""
    endpoints.remove(request.actor, webhook_id)
    return Status(204, None)


@router.put("/{webhook_id}/active", response=WebhookOut)
def switch(request: MemberRequest, webhook_id: One, given: ActiveIn) -> WebhookOut:
    """Switch it on or off."""
    return _out(endpoints.switch(request.actor, webhook_id, on=given.active))


@router.post("/{webhook_id}/secret", response=SecretOut)
def renew_secret(request: MemberRequest, webhook_id: One) -> SecretOut:
    """Make a new secret."""
    return SecretOut(secret=endpoints.renew_secret(request.actor, webhook_id).reveal())


@router.post("/{webhook_id}/test", response={202: DeliveryOut})
def send_test(request: MemberRequest, webhook_id: One) -> Status[DeliveryOut]:
    """Send a message of no meaning; its delivery tells what came back."""
    return Status(202, _delivery(endpoints.send_test(request.actor, webhook_id)))


@router.get("/{webhook_id}/deliveries", response=list[DeliveryOut])
@needs(Permission.ORGANISATION)
def deliveries(
    request: MemberRequest,
    webhook_id: One,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[DeliveryOut]:
    """Its messages of the last 30 days, the newest first."""
    found = endpoints.log_of(request.actor, webhook_id, state=state.value if state else "", limit=limit)
    return [_delivery(one) for one in found]


@router.post("/{webhook_id}/deliveries/again", response=AgainOut)
def again(request: MemberRequest, webhook_id: One, given: AgainIn) -> AgainOut:
    """Send messages again, under the ids they had."""
    return AgainOut(count=endpoints.redeliver(request.actor, webhook_id, given.ids))


def _wanted(given: WebhookIn) -> Wanted:
    return Wanted(given.name, given.url, given.events, given.divisions)


def _out(one: Webhook) -> WebhookOut:
    return WebhookOut(
        id=one.pk,
        name=one.name,
        url=one.url,
        events=one.events,
        divisions=one.divisions,
        active=one.is_active,
        last_accepted_at=one.last_accepted_at,
        failing_since=one.failing_since,
        stopped_because=one.stopped_because,
    )


def _delivery(one: WebhookDelivery) -> DeliveryOut:
    return DeliveryOut(
        id=one.pk,
        message=one.message_id,
        event=one.event,
        over=one.is_over,
        state=one.state,
        attempts=one.attempts,
        status=one.status,
        reason=one.reason,
        created_at=one.created_at,
        next_at=one.due_at if one.state == DeliveryState.WAITING else None,
        sent_at=one.sent_at,
    )
