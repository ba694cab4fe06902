"""Move the webhooks of a division that is merged into another."""

from koppel.notifications.models import WebhookEndpoint
from koppel.organisations.groups.hooks import GroupKind
from koppel.organisations.roles import Actor


def move_webhooks(actor: Actor, group: GroupKind, from_id: int, into_id: int) -> int:
    """Move webhooks to the other division. Returns 0, the number of administrations moved."""
    webhooks = WebhookEndpoint.objects.for_actor(actor).filter(divisions__contains=[from_id])
    for webhook in webhooks if group is GroupKind.DIVISION else ():
        webhook.divisions = sorted(
            {into_id if division_id == from_id else division_id for division_id in webhook.divisions}
        )
        webhook.save(update_fields=["divisions"])
    return 0
