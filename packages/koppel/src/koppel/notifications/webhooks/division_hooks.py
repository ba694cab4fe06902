"""When a division is merged into another, webhooks that are for it are for the other one."""

from collections.abc import Mapping
from typing import Any

from koppel.notifications.models import WebhookEndpoint
from koppel.organisations.groups.hooks import GroupKind, SettingsImpact, register_group_dependants
from koppel.organisations.roles import Actor


class Webhooks:
    """They hang on divisions, but are no administrations, so nothing is counted."""

    def counts(self, organisation_id: int, group: GroupKind) -> Mapping[int, int]:
        return {}

    def move(self, actor: Actor, group: GroupKind, from_id: int, into_id: int) -> int:
        webhooks = WebhookEndpoint.objects.filter(organisation_id=actor.organisation_id, divisions__contains=[from_id])
        for webhook in webhooks if group is GroupKind.DIVISION else ():
            webhook.divisions = sorted({into_id if key == from_id else key for key in webhook.divisions})
            webhook.save(update_fields=["divisions"])
        return 0

    def effects(self, organisation_id: int, template_id: int, settings: Mapping[str, Any]) -> SettingsImpact:
        return SettingsImpact()


def register() -> None:
    register_group_dependants(Webhooks())
