"""Jobs of notifications: send emails and webhook messages, dispatch due events, delete what is old."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import structlog
from django.db.models import Q
from django.utils import timezone
from procrastinate.contrib.django import app

from koppel.issues.models import Issue, needs_attention
from koppel.kit import quarantine
from koppel.kit.database.outage import RetryAfterOutage
from koppel.kit.database.threads import run_in_thread
from koppel.kit.jobs.outbox import deliver_due
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.email import delivery as email_delivery
from koppel.notifications.email.outbox import EMAIL_OUTBOX
from koppel.notifications.events.dispatch import dispatch_due, dispatch_updates, ongoing_events
from koppel.notifications.models import (
    DeliveryState,
    EmailDelivery,
    Event,
    EventState,
    Notification,
    WebhookDelivery,
    WebhookEndpoint,
)
from koppel.notifications.sources.issue_digest import SETTLE_TIME, notify_new_issues
from koppel.notifications.webhooks import delivery as webhook_delivery
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX

STEPS: tuple[Callable[[int], object], ...] = (notify_new_issues, dispatch_due, dispatch_updates)
OUTBOXES = (EMAIL_OUTBOX, WEBHOOK_OUTBOX)
READ_RETENTION = timedelta(days=180)
UNREAD_RETENTION = timedelta(days=730)
WEBHOOK_LOG_RETENTION = timedelta(days=30)

log = structlog.get_logger(__name__)


@app.task(name="notifications.send_emails", retry=RetryAfterOutage())
async def send_emails(organisation_id: int) -> None:
    """Send the organisation's emails that are due; none in quarantine."""
    sent = await email_delivery.send_due(organisation_id)
    if sent:
        log.info("emails_sent", organisation=organisation_id, count=sent)


@app.task(name="notifications.send_webhooks", retry=RetryAfterOutage())
async def send_webhooks(organisation_id: int, webhook_id: int) -> None:
    """Send the webhook's messages that are due; none in quarantine."""
    lane = {"organisation_id": organisation_id, "webhook_id": webhook_id}
    sent = await deliver_due(WEBHOOK_OUTBOX, lane, webhook_delivery.deliver)
    if sent:
        log.info("webhooks_sent", organisation=organisation_id, webhook=webhook_id, count=sent)


@app.periodic(cron="* * * * *")
@app.task(name="notifications.run_maintenance")
async def run_maintenance(timestamp: int) -> None:
    """Dispatch due events every minute, and defer jobs for due deliveries. In quarantine notifications appear
    on screen only.
    """
    for organisation_id in await run_in_thread(_organisations_with_work):
        for step in STEPS:
            try:
                await run_in_thread(partial(_run_step, step, organisation_id))
            except Exception:
                # A failing step stops neither the next step nor other organisations.
                log.exception(
                    "notification_maintenance_failed", organisation=organisation_id, step=step.__name__
                )
    if await quarantine.current_async() is None:
        for outbox in OUTBOXES:
            await run_in_thread(outbox.enqueue_due)


@app.periodic(cron="17 3 * * *")
@app.task(name="notifications.delete_old")
async def delete_old(timestamp: int) -> None:
    """Delete old notifications with their emails and events; unread ones are kept longer."""
    await run_in_thread(_delete_old)


def _organisations_with_work() -> list[int]:
    now = timezone.now()
    with installation_scope("due notifications"):
        events = Event.objects.filter(state=EventState.PENDING, due_at__lte=now)
        issues = Issue.objects.filter(needs_attention(), notified_at=None, raised_at__lt=now - SETTLE_TIME)
        organisation_ids = {
            *events.values_list("organisation_id", flat=True),
            *ongoing_events().values_list("organisation_id", flat=True),
            *issues.values_list("organisation_id", flat=True).distinct(),
        }
    return sorted(organisation_ids)


def _run_step(step: Callable[[int], object], organisation_id: int) -> None:
    with organisation_scope(organisation_id):
        step(organisation_id)


def _delete_old() -> None:
    now = timezone.now()
    with installation_scope("old notifications"):
        old = Notification.objects.filter(
            Q(read_at__lt=now - READ_RETENTION)
            | Q(created_at__lt=now - UNREAD_RETENTION)
            | Q(on_screen=False, created_at__lt=now - READ_RETENTION)
        )
        EmailDelivery.objects.filter(notification__in=old).delete()
        old.delete()
        settled = WebhookDelivery.objects.filter(created_at__lt=now - WEBHOOK_LOG_RETENTION)
        settled.exclude(state__in=[DeliveryState.WAITING, DeliveryState.CLAIMED]).delete()
        WebhookEndpoint.objects.filter(previous_until__lt=now).update(
            previous_secret=None, previous_until=None
        )
        over = [EventState.CLOSED, EventState.RECOVERED]
        Event.objects.filter(
            state__in=over, last_seen_at__lt=now - READ_RETENTION, notifications=None
        ).delete()
