"""Jobs of notices: send mail, tell what did not heal, take over what dead processes left."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import structlog
from django.db.models import Q
from django.utils import timezone
from procrastinate.contrib.django import app

from koppel.issues.models import Issue
from koppel.kit import quarantine
from koppel.kit.database_outage import RetryAfterOutage
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.kit.threads import in_django
from koppel.notifications.email import delivery
from koppel.notifications.events.dispatch import lasting, tell_due, tell_joined
from koppel.notifications.models import (
    Delivery,
    DeliveryState,
    Happening,
    HappeningState,
    Notice,
    Webhook,
    WebhookDelivery,
)
from koppel.notifications.sources.issue_digest import CONFIRM_FOR, tell_new_issues
from koppel.notifications.webhooks import delivery as sending

Steps = tuple[Callable[[int], object], ...]
KEEP_READ_FOR = timedelta(days=180)
KEEP_UNREAD_FOR = timedelta(days=730)
KEEP_WEBHOOK_LOG_FOR = timedelta(days=30)

log = structlog.get_logger(__name__)


@app.task(name="notifications.send_mails", retry=RetryAfterOutage())
async def send_mails(organisation_id: int) -> None:
    """Send the organisation's mails whose time has come."""
    sent = await in_django(lambda: delivery.send_due(organisation_id))
    if sent:
        log.info("mails_sent", organisation=organisation_id, count=sent)


@app.task(name="notifications.send_webhooks", retry=RetryAfterOutage())
async def send_webhooks(organisation_id: int) -> None:
    """Send the organisation's webhook messages whose time has come."""
    sent = await in_django(lambda: sending.send_due(organisation_id))
    if sent:
        log.info("webhooks_sent", organisation=organisation_id, count=sent)


@app.periodic(cron="* * * * *")
@app.task(name="notifications.keep")
async def keep(timestamp: int) -> None:
    """Every minute, for every organisation where something waits. In quarantine people are told on screen alone."""
    telling: Steps = (tell_new_issues, tell_due, tell_joined)
    steps = telling if await quarantine.current_async() else (*telling, _send_mails, _send_messages)
    for organisation_id in await in_django(_where_something_waits):
        for step in steps:
            try:
                await in_django(partial(_take, step, organisation_id))
            except Exception:
                # What cannot be told here is no reason to keep mail back, nor to tell nobody elsewhere.
                log.exception("notices_not_kept", organisation=organisation_id, step=step.__name__.strip("_"))


@app.periodic(cron="17 3 * * *")
@app.task(name="notifications.forget")
async def forget(timestamp: int) -> None:
    """Old notices go, with what they came from; unread ones stay longer."""
    await in_django(_forget)


def _where_something_waits() -> list[int]:
    now = timezone.now()
    under_way = [DeliveryState.CLAIMED, DeliveryState.HANDING_OVER]
    with installation_scope("notices that wait"):
        happenings = Happening.objects.filter(state=HappeningState.WAITING, due_at__lte=now)
        mails = Delivery.objects.filter(Q(state=DeliveryState.WAITING, due_at__lte=now) | Q(state__in=under_way))
        messages = WebhookDelivery.objects.filter(
            Q(state=DeliveryState.WAITING, due_at__lte=now) | Q(state=DeliveryState.CLAIMED)
        )
        issues = Issue.objects.filter(resolved_at=None, told_at=None, raised_at__lt=now - CONFIRM_FOR)
        where = {
            *happenings.values_list("organisation_id", flat=True),
            *lasting().values_list("organisation_id", flat=True),
            *mails.values_list("organisation_id", flat=True),
            *messages.values_list("organisation_id", flat=True),
            *issues.values_list("organisation_id", flat=True).distinct(),
        }
    return sorted(where)


def _take(step: Callable[[int], object], organisation_id: int) -> None:
    with organisation_scope(organisation_id):
        step(organisation_id)


def _send_mails(organisation_id: int) -> None:
    delivery.take_over(organisation_id)
    waiting = Delivery.objects.filter(
        organisation_id=organisation_id, state=DeliveryState.WAITING, due_at__lte=timezone.now()
    )
    if waiting.exists():
        send_mails.defer(organisation_id=organisation_id)


def _send_messages(organisation_id: int) -> None:
    sending.take_over(organisation_id)
    messages = WebhookDelivery.objects.filter(
        organisation_id=organisation_id, state=DeliveryState.WAITING, due_at__lte=timezone.now()
    )
    if messages.exists():
        send_webhooks.defer(organisation_id=organisation_id)


def _forget() -> None:
    now = timezone.now()
    with installation_scope("old notices"):
        old = Notice.objects.filter(
            Q(read_at__lt=now - KEEP_READ_FOR) | Q(created_at__lt=now - KEEP_UNREAD_FOR)
            | Q(on_screen=False, created_at__lt=now - KEEP_READ_FOR)
        )  # fmt: skip
        Delivery.objects.filter(notice__in=old).delete()
        old.delete()
        settled = WebhookDelivery.objects.filter(created_at__lt=now - KEEP_WEBHOOK_LOG_FOR)
        settled.exclude(state__in=[DeliveryState.WAITING, DeliveryState.CLAIMED]).delete()
        Webhook.objects.filter(previous_until__lt=now).update(previous_secret=None, previous_until=None)
        over = [HappeningState.SETTLED, HappeningState.HEALED]
        Happening.objects.filter(state__in=over, last_at__lt=now - KEEP_READ_FOR, notices=None).delete()
